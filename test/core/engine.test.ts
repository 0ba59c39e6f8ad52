import { describe, expect, test } from "vitest";
import { answer, finish, Gate } from "../../src/testing/index.ts";
import { makeEngine, settled, turn } from "./harness.ts";

describe("an engine", () => {
  test("counts its sessions and says when they come and go", () => {
    const { engine, open, observed } = makeEngine();
    const [first, second] = [open("acme"), open("other")];
    expect(engine.openSessions).toBe(2);
    expect(first.id).not.toBe(second.id);
    first.close();
    expect(engine.openSessions).toBe(1);
    expect(observed).toEqual([
      { kind: "session.opened", tenant: "acme", session: first.id },
      { kind: "session.opened", tenant: "other", session: second.id },
      { kind: "session.closed", tenant: "acme", session: first.id },
    ]);
  });

  test("knows the names of its models", async () => {
    expect(await makeEngine().engine.models()).toEqual(["m"]);
  });
});

const never = (): AbortSignal => new AbortController().signal;

describe("a drain", () => {
  test("of an idle engine is over at once, and the engine is no longer ready", async () => {
    const { engine, open } = makeEngine();
    open();
    expect(engine.ready).toBe(true);
    const drained = engine.drain(never());
    expect(engine.ready).toBe(false);
    await drained;
  });

  test("lets what runs and what waits come to its end", async () => {
    const gate = new Gate();
    const { engine, open } = makeEngine({ steps: [[gate, finish()], answer("b")] });
    const session = open();
    const turns = [turn(session), turn(session)];
    await gate.reached;
    let isOver = false;
    const drained = engine.drain(never()).then(() => (isOver = true));
    await settled();
    expect(isOver).toBe(false);
    gate.open();
    await drained;
    expect(await Promise.all(turns.map((each) => each.code()))).toEqual(["completed", "completed"]);
  });

  test("refuses new turns, on connections that are open and on those that come", async () => {
    const gate = new Gate();
    const { engine, open } = makeEngine({ steps: [[gate, finish()]] });
    const session = open();
    const running = turn(session);
    await gate.reached;
    const drained = engine.drain(never());
    const late = turn(open());
    expect(await late.end).toMatchObject({
      outcome: "refused",
      error: { code: "server_shutting_down", retryAfter: 1 },
    });
    expect(late.refusals).toHaveLength(1);
    // On a lane where something runs, the refusal waits for its place.
    const behind = turn(session);
    await settled();
    expect(behind.refusals).toEqual([]);
    gate.open();
    expect(await behind.code()).toBe("server_shutting_down");
    await drained;
    expect(await running.code()).toBe("completed");
  });

  test("forgets nothing that a refused turn names", async () => {
    const { engine, open } = makeEngine({ steps: [answer("a")] });
    const session = open();
    const { id } = await turn(session, { store: false }).response();
    await engine.drain(never());
    for (let count = 0; count < 2; count++) {
      expect(await turn(session, { previous_response_id: id }).code()).toBe("server_shutting_down");
    }
  });

  test("fails what has not ended by the deadline, and refuses what has not begun", async () => {
    const gate = new Gate();
    const { engine, open } = makeEngine({ steps: [[[{ type: "text.delta", delta: "a" }], gate]] });
    const session = open();
    const [running, waiting] = [turn(session), turn(session)];
    await gate.reached;
    const deadline = new AbortController();
    const drained = engine.drain(deadline.signal);
    deadline.abort();
    await drained;
    expect(await running.end).toMatchObject({ outcome: "failed", error: { code: "server_shutting_down" } });
    expect(running.terminal?.response.error?.code).toBe("server_shutting_down");
    expect(await waiting.end).toMatchObject({ outcome: "refused", error: { code: "server_shutting_down" } });
  });

  test("whose deadline has passed already ends everything at once", async () => {
    const gate = new Gate();
    const { engine, open } = makeEngine({ steps: [[gate]] });
    const running = turn(open());
    await gate.reached;
    await engine.drain(AbortSignal.abort());
    expect(await running.code()).toBe("server_shutting_down");
  });

  test("leaves nothing on its deadline", async () => {
    const { engine, open } = makeEngine({ steps: [answer("a")] });
    const session = open();
    const deadline = new AbortController();
    await engine.drain(deadline.signal);
    deadline.abort();
    expect(await turn(session).code()).toBe("server_shutting_down");
  });
});
