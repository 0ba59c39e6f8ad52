import { describe, expect, test } from "vitest";
import { answer, finish, Gate, type Move } from "../../src/testing/index.ts";
import { type Frame, isLast, type WsClient } from "../support/ws-client.ts";
import { startServer, type TestServer, until } from "../support/server.ts";

const PIECE = "x".repeat(16 * 1024);
/** More than all buffers between the server and a client that does not read can hold. */
const PIECES = 1500;

/** Text without end, as far as any buffer is concerned. Pieces are made when they are asked for. */
function* flood(): Generator<Move> {
  for (let index = 0; index < PIECES; index += 1) yield [{ type: "text.delta", delta: PIECE }];
  yield finish();
}

/** Runs turns on another connection until the flooded one stands still; both share one process, so it can go on if it will. */
async function standstill(server: TestServer, other: WsClient, taken: () => number): Promise<number> {
  for (;;) {
    const before = taken();
    for (let index = 0; index < 3; index += 1) {
      server.backend.expect(answer("quick"));
      expect((await other.turn({ input: "x", store: false })).last.type).toBe("response.completed");
    }
    if (taken() === before) return before;
  }
}

describe("a client that does not read", () => {
  test("pauses its backend, and only its own; when it reads on it gets everything", async () => {
    const server = await startServer({ steps: [flood()] });
    const other = await server.connect();
    const slow = await server.connect();
    slow.create({ input: "flood", store: false });
    await slow.frame();
    slow.socket.pause();
    const call = await server.backend.call(0);
    const taken = await standstill(server, other, call.taken);
    expect(taken).toBeLessThan(PIECES);
    slow.socket.resume();
    let deltas = 0;
    for (let frame: Frame = await slow.frame(); !isLast(frame); frame = await slow.frame()) {
      if (frame.type === "response.output_text.delta") deltas += 1;
    }
    expect(deltas).toBe(PIECES);
    expect(await call.ended).toBe("finished");
  });

  test("pauses its backend over SSE too", async () => {
    const server = await startServer({ steps: [flood()] });
    const other = await server.connect();
    const reader = await openStream(server);
    const call = await server.backend.call(0);
    expect(await standstill(server, other, call.taken)).toBeLessThan(PIECES);
    expect(await readAll(reader)).toBeGreaterThan(PIECES * PIECE.length);
    expect(await call.ended).toBe("finished");
  });

  test("for too long loses its connection with 1013, and its backend is aborted at once", async () => {
    const server = await startServer({ steps: [flood()], transportLimits: { slowClientMs: 30 } });
    const slow = await server.connect();
    slow.create({ input: "flood", store: false });
    await slow.frame();
    slow.socket.pause();
    const call = await server.backend.call(0);
    expect(await call.ended).toBe("aborted");
    slow.socket.resume();
    expect(await slow.closed()).toEqual({ code: 1013, reason: "client reads too slowly" });
  });

  test("for too long loses its connection over SSE", async () => {
    const server = await startServer({ steps: [flood()], transportLimits: { slowClientMs: 30 } });
    const reader = await openStream(server);
    const call = await server.backend.call(0);
    expect(await call.ended).toBe("aborted");
    await expect(readAll(reader)).rejects.toThrow("terminated");
  });

  test("and only earns errors is no longer listened to", async () => {
    const server = await startServer({ transportLimits: { outboxHighWater: 1000, outboxLowWater: 100 } });
    const other = await server.connect();
    const client = await server.connect();
    // An error that repeats what it is about is as long as the message that it answers.
    const id = "x".repeat(100_000);
    const count = 300;
    client.socket.pause();
    for (let index = 0; index < count; index += 1) client.create({ previous_response_id: id });
    const heard = (): number =>
      server.events.filter((event) => event.kind === "turn.ended" && event.bytesIn > 100_000).length;
    expect(await standstill(server, other, heard)).toBeLessThan(count);
    client.socket.resume();
    for (let index = 0; index < count; index += 1) {
      expect((await client.frame()).error?.code).toBe("previous_response_not_found");
    }
  });

  test("for too long loses its connection in JSON mode, when its answer waits", async () => {
    const huge: Move = [{ type: "text.delta", delta: "x".repeat(64 * 1024 * 1024) }];
    const server = await startServer({ steps: [[huge, finish()]], transportLimits: { slowClientMs: 30 } });
    const reader = await openStream(server, { stream: false });
    await until(() => server.listener.openSockets === 0);
    await expect(readAll(reader)).rejects.toThrow("terminated");
  });
});

/** Asks with the platform's own client, which reads only when it is asked to. */
async function openStream(server: TestServer, fields: object = {}): Promise<Reader> {
  const response = await fetch(`${server.url}/v1/responses`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "scripted", input: "flood", stream: true, store: false, ...fields }),
  });
  return (response.body as ReadableStream<Uint8Array>).getReader();
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

/** Reads to the end and counts the bytes. */
async function readAll(reader: Reader): Promise<number> {
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) bytes += part.value.length;
  return bytes;
}

/** What keeps a process alive: sockets and timers of servers, connections and requests. */
function heldResources(): number {
  return process.getActiveResourcesInfo().filter((name) => /TCPSocketWrap|Timeout|HTTP/.test(name)).length;
}

