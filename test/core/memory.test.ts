import { describe, expect, test } from "vitest";
import type { Item } from "../../src/protocol/items.ts";
import { answer, ClearSeal, finish, Gate } from "../../src/testing/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { makeNode } from "../stores/nodes.ts";
import { makeEngine, turn } from "./harness.ts";

const KIB = 1024;
const user = (content: string): Item => ({ type: "message", role: "user", content });
const reference = (id: unknown): Item => ({ type: "item_reference", id });

const budget = (kib: number) => ({ serverBytes: 4 * kib * KIB, tenantBytes: kib * KIB });

/** A store with a chain of `length` nodes of 10 KiB each. */
async function chained(length: number): Promise<{ readonly store: MemoryStore; readonly tip: string }> {
  const store = new MemoryStore({ budgetBytes: 1 << 30 });
  let parent = null;
  for (let index = 0; index < length; index += 1) {
    parent = makeNode(`resp_old${index}`, { parent, input: [user("x".repeat(10 * KIB))] });
    await store.put(parent);
  }
  return { store, tip: `resp_old${length - 1}` };
}

describe("what a turn holds", () => {
  test.each(["completes", "fails", "is refused", "is left"])(
    "is given back when the turn has ended, however it ends: %s",
    async (how) => {
      const { store, tip } = await chained(3);
      const gate = new Gate();
      const last = how === "fails" ? new Error("broken") : finish();
      const { engine } = makeEngine({
        store,
        memory: budget(1024),
        steps: [[gate, [{ type: "text.delta", delta: "x" }], last]],
      });
      const session = engine.openSession({ tenant: "acme", transport: "http" });
      const fields = how === "is refused" ? { model: "another" } : {};
      let held = 0;
      const running = turn(session, { previous_response_id: tip, ...fields });
      if (how !== "is refused") {
        await gate.reached;
        held = engine.memory.used;
      }
      if (how === "is left") session.close();
      gate.open();
      await running.end;
      session.close();
      expect(engine.memory.used).toBe(0);
      expect(held > 2 * 3 * 10 * KIB).toBe(how !== "is refused");
    },
  );

  test("is bounded: output that outgrows the budget fails the turn, and says which budget", async () => {
    const pieces = Array.from({ length: 100 }, () => [{ type: "text.delta" as const, delta: "x".repeat(KIB) }]);
    const { engine, open } = makeEngine({ memory: budget(64), steps: [[...pieces, finish()]] });
    const session = open();
    const { error } = await turn(session).response();
    expect(error?.code).toBe("request_memory_exceeded");
    session.close();
    expect(engine.memory.used).toBe(0);
  });
});

describe("a chain", () => {
  test("that is too long is refused, and not loaded", async () => {
    const { store, tip } = await chained(5);
    const { open, scripted } = makeEngine({ store, limits: { contextBytes: 40 * KIB }, steps: [answer("a")] });
    const session = open();
    expect(await turn(session, { previous_response_id: tip }).code()).toBe("context_length_exceeded");
    expect(await turn(session, { previous_response_id: "resp_old1" }).code()).toBe("completed");
    expect(scripted.calls).toHaveLength(1);
  });

  test("that does not fit beside what the tenant holds is refused until that is given back", async () => {
    const { store, tip } = await chained(5);
    const { engine, open } = makeEngine({ store, memory: budget(150), steps: [answer("a")] });
    const session = open();
    const other = engine.memory.of("acme").open();
    other.grow(100 * KIB);
    expect(await turn(session, { previous_response_id: tip }).code()).toBe("tenant_memory_exceeded");
    other.release();
    expect(await turn(session, { previous_response_id: tip }).code()).toBe("completed");
  });

  test("of a conversation is bounded as well", async () => {
    const { engine, open } = makeEngine({ limits: { contextBytes: 8 * KIB }, steps: [answer("a")] });
    const conversations = engine.conversations("acme", engine.memory.of("acme").open());
    const { id } = await conversations.create({ items: [user("x".repeat(10 * KIB))], metadata: {} });
    expect(await turn(open(), { conversation: id }).code()).toBe("context_length_exceeded");
  });
});

