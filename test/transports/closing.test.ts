import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { answer, finish, Gate, type Move } from "../../src/testing/index.ts";
import { startServer, until } from "../support/server.ts";

describe("messages that are wrong", () => {
  test("16 in a row close the connection with 1008, when all of them are answered", async () => {
    const server = await startServer();
    const client = await server.connect();
    for (let index = 0; index < 20; index += 1) client.send(index % 2 === 0 ? "{nope" : `{"type":"nonsense"}`);
    for (let index = 0; index < 16; index += 1) expect((await client.frame()).type).toBe("error");
    expect(await client.closed()).toEqual({ code: 1008, reason: "too many protocol errors in a row" });
    expect(client.unread).toEqual([]);
  });

  test("do not add up over messages that are right", async () => {
    const server = await startServer();
    const client = await server.connect();
    for (let round = 0; round < 3; round += 1) {
      for (let index = 0; index < 15; index += 1) client.send("{nope");
      for (let index = 0; index < 15; index += 1) expect((await client.frame()).type).toBe("error");
      client.send({ type: "ping" });
    }
    // Right, as far as messages go.
    client.create({ input: "x", model: "gone" });
    expect((await client.frame()).error?.code).toBe("model_not_found");
  });

  test("wait for the turn before them, which ends as it would have", async () => {
    const gate = new Gate();
    const server = await startServer({ steps: [[gate, ...(answer("done") as Move[])]] });
    const client = await server.connect();
    client.create({ input: "x" });
    for (let index = 0; index < 16; index += 1) client.send("{nope");
    // Nothing that comes behind them is heard any more.
    client.create({ input: "y", stream_id: "other" });
    await gate.reached;
    gate.open();
    expect((await client.rest()).last.type).toBe("response.completed");
    for (let index = 0; index < 16; index += 1) expect((await client.frame()).type).toBe("error");
    expect((await client.closed()).code).toBe(1008);
    expect(server.backend.calls).toHaveLength(1);
  });
});

test("bytes that are no WebSocket frame close the connection with 1002", async () => {
  const server = await startServer();
  const client = await server.connect();
  (client.socket as unknown as { readonly _socket: Socket })._socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
  expect(await client.closed()).toEqual({ code: 1002, reason: "this is not a valid WebSocket frame" });
});

test("a mistake of the server's own closes the connection with 1011, and its text stays here", async () => {
  const gate = new Gate();
  const server = await startServer({ steps: [[gate, finish()]] });
  const client = await server.connect();
  client.create({ input: "x" });
  const { response } = await client.frame();
  await gate.reached;
  const mistake = new Error("no such secret");
  server.runtime.newId = () => {
    throw mistake;
  };
  client.send({ type: "response.steer", previous_response_id: response?.id, input: "y" });
  expect(await client.closed()).toEqual({ code: 1011, reason: "internal error" });
  expect(server.errors).toEqual([mistake]);
});

test("a client that reads no answers to its steers is not listened to", async () => {
  const server = await startServer({ transportLimits: { outboxHighWater: 1000, outboxLowWater: 100 } });
  const other = await server.connect();
  const client = await server.connect();
  client.socket.pause();
  const input = "x".repeat(100_000);
  const count = 300;
  for (let index = 0; index < count; index += 1) {
    client.send({ type: "response.steer", previous_response_id: "resp_gone", input });
  }
  for (let before = Infinity; client.socket.bufferedAmount < before; ) {
    before = client.socket.bufferedAmount;
    for (let index = 0; index < 5; index += 1) await other.turn({ input: "x", model: "gone" });
  }
  expect(client.socket.bufferedAmount).toBeGreaterThan(0);
  client.socket.resume();
  for (let index = 0; index < count; index += 1) expect((await client.frame()).type).toBe("response.steer.failed");
});

test("a server that drains lets the turns of all lanes end, each on its lane, and closes with 1012", async () => {
  const lanes = [undefined, "a", "b"] as const;
  const gates = lanes.map(() => new Gate());
  const server = await startServer({ steps: gates.map((gate, index) => [gate, ...(answer(String(index)) as Move[])]) });
  const client = await server.connect();
  for (const [index, stream_id] of lanes.entries()) {
    client.create({ input: "x", ...(stream_id !== undefined && { stream_id }) });
    await (gates[index] as Gate).reached;
  }
  for (let index = 0; index < 6; index += 1) await client.frame();
  server.listener.stopAccepting();
  const drained = server.engine.drain(new AbortController().signal);
  client.create({ input: "late", stream_id: "c" });
  expect(await client.frame()).toMatchObject({ stream_id: "c", error: { code: "server_shutting_down" } });
  for (const [index, stream_id] of lanes.entries()) {
    (gates[index] as Gate).open();
    const { last } = await client.rest();
    expect(last.type).toBe("response.completed");
    expect(last["stream_id"]).toBe(stream_id);
  }
  await drained;
  await server.listener.close();
  expect(await client.closed()).toEqual({ code: 1012, reason: "server is restarting" });
  await until(() => server.engine.openSessions === 0);
});