describe("a client that goes away", () => {
  const text: Move = [{ type: "text.delta", delta: "Well" }];

  test.each([
    ["politely", (client: WsClient) => client.socket.close()],
    ["abruptly", (client: WsClient) => client.socket.terminate()],
  ])("%s in the middle of a turn aborts its backend, and nothing of it is kept", async (_name, leave) => {
    const server = await startServer({ steps: [[text, new Gate()]] });
    const client = await server.connect();
    client.create({ input: "x" });
    const call = await server.backend.call(0);
    leave(client);
    expect(await call.ended).toBe("aborted");
    expect(call.signal.aborted).toBe(true);
    await until(() => server.engine.openSessions === 0);
    await until(() => server.events.some((event) => event.kind === "turn.ended" && event.outcome === "abandoned"));
  });

  test("with turns in its queue takes them along", async () => {
    const server = await startServer({ steps: [[new Gate()]] });
    const client = await server.connect();
    for (const input of ["1", "2", "3"]) client.create({ input });
    const call = await server.backend.call(0);
    client.socket.terminate();
    expect(await call.ended).toBe("aborted");
    await until(() => server.engine.openSessions === 0);
    expect(server.backend.calls).toHaveLength(1);
  });

  test.each([true, false])("over HTTP in the middle of a turn aborts its backend (stream: %s)", async (stream) => {
    const server = await startServer({ steps: [[text, new Gate()]] });
    const controller = new AbortController();
    const answered = server.http().create({ input: "x", stream }, { signal: controller.signal });
    const call = await server.backend.call(0);
    controller.abort();
    await expect(answered).rejects.toThrow("aborted");
    expect(await call.ended).toBe("aborted");
    await until(() => server.engine.openSessions === 0);
    await until(() => server.events.some((event) => event.kind === "turn.ended" && event.outcome === "abandoned"));
  });

  test("leaves nothing behind: no session, no socket, no timer", async () => {
    const server = await startServer({ steps: Array.from({ length: 40 }, () => answer("ok")) });
    const before = heldResources();
    await Promise.all(
      Array.from({ length: 10 }, async (_nothing, index) => {
        const client = await server.connect();
        await client.turn({ input: "x" });
        await client.turn({ input: "x", store: false });
        await server.http().create({ input: "x" });
        await server.http().stream({ input: "x" });
        if (index % 2 === 0) await client.leave();
        else client.socket.terminate();
      }),
    );
    await until(() => server.engine.openSessions === 0 && server.listener.openSockets === 0);
    await until(() => heldResources() <= before);
    const opened = server.events.filter(({ kind }) => kind === "session.opened");
    const closed = server.events.filter(({ kind }) => kind === "session.closed");
    expect([opened.length, closed.length]).toEqual([30, 30]);
  });
});

describe("a server that drains", () => {
  test("lets running turns finish, refuses new ones, and then closes connections with 1012", async () => {
    const gate = new Gate();
    const server = await startServer({ steps: [[gate, ...(answer("done") as Move[])]] });
    const busy = await server.connect();
    const idle = await server.connect();
    busy.create({ input: "x" });
    await gate.reached;

    server.listener.stopAccepting();
    const drained = server.engine.drain(AbortSignal.timeout(20_000));
    const { last } = await idle.turn({ input: "late" });
    expect(last).toMatchObject({
      type: "error",
      status: 503,
      error: { code: "server_shutting_down" },
      headers: { "retry-after": "1" },
    });
    const overHttp = await server.http().create({ input: "late" });
    expect(overHttp).toMatchObject({ status: 503, headers: { "retry-after": "1", connection: "close" } });
    await expect(server.connect()).rejects.toThrow("503");

    gate.open();
    expect((await busy.rest()).last.type).toBe("response.completed");
    await drained;
    await server.listener.close();
    const restart = { code: 1012, reason: "server is restarting" };
    expect(await busy.closed()).toEqual(restart);
    expect(await idle.closed()).toEqual(restart);
    expect(server.engine.openSessions).toBe(0);
  });

  test("fails the turns that outlast its deadline", async () => {
    const server = await startServer({ steps: [[new Gate()]] });
    const client = await server.connect();
    client.create({ input: "x" });
    await server.backend.call(0);
    await server.engine.drain(AbortSignal.abort());
    expect((await client.rest()).last).toMatchObject({
      type: "response.failed",
      response: { error: { code: "server_shutting_down" } },
    });
  });

  test("cuts the connections of clients that do not end them", async () => {
    const server = await startServer({ transportLimits: { closeMs: 30 } });
    const client = await server.connect();
    client.socket.pause();
    await server.listener.close();
    expect(server.listener.openSockets).toBe(0);
  });

  test("does not wait for idle keep-alive connections", async () => {
    const server = await startServer({ transportLimits: { closeMs: 600_000 }, steps: [answer("Hi")] });
    const body = JSON.stringify({ model: "scripted", input: "x" });
    const headers = { "content-type": "application/json" };
    await (await fetch(`${server.url}/v1/responses`, { method: "POST", headers, body })).text();
    expect(server.listener.openSockets).toBe(1);
    await server.listener.close();
    expect(server.listener.openSockets).toBe(0);
  });
});
