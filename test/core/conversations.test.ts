import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_LIMITS, type Runtime, type Store } from "../../src/core/ports.ts";
import type { Item } from "../../src/protocol/items.ts";
import { parseSteer } from "../../src/protocol/steer.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { answer, finish, Gate, type Step } from "../../src/testing/index.ts";
import { Memory } from "../../src/core/budget.ts";
import { ContextMemory } from "../../src/core/context-memory.ts";
import { Conversations } from "../../src/core/conversations.ts";
import { listed } from "../../src/core/input-items.ts";
import { JournalStore, makeEngine, settled, type TestEngine, turn } from "./harness.ts";

const user = (content: string): Item => ({ type: "message", role: "user", content });
const FAR = 30_000;

/** An engine with one conversation, which holds one item. */
async function talk(steps: Iterable<Step>, store: Store = new MemoryStore({ budgetBytes: 1 << 30 })) {
  const made = makeEngine({ steps, store });
  const conversations = made.engine.conversations("acme", made.engine.memory.of("acme").open());
  const { id } = await conversations.create({ items: [user("zero")], metadata: {} });
  return { ...made, conversations, id, texts: () => textsOf(made, id) };
}

/** The texts of a conversation's items, oldest first. */
async function textsOf({ engine }: TestEngine, id: string): Promise<readonly unknown[]> {
  const items = await engine.conversations("acme", engine.memory.of("acme").open()).items(id);
  return items.map((item) => (listed(item)["content"] as readonly { text: string }[])[0]?.text);
}

/** The code of what a promise is rejected with. */
const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "done",
    (error: { code?: string }) => error.code ?? error,
  );

test("a conversation of as many items as it may have takes no further turn and no further item", async () => {
  const { engine, open } = makeEngine({ steps: [answer("one")], limits: { conversationItems: 3 } });
  const conversations = engine.conversations("acme", engine.memory.of("acme").open());
  const { id } = await conversations.create({ items: [user("zero")], metadata: {} });
  expect(await turn(open(), { conversation: id }).code()).toBe("completed");
  expect(await turn(open(), { conversation: id }).code()).toBe("conversation_full");
  expect(await code(conversations.add(id, [user("x")]))).toBe("conversation_full");
  expect(await textsOf({ engine } as TestEngine, id)).toEqual(["zero", "Hi", "one"]);
});

describe("while a turn runs in a conversation", () => {
  test("no other turn runs in it and no item changes, from any connection, and its metadata may", async () => {
    const gate = new Gate();
    const { open, conversations, id, texts } = await talk([[gate, ...(answer("one") as [])]]);
    const running = turn(open(), { conversation: id });
    await gate.reached;
    const other = turn(open(), { conversation: id });
    expect(await other.code()).toBe("conversation_locked");
    expect((await other.end).error).toMatchObject({ status: 400, param: "conversation" });
    expect(await code(conversations.add(id, [user("x")]))).toBe("conversation_locked");
    expect(await code(conversations.remove(id, "msg_x"))).toBe("conversation_locked");
    expect((await conversations.update(id, { topic: "tea" })).metadata).toEqual({ topic: "tea" });
    gate.open();
    expect(await running.code()).toBe("completed");
    expect(await texts()).toEqual(["zero", "Hi", "one"]);
    expect((await conversations.get(id)).metadata).toEqual({ topic: "tea" });
  });

  test("one that is not stored may read it", async () => {
    const gate = new Gate();
    const { open, scripted, id } = await talk([[gate, ...(answer("one") as [])], answer("two")]);
    const running = turn(open(), { conversation: id });
    await gate.reached;
    await turn(open(), { conversation: id, store: false }).response();
    expect(scripted.calls.at(-1)?.context).toEqual([user("zero"), user("Hi")]);
    gate.open();
    await running.end;
  });

  test("its lane waits, and then goes on in it", async () => {
    const { open, id, texts } = await talk([answer("one"), answer("two")]);
    const session = open();
    const turns = [turn(session, { conversation: id, input: "a" }), turn(session, { conversation: id, input: "b" })];
    expect(await Promise.all(turns.map((each) => each.code()))).toEqual(["completed", "completed"]);
    expect(await texts()).toEqual(["zero", "a", "one", "b", "two"]);
  });

  test("it cannot be steered", async () => {
    const gate = new Gate();
    const { open, id } = await talk([[gate, ...(answer("one") as [])]]);
    const session = open();
    const running = turn(session, { conversation: id });
    await gate.reached;
    const steer = { type: "response.steer", previous_response_id: "resp_2", input: "Stop!" };
    session.steer(parseSteer(steer), () => undefined);
    gate.open();
    await running.end;
    expect(running.events).toContainEqual(
      expect.objectContaining({
        type: "response.steer.failed",
        error: expect.objectContaining({ code: "steering_not_supported" }),
      }),
    );
  });

  test("deleting it fails the turn, which is told so", async () => {
    const gate = new Gate();
    const { open, conversations, id } = await talk([[gate, ...(answer("one") as [])]]);
    const running = turn(open(), { conversation: id });
    await gate.reached;
    await conversations.delete(id);
    gate.open();
    expect(await running.code()).toBe("not_found");
    expect(running.terminal?.type).toBe("response.failed");
  });
});

