import { describe, expect, test } from "vitest";
import { answer, Gate, type Move } from "../../src/testing/index.ts";
import { startServer, type TestServer, until } from "../support/server.ts";
import { stopTime } from "../support/time.ts";

const MINUTE = 60_000;
const LIMIT = {
  type: "error",
  status: 400,
  error: {
    type: "invalid_request_error",
    code: "websocket_connection_limit_reached",
    message:
      "Responses websocket connection limit reached (60 minutes). Create a new websocket connection to continue.",
    param: null,
  },
};
const CLOSED = { code: 1001, reason: "connection reached its age limit" };

/** What passes between the last answer and the end of a connection. */
const LINGER = 5000;

/** In hours that pass in no time nobody can answer a ping. */
const QUIET = { pingMs: 0 };

function gated(gate: Gate, text = "done"): readonly Move[] {
  return [gate, ...(answer(text) as Move[])];
}

/** All turns of the server have ended, and whoever waited for that has been told. */
async function rest(server: TestServer, turns: number): Promise<void> {
  await until(() => server.events.filter(({ kind }) => kind === "turn.ended").length === turns);
  await new Promise((resolve) => setImmediate(resolve));
}

describe("a connection at its age limit", () => {
  test("that is idle is told so, and closed with 1001", async () => {
    const time = stopTime();
    const server = await startServer({ transportLimits: QUIET });
    const client = await server.connect();
    time.pass(60 * MINUTE);
    await rest(server, 0);
    expect(client.unread).toEqual([]);
    time.pass(LINGER);
    expect(await client.frame()).toEqual(LIMIT);
    expect(await client.closed()).toEqual(CLOSED);
    expect(client.unread).toEqual([]);
    await until(() => server.listener.openSockets === 0);
    expect(time.timers()).toBe(0);
  });

  test("finishes the turns that run and wait, and refuses later ones for the whole connection", async () => {
    const time = stopTime();
    const gate = new Gate();
    const server = await startServer({ transportLimits: QUIET, steps: [gated(gate, "one"), answer("two")] });
    const client = await server.connect();
    client.create({ input: "runs" });
    client.create({ input: "waits" });
    await gate.reached;
    time.pass(60 * MINUTE);
    client.create({ input: "late", stream_id: "other" });
    const early = [await client.frame(), await client.frame(), await client.frame()];
    expect(early).toMatchObject([{ type: "response.created" }, { type: "response.in_progress" }, LIMIT]);
    expect(early[2]).toEqual(LIMIT);
    gate.open();
    expect((await client.rest()).response.output).toMatchObject([{ content: [{ text: "one" }] }]);
    expect((await client.rest()).response.output).toMatchObject([{ content: [{ text: "two" }] }]);
    await rest(server, 2);
    time.pass(LINGER);
    expect(await client.closed()).toEqual(CLOSED);
    // It has been told already.
    expect(client.unread).toEqual([]);
  });

  test("is left alone for a moment after its last answer", async () => {
    const time = stopTime();
    const gate = new Gate();
    const server = await startServer({ transportLimits: QUIET, steps: [gated(gate)] });
    const client = await server.connect();
    client.create({ input: "x" });
    await gate.reached;
    time.pass(60 * MINUTE);
    time.pass(LINGER * 2);
    gate.open();
    expect((await client.rest()).last.type).toBe("response.completed");
    await rest(server, 1);
    time.pass(LINGER - 1);
    client.send("{nope");
    expect((await client.frame()).error?.code).toBe("invalid_json");
    time.pass(1);
    expect(await client.closed()).toEqual(CLOSED);
  });

  test("fails a turn that outlasts the grace period, so that it has an end", async () => {
    const time = stopTime();
    const server = await startServer({ transportLimits: QUIET, steps: [[new Gate()]] });
    const client = await server.connect();
    client.create({ input: "for ever" });
    const call = await server.backend.call(0);
    time.pass(60 * MINUTE);
    time.pass(5 * MINUTE - 1);
    expect(call.signal.aborted).toBe(false);
    time.pass(1);
    expect((await client.rest()).last).toMatchObject({
      type: "response.failed",
      response: { error: { code: "websocket_connection_limit_reached" } },
    });
    await rest(server, 1);
    time.pass(LINGER);
    expect(await client.frame()).toEqual(LIMIT);
    expect(await client.closed()).toEqual(CLOSED);
  });
});

test("a connection without an age limit lives on", async () => {
  const time = stopTime();
  const server = await startServer({ transportLimits: { ...QUIET, connectionMs: 0 }, steps: [answer("Hi")] });
  const client = await server.connect();
  time.pass(24 * 60 * MINUTE);
  expect((await client.turn({ input: "x" })).last.type).toBe("response.completed");
  // That of messages, which have an end as well.
  expect(time.timers()).toBe(1);
});

test.each([0, 60])("a connection that is left after %i minutes leaves no timer", async (minutes) => {
  const time = stopTime();
  const server = await startServer({ transportLimits: QUIET, steps: [[new Gate()]] });
  const client = await server.connect();
  client.create({ input: "x" });
  const call = await server.backend.call(0);
  expect(time.timers()).toBeGreaterThan(0);
  time.pass(minutes * MINUTE);
  client.socket.close();
  expect(await call.ended).toBe("aborted");
  await rest(server, 1);
  await until(() => server.listener.openSockets === 0);
  expect(time.timers()).toBe(0);
});
