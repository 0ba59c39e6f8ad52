import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_LIMITS, type Records, type Store } from "../../src/core/ports.ts";
import type { Run } from "../../src/core/run.ts";
import { type CreateRequest, parseCreateRequest } from "../../src/protocol/request.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { answer, finish, Gate, type Step } from "../../src/testing/index.ts";
import { makeEngine, settled, type TestEngine, turn } from "./harness.ts";

const LEASE_MS = DEFAULT_LIMITS.leaseMs;
const KINDS = ["run", "run.start", "run.part", "claim"];
const NOW = 1_800_000_000_000;

function held(): { readonly gate: Gate; readonly step: Step } {
  const gate = new Gate();
  return {
    gate,
    step: [[{ type: "text.delta", delta: "Hel" }], gate, [{ type: "text.delta", delta: "lo" }], finish()],
  };
}

/** Two servers with one store; each has a clock of its own, and one that is killed or paused is one whose clock stands still. */
function pair(steps: readonly Step[], store: Store = new MemoryStore({ budgetBytes: 1 << 30, now: () => NOW })) {
  const [owner, other] = [makeEngine({ steps, store }), makeEngine({ steps: [answer("other")], store })];
  // No two processes make the same ids.
  for (let count = 0; count < 100; count++) other.runtime.newId("response");
  return { store, owner, other };
}

function request(fields: object = {}): CreateRequest {
  return parseCreateRequest({ model: "m", input: "Hi", background: true, ...fields });
}

const session = { tenant: "acme", transport: "http" } as const;

async function start({ engine }: TestEngine, fields: object = {}): Promise<Run> {
  return (await engine.detach({ request: request(fields), session, bytesIn: 1 })) as Run;
}

async function recordsLeft({ records }: Store): Promise<readonly string[]> {
  const found = await Promise.all(KINDS.map((kind) => records.list("acme", kind, { limit: 9 })));
  return found.flat().map(({ kind, id }) => `${kind} ${id}`);
}

describe("of two servers with one store", () => {
  test("a server that stood still tells its client that the response has failed, as the store does", async () => {
    const { gate, step } = held();
    const { store, owner, other } = pair([step, answer("next")]);
    const run = await start(owner);
    await gate.reached;
    other.runtime.advance(LEASE_MS + 1);
    expect((await other.engine.runs.retrieve("acme", run.responseId))?.status).toBe("failed");
    gate.open();
    await run.ended;
    expect(run.final).toMatchObject({ status: "failed", error: { code: "server_error" } });
    const stored = await store.get("acme", run.responseId);
    expect(stored?.response).toMatchObject({
      status: "failed",
      error: { message: expect.stringContaining("stopped") },
    });
    for (const { open } of [owner, other]) {
      const next = turn(open(), { previous_response_id: run.responseId });
      expect(await next.code()).toBe("previous_response_not_found");
    }
    expect(await recordsLeft(store)).toEqual([]);
  });

  test("a server that notices the loss while its model still answers aborts the call", async () => {
    const { gate, step } = held();
    const { owner, other } = pair([step]);
    const run = await start(owner);
    await gate.reached;
    other.runtime.advance(LEASE_MS + 1);
    await other.engine.runs.sweep();
    owner.runtime.advance(1000);
    await run.ended;
    expect(await (await owner.scripted.call(0)).ended).toBe("aborted");
    expect(run.final).toMatchObject({ status: "failed", error: { code: "server_error" } });
  });

  test("a lease that is over by its owner's clock and that nobody took is renewed and committed", async () => {
    const { gate, step } = held();
    const { store, owner } = pair([step]);
    const run = await start(owner);
    await gate.reached;
    owner.runtime.stall(LEASE_MS + 1);
    gate.open();
    await run.ended;
    expect(run.final?.status).toBe("completed");
    expect((await store.get("acme", run.responseId))?.response.status).toBe("completed");
  });

  test("runs of a stopped server are ended by the sweep of another one, and nothing is left of them", async () => {
    const { gate, step } = held();
    const { store, owner, other } = pair([step, step]);
    const run = await start(owner);
    await gate.reached;
    owner.runtime.advance(1000);
    await settled();
    expect(await recordsLeft(store)).toHaveLength(3);
    await other.engine.runs.sweep();
    expect(await store.get("acme", run.responseId)).toBeUndefined();
    other.runtime.advance(LEASE_MS + 2000);
    await other.engine.runs.sweep();
    expect((await store.get("acme", run.responseId))?.response.status).toBe("failed");
    expect(JSON.stringify(await store.recording("acme", run.responseId))).toContain("Hel");
    expect(await recordsLeft(store)).toEqual([]);
  });

  test("a key whose server was killed before its run began is free again", async () => {
    const { store, owner, other } = pair([]);
    const lease = await owner.engine.runs.reserve("acme", "resp_1", [
      {
        write: { tenant: "acme", kind: "claim", id: "key", about: "resp_1", value: 1, node: null, expiresAt: null },
        version: 0,
      },
    ]);
    expect(lease).toBeDefined();
    other.runtime.advance(LEASE_MS + 1);
    await other.engine.runs.sweep();
    expect(await recordsLeft(store)).toEqual([]);
    expect(await store.get("acme", "resp_1")).toBeUndefined();
  });

  test.each([[true], [false]])(
    "deleting a response that another server runs cancels it (it ends first: %s)",
    async (first) => {
      const { gate, step } = held();
      const { store, owner, other } = pair([step]);
      const run = await start(owner);
      await gate.reached;
      expect(await other.engine.delete("acme", run.responseId)).toBe(true);
      if (first) gate.open();
      else owner.runtime.advance(1000);
      await run.ended;
      expect(run.final).toMatchObject(
        first ? { status: "failed", error: { code: "not_found" } } : { status: "cancelled" },
      );
      for (const { engine } of [owner, other]) {
        expect(await engine.runs.retrieve("acme", run.responseId)).toBeUndefined();
        expect(await engine.delete("acme", run.responseId)).toBe(false);
      }
      expect(await recordsLeft(store)).toEqual([]);
    },
  );

  test("what a paused server puts after a deletion is not there", async () => {
    const { gate, step } = held();
    const { store, owner, other } = pair([step]);
    const run = await start(owner);
    await gate.reached;
    other.runtime.advance(LEASE_MS + 1);
    await other.engine.runs.sweep();
    expect(await other.engine.delete("acme", run.responseId)).toBe(true);
    gate.open();
    await run.ended;
    expect(run.final?.status).toBe("failed");
    expect(await store.get("acme", run.responseId)).toBeUndefined();
  });
});

