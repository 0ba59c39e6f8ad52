import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../src/stores/memory.ts";
import type { Item } from "../../src/protocol/items.ts";
import { answer, callFunctions, type ScriptedBackend } from "../../src/testing/index.ts";
import { contextOf, makeNode } from "../stores/nodes.ts";
import { JournalStore, makeEngine, turn } from "./harness.ts";

const reference = (id: unknown): Item => ({ type: "item_reference", id });
const user = (content: string): Item => ({ type: "message", role: "user", content });

/** What the model saw last. */
const seen = (scripted: ScriptedBackend): readonly Item[] | undefined => scripted.calls.at(-1)?.context;

describe("a reference stands for the item", () => {
  test("that a response of this connection has put out, stored or not", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("Blue."), answer("Yes.")] });
    const session = open();
    const first = await turn(session, { store: false }).response();
    const [message] = first.output;
    await turn(session, { input: [user("Hi"), reference(message?.["id"]), user("Sure?")] }).response();
    expect(seen(scripted)).toEqual([user("Hi"), message, user("Sure?")]);
  });

  test("that a stored response has put out, from anywhere, and it need not say its type", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("Blue."), answer("Yes.")] });
    const first = await turn(open()).response();
    const [message] = first.output;
    await turn(open(), { store: false, input: [{ id: message?.["id"] }, user("Sure?")] }).response();
    expect(seen(scripted)).toEqual([message, user("Sure?")]);
  });

  test("and the model sees what it would have seen if the item had been sent", async () => {
    const calls = callFunctions({ callId: "c", name: "f" });
    const { open, scripted } = makeEngine({ steps: [calls, answer("a"), answer("a")] });
    const { output } = await turn(open()).response();
    const result = { type: "function_call_output", call_id: "c", output: "done" };
    await turn(open(), { input: [user("Hi"), ...output, result] }).response();
    const inline = seen(scripted);
    await turn(open(), { input: [user("Hi"), ...output.map(({ id }) => reference(id)), result] }).response();
    expect(seen(scripted)).toEqual(inline);
    expect(scripted.calls.at(-1)?.input).toEqual(inline);
  });

  test("that came in with a request, by the id that a list gives it", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a"), answer("b")] });
    const session = open();
    const first = await turn(session, { input: [user("One"), user("Two")] }).response();
    const id = first.id.replace("resp_", "msg_");
    await turn(session, { input: [reference(`${id}i1`), user("Three")] }).response();
    expect(seen(scripted)).toEqual([{ ...user("Two"), id: `${id}i1` }, user("Three")]);
  });

  test("but not one of the chain that is continued, which the model sees anyway", async () => {
    const { open } = makeEngine({ steps: [answer("a"), answer("b")] });
    const session = open();
    const first = await turn(session, { input: [{ ...user("old"), id: "mine" }] }).response();
    const second = await turn(session, { previous_response_id: first.id }).response();
    for (const id of ["mine", first.output[0]?.["id"]]) {
      const next = { input: [reference(id)], previous_response_id: second.id };
      expect(await turn(session, next).code()).toBe("duplicate_item");
    }
  });
});

/** The conversation so far as clients resend it that keep only the ids of what the model said. */
async function talk(store: JournalStore, turns: number): Promise<readonly Item[]> {
  const steps = Array.from({ length: turns }, (_, index) => answer(`answer ${index}`));
  const { open, scripted } = makeEngine({ steps, store });
  const history: Item[] = [];
  for (let index = 0; index < turns; index += 1) {
    history.push(user(`question ${index}`));
    const { output } = await turn(open(), { input: [...history] }).response();
    history.push(...output.map(({ id }) => reference(id)));
  }
  return seen(scripted) ?? [];
}

describe("references to many responses", () => {
  test("are answered from the newest of them, where it has the others in its own input", async () => {
    const store = new JournalStore();
    const context = await talk(store, 6);
    const texts = context.map(({ content }) =>
      typeof content === "string" ? content : (content as readonly { text: string }[])[0]?.text,
    );
    const before = Array.from({ length: 5 }, (_, index) => [`question ${index}`, `answer ${index}`]);
    expect(texts).toEqual([...before.flat(), "question 5"]);
    // One for each turn but the first.
    expect(store.journal.filter((entry) => entry.startsWith("load"))).toHaveLength(5);
  });

  test("may lead to so many that have to be loaded, and no more", async () => {
    const store = new MemoryStore({ budgetBytes: 1 << 30 });
    const nodes = ["resp_a", "resp_b", "resp_c"].map((id) => makeNode(id));
    for (const node of nodes) await store.put(node);
    const { open } = makeEngine({ store, steps: [answer("ok")], limits: { referencedResponses: 2 } });
    const ids = nodes.map(({ response }) => reference((response.output[0] as Item)["id"]));
    expect(await turn(open(), { input: ids.slice(1) }).code()).toBe("completed");
    expect(await turn(open(), { input: ids }).code()).toBe("invalid_value");
  });
});

test("what a reference stood for is kept as input, so the response can be continued and referred to", async () => {
  const store = new MemoryStore({ budgetBytes: 1 << 30 });
  const { open } = makeEngine({ store, steps: [answer("Blue."), answer("Yes.")] });
  const first = await turn(open()).response();
  const second = await turn(open(), { input: [reference(first.output[0]?.["id"]), user("Sure?")] }).response();
  await store.delete("acme", first.id);
  const kept = contextOf(await store.load("acme", second.id));
  expect(kept).toEqual([first.output[0], user("Sure?"), second.output[0]]);
});

describe("a reference to nothing", () => {
  test.each(["msg_unknown", "msg_1o0", "msg_1o7", "msg_1i0x", "fc_1i0", "resp_1", "", "__proto__"])(
    "is refused: %s",
    async (id) => {
      const { open } = makeEngine({ steps: [answer("a")] });
      await turn(open(), { store: false }).response();
      const refused = turn(open(), { input: [reference(id)] });
      const { error } = await refused.end;
      expect([error?.code, error?.status, error?.param]).toEqual(["item_not_found", 404, "input"]);
      expect(error?.message).toContain(`Item with id '${id}' not found.`);
    },
  );

  test("and so is one to an item of somebody else, or of a connection that has not stored it", async () => {
    const { open } = makeEngine({ steps: [answer("a"), answer("b")] });
    const theirs = await turn(open("other")).response();
    const unstored = await turn(open(), { store: false }).response();
    for (const { output } of [theirs, unstored]) {
      expect(await turn(open(), { input: [reference(output[0]?.["id"])] }).code()).toBe("item_not_found");
    }
  });
});