describe("a conversation is free again, and as it was,", () => {
  test.each([
    ["fails", [new Error("broken")], { outcome: "failed" }],
    ["is refused by its backend", { refuse: new Error("no") }, { outcome: "refused" }],
  ] as const)("when its turn %s", async (_, step, end) => {
    const { open, id, texts } = await talk([step as Step, answer("two")]);
    const session = open();
    expect(await turn(session, { conversation: id }).end).toMatchObject(end);
    expect(await texts()).toEqual(["zero"]);
    expect(await turn(session, { conversation: id }).code()).toBe("completed");
  });

  test.each([
    ["input", { input: [{ type: "function_call_output", call_id: "c", output: "" }] }],
    ["model", { model: "unknown" }],
    ["references", { input: [{ type: "item_reference", id: "msg_x" }] }],
  ])("when its turn is refused for its %s", async (_, request) => {
    const { open, id } = await talk([answer("two")]);
    expect((await turn(open(), { conversation: id, ...request }).end).outcome).toBe("refused");
    expect(await turn(open(), { conversation: id }).code()).toBe("completed");
  });

  test("the moment that a failure is told", async () => {
    const { open, id } = await talk([[new Error("broken")], answer("two")]);
    const next = Promise.withResolvers<string | null>();
    const emit = (events: readonly { type: string }[]): void => {
      if (events.some(({ type }) => type === "response.failed")) {
        turn(open(), { conversation: id }).code().then(next.resolve, next.reject);
      }
    };
    await turn(open(), { conversation: id }, { emit }).end;
    expect(await next.promise).toBe("completed");
  });

  test("when its client leaves", async () => {
    const gate = new Gate();
    const { open, id, texts } = await talk([[gate], answer("two")]);
    const session = open();
    const running = turn(session, { conversation: id });
    await gate.reached;
    session.close();
    expect((await running.end).outcome).toBe("abandoned");
    await turn(open(), { conversation: id }).end;
    expect(await texts()).toEqual(["zero", "Hi", "two"]);
  });

  test("when the server that held it has died, once its time is over", async () => {
    const gate = new Gate();
    const { open, store, runtime, id } = await talk([[gate, ...(answer("one") as [])]]);
    // Nobody renews this one, as after the end of the process.
    const dead = { runtime: withoutTimers(runtime), store, limits: DEFAULT_LIMITS };
    await new Conversations(dead, "acme", new ContextMemory(new Memory().of("acme").open())).hold(id, "resp_dead");
    expect(await turn(open(), { conversation: id }).code()).toBe("conversation_locked");
    runtime.advance(FAR);
    const running = turn(open(), { conversation: id });
    gate.open();
    expect(await running.code()).toBe("completed");
  });
});

function withoutTimers(runtime: Runtime): Runtime {
  return {
    now: () => runtime.now(),
    monotonic: () => runtime.monotonic(),
    newId: (kind) => runtime.newId(kind),
    every: () => () => undefined,
    pause: () => Promise.resolve(),
  };
}

test("a long turn keeps its hold by renewing it", async () => {
  const gate = new Gate();
  const { open, runtime, id } = await talk([[gate, ...(answer("one") as [])]]);
  const running = turn(open(), { conversation: id });
  await gate.reached;
  for (let step = 0; step < 12; step += 1) {
    runtime.advance(10_000);
    await settled();
  }
  expect(await turn(open(), { conversation: id }).code()).toBe("conversation_locked");
  gate.open();
  expect(await running.code()).toBe("completed");
});

test("a turn whose hold has passed to another fails, and changes nothing", async () => {
  const [first, second] = [new Gate(), new Gate()];
  const { open, store, runtime, id, texts } = await talk([
    [first, [{ type: "text.delta", delta: "late" }], finish()],
    [second, [{ type: "text.delta", delta: "new" }], finish()],
  ]);
  const late = turn(open(), { conversation: id, input: "a" });
  await first.reached;
  // A machine that stood still for so long has not renewed anything.
  runtime.stall(FAR);
  const taking = turn(open(), { conversation: id, input: "b" });
  await second.reached;
  first.open();
  expect(await late.code()).toBe("conversation_locked");
  expect(late.terminal?.type).toBe("response.failed");
  expect(await store.get("acme", late.terminal?.response.id ?? "")).toBeUndefined();
  second.open();
  expect(await taking.code()).toBe("completed");
  expect(await texts()).toEqual(["zero", "b", "new"]);
});