/** A store whose every answer and every write takes its time: the scheduler says in which order things happen. */
function slow(inner: Store, wait: () => Promise<unknown>): Store {
  const around = async <T>(work: () => Promise<T>): Promise<T> => {
    await wait();
    const result = await work();
    await wait();
    return result;
  };
  const { records } = inner;
  const slowRecords: Records = {
    get: (name) => around(() => records.get(name)),
    write: (...args) => around(() => records.write(...args)),
    apply: (changes) => around(() => records.apply(changes)),
    delete: (name) => around(() => records.delete(name)),
    due: (...args) => around(() => records.due(...args)),
    list: (...args) => around(() => records.list(...args)),
    chain: (record) => around(() => records.chain(record)),
  };
  return {
    records: slowRecords,
    put: (...args) => around(() => inner.put(...args)),
    get: (...args) => around(() => inner.get(...args)),
    recording: (...args) => around(() => inner.recording(...args)),
    load: (...args) => around(() => inner.load(...args)),
    delete: (...args) => around(() => inner.delete(...args)),
    close: () => inner.close(),
  };
}

test("whatever owner, burier, canceller and deleter do, and in whatever order, they agree on the end", async () => {
  const acts = fc.array(fc.constantFrom("pause", "bury", "ask", "cancel", "delete", "beat", "retry"), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(acts, fc.boolean(), fc.scheduler(), async (list, background, scheduler) => {
      const inner = new MemoryStore({ budgetBytes: 1 << 30, now: () => NOW });
      const wait = (): Promise<unknown> => scheduler.schedule(Promise.resolve());
      const { owner, other } = pair([answer("one"), answer("two")], slow(inner, wait));
      const options = { request: request({ background }), session, bytesIn: 1 };
      const claim = ({ engine }: TestEngine) => engine.claim("key", "print", options).catch(() => undefined);
      const first = claim(owner);
      const id = "resp_1";
      let isDeleted = false;
      const late: Promise<unknown>[] = [];
      const act = async (name: string): Promise<void> => {
        await wait();
        if (name === "pause") other.runtime.advance(LEASE_MS + 1);
        else if (name === "beat") owner.runtime.advance(1000);
        else if (name === "bury") await other.engine.runs.sweep();
        else if (name === "ask") await other.engine.runs.retrieve("acme", id);
        else if (name === "retry") late.push(claim(other));
        else if (name === "delete") isDeleted = (await other.engine.delete("acme", id)) || isDeleted;
        else late.push(other.engine.runs.cancel("acme", id));
      };
      /** Things happen in the scheduler's order, and time passes when nothing else can. */
      const through = async <T>(work: Promise<T>): Promise<T> => {
        const state = { isDone: false };
        const watched = work.finally(() => {
          state.isDone = true;
        });
        watched.catch(() => undefined);
        while (!state.isDone) {
          await scheduler.waitIdle();
          await settled();
          if (!state.isDone && scheduler.count() === 0) for (const { runtime } of [owner, other]) runtime.advance(1000);
        }
        return watched;
      };
      await through(Promise.all(list.map(act)));
      const run = (await through(first)) as Run | undefined;
      if (run !== undefined && "ended" in run) await through(run.ended);
      await through(Promise.all([...late, owner.engine.runs.idle(), other.engine.runs.idle()]));
      for (const { runtime } of [owner, other]) runtime.advance(LEASE_MS * 2);
      await through(other.engine.runs.sweep());
      const stored = (await inner.get("acme", id))?.response;
      // The retry may have come first, and then nothing is known of this id.
      const seen = run?.responseId === id ? run.final : null;
      const agrees = (): boolean => {
        if (isDeleted) return stored === undefined;
        if (seen?.status === "completed") return JSON.stringify(stored) === JSON.stringify(seen);
        return seen === null || seen === undefined || stored?.status !== "completed";
      };
      expect({ agrees: agrees(), isDeleted, stored: stored?.status, seen: seen?.status }).toMatchObject({
        agrees: true,
      });
      const left = await recordsLeft(inner);
      expect(left.filter((name) => name.includes(id))).toEqual([]);
      // Acknowledged once: of the runs of one key, one is completed.
      const ends = await Promise.all(
        [id, ...list.map((_, index) => `resp_${101 + index}`)].map((each) => inner.get("acme", each)),
      );
      const completed = ends.filter((end) => end?.response.status === "completed");
      expect(completed.length).toBeLessThanOrEqual(isDeleted ? 2 : 1);
    }),
    { numRuns: 150 },
  );
});