describe("a request", () => {
  test("of references to large items is refused, however small the request", async () => {
    const store = new MemoryStore({ budgetBytes: 1 << 30 });
    const items = Array.from({ length: 8 }, () => user("x".repeat(10 * KIB)));
    await store.put(makeNode("resp_0", { input: items }));
    const { open, scripted } = makeEngine({ store, limits: { contextBytes: 64 * KIB }, steps: [answer("a")] });
    const references = items.map((_, index) => reference(`msg_0i${index}`));
    expect(await turn(open(), { input: references }).code()).toBe("context_length_exceeded");
    expect(scripted.calls).toHaveLength(0);
  });

  test.each([
    ["compactions", (sealed: string) => ({ type: "compaction", encrypted_content: sealed })],
    ["sealed reasoning", (sealed: string) => ({ type: "reasoning", summary: [], encrypted_content: sealed })],
  ])("of %s that open to more than a context may have is refused", async (_, item) => {
    const { open, scripted } = makeEngine({ limits: { contextBytes: 64 * KIB }, steps: [answer("a")] });
    const parts = { form: 1, replaces: false, before: [], summary: "x".repeat(30 * KIB), after: [] };
    const texts = { compaction: JSON.stringify(parts), reasoning: `reasoning:${"x".repeat(30 * KIB)}` };
    const sealed = (type: string) => new ClearSeal().seal("acme", texts[type as keyof typeof texts]);
    const input = (count: number) =>
      Array.from({ length: count }, () => item(sealed(item("").type))).concat([user("Hi") as never]);
    expect(await turn(open(), { input: input(3) }).code()).toBe("context_length_exceeded");
    expect(await turn(open(), { input: input(1) }).code()).toBe("completed");
    expect(scripted.calls).toHaveLength(1);
  });
});

describe("a connection", () => {
  test("that has no room for its response evicts it, and says so to the turn that continues it", async () => {
    const { engine, open } = makeEngine({ memory: budget(64), steps: [answer("a"), answer("b"), answer("c")] });
    const [mine, second] = [open(), open()];
    const big = [user("x".repeat(30 * KIB))];
    const first = await turn(mine, { store: false, input: big }).response();
    const other = engine.memory.of("acme").open();
    other.grow(engine.memory.of("acme").free - 2 * KIB);
    const lost = await turn(second, { store: false, input: big }).response();
    other.release();
    const refused = turn(second, { store: false, previous_response_id: lost.id });
    expect(await refused.code()).toBe("previous_response_not_found");
    expect(refused.refusals[0]?.message).toContain("it was evicted");
    expect(await turn(mine, { store: false, previous_response_id: first.id }).code()).toBe("completed");
    mine.close();
    second.close();
    expect(engine.memory.used).toBe(0);
  });

  test("counts what it keeps against its tenant, with all others of that tenant", async () => {
    const { engine, open } = makeEngine({
      memory: budget(256),
      steps: Array.from({ length: 20 }, () => answer("a")),
    });
    const sessions = Array.from({ length: 20 }, () => open());
    for (const session of sessions) await turn(session, { store: false, input: [user("x".repeat(30 * KIB))] }).end;
    expect(engine.memory.of("acme").used).toBeLessThanOrEqual(256 * KIB);
    expect(engine.memory.of("acme").used).toBeGreaterThan(200 * KIB);
    for (const session of sessions) session.close();
    expect(engine.memory.used).toBe(0);
  });
});

test("a replay is made slice by slice: one that nobody reads holds no events", async () => {
  const deltas = Array.from({ length: 1000 }, () => [{ type: "text.delta" as const, delta: "x".repeat(KIB) }]);
  const { engine, open } = makeEngine({ steps: [[...deltas, finish()]] });
  const { id } = await turn(open()).response();
  const followed = await engine.runs.follow("acme", id);
  const sizes: number[] = [];
  for await (const batch of followed?.events() ?? []) sizes.push(batch.length);
  expect(sizes.length).toBeGreaterThan(10);
  expect(Math.max(...sizes)).toBeLessThan(100);
});