test("the items are in the conversation before the client hears of the end", async () => {
  const { open, id, texts } = await talk([answer("one")]);
  const seen: Promise<readonly unknown[]>[] = [];
  const emit = (events: readonly { type: string }[]): void => {
    if (events.some(({ type }) => type === "response.completed")) seen.push(texts());
  };
  await turn(open(), { conversation: id }, { emit }).end;
  expect(await Promise.all(seen)).toEqual([["zero", "Hi", "one"]]);
});

test("what cannot be stored is in no conversation", async () => {
  const store = new JournalStore();
  const { open, id, texts } = await talk([answer("one"), answer("two")], store);
  store.before = async (act) => {
    if (act === "put") throw new Error("full");
  };
  expect((await turn(open(), { conversation: id }).end).outcome).toBe("failed");
  store.before = async () => undefined;
  expect(await texts()).toEqual(["zero"]);
  expect(await turn(open(), { conversation: id }).code()).toBe("completed");
});

test("a conversation of another tenant is as unknown as none", async () => {
  const { engine, open, id } = await talk([]);
  const theirs = engine.conversations("other", engine.memory.of("other").open());
  for (const each of [id, "conv_none"]) {
    expect(await code(theirs.get(each))).toBe("not_found");
    expect(await code(theirs.update(each, {}))).toBe("not_found");
    expect(await code(theirs.delete(each))).toBe("not_found");
    expect(await code(theirs.items(each))).toBe("not_found");
    expect(await code(theirs.add(each, [user("x")]))).toBe("not_found");
    expect(await code(theirs.remove(each, "msg_x"))).toBe("not_found");
    expect(await turn(open("other"), { conversation: each }).code()).toBe("not_found");
    expect(await turn(open("other"), { conversation: each, store: false }).code()).toBe("not_found");
  }
});

test("however turns and additions race, each is in the conversation as a whole or was refused", async () => {
  const acts = fc.array(fc.constantFrom("turn", "fail", "add"), { minLength: 2, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(acts, fc.scheduler(), async (list, scheduler) => {
      const store = new JournalStore();
      const steps = list.flatMap((act): Step[] => (act === "add" ? [] : [answer("answer")]));
      const { open, conversations, id, texts } = await talk(steps, store);
      store.before = () => scheduler.schedule(Promise.resolve());
      const outcomes = list.map(async (act, index) => {
        await scheduler.schedule(Promise.resolve());
        if (act === "add") return code(conversations.add(id, [user(`add ${index}`)]));
        const request = { conversation: id, input: `turn ${index}`, ...(act === "fail" && { model: "unknown" }) };
        return turn(open(), request).code();
      });
      await scheduler.waitFor(Promise.all(outcomes));
      const ended = await Promise.all(outcomes);
      const added = (await texts()).slice(1).filter((text) => text !== "answer");
      const done = list.flatMap((_, index) =>
        ended[index] === "done" ? `add ${index}` : ended[index] === "completed" ? `turn ${index}` : [],
      );
      expect(new Set(added)).toEqual(new Set(done));
      expect(added).toHaveLength(done.length);
      const answers = (await texts()).filter((text) => text === "answer");
      expect(answers).toHaveLength(done.filter((each) => each.startsWith("turn")).length);
      for (const [index, end] of ended.entries()) {
        const allowed = list[index] === "fail" ? ["model_not_found"] : ["done", "completed"];
        expect([...allowed, "conversation_locked"]).toContain(end);
      }
    }),
    { numRuns: 40 },
  );
});

test("a conversation with an expiry is gone so many days after its last change", async () => {
  const days = 24 * 60 * 60 * 1000;
  let clock: { readonly now: () => number } | null = null;
  const store = new MemoryStore({ budgetBytes: 1 << 30, now: () => clock?.now() ?? 0 });
  const { engine, open, runtime } = makeEngine({ store, limits: { conversationDays: 7 }, steps: [answer("one")] });
  clock = runtime;
  const conversations = engine.conversations("acme", engine.memory.of("acme").open());
  const { id } = await conversations.create({ items: [user("zero")], metadata: {} });
  runtime.advance(6 * days);
  await turn(open(), { conversation: id, input: "x" }).response();
  runtime.advance(6 * days);
  expect((await conversations.get(id)).id).toBe(id);
  runtime.advance(1.1 * days);
  expect(await code(conversations.get(id))).toBe("not_found");
});
