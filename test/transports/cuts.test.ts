import { EventEmitter, once } from "node:events";
import type { Server } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { answer, finish, type Move } from "../../src/testing/index.ts";
import { MessageDeadline, messageRoundMs } from "../../src/transports/message-deadline.ts";
import { Rounds } from "../../src/transports/rounds.ts";
import { watchAnswers } from "../../src/transports/slow-answers.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { makeNode } from "../stores/nodes.ts";
import { startServer, until } from "../support/server.ts";
import { stopTime } from "../support/time.ts";

const LARGE = "x".repeat(24 * 1024 * 1024);
const BRIEF = { slowClientMs: 30, outboxHighWater: 16 * 1024 * 1024, outboxLowWater: 1 };

/** A connection that asks and reads nothing. */
async function silent(url: string, text: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.pause();
  socket.write(text);
  return socket;
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
const post = (path: string, body: object): string => {
  const json = JSON.stringify(body);
  return `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`;
};

describe("a client that does not read its answer", () => {
  const stored = makeNode("resp_large", {
    tenant: "default",
    input: [{ type: "message", role: "user", content: LARGE }],
    output: [{ type: "text.delta", delta: LARGE }],
  });
  const ASKED: { readonly [name: string]: string } = {
    "a stored response": get("/v1/responses/resp_large"),
    "a list of items": get("/v1/responses/resp_large/input_items"),
    "a replay": get("/v1/responses/resp_large?stream=true"),
    "a new response as JSON": post("/v1/responses", { model: "scripted", input: "a", store: false }),
    "a new response as a stream": post("/v1/responses", { model: "scripted", input: "a", store: false, stream: true }),
  };

  test.each(Object.entries(ASKED))("is cut and counted: %s", async (_, text) => {
    const huge: Move = [{ type: "text.delta", delta: LARGE }];
    const store = new MemoryStore({ budgetBytes: 1024 * 1024 * 1024 });
    const server = await startServer({ steps: [[huge, finish()]], transportLimits: BRIEF, store });
    await store.put(stored);
    await silent(server.url, text);
    await until(() => server.cuts.length > 0);
    expect(server.cuts).toEqual(["slow_reader"]);
    await until(() => server.listener.openSockets === 0);
  });

  test("has as much time as its answer is large, and is left alone when it has taken all of it", () => {
    const time = stopTime();
    const server = new EventEmitter();
    const cuts: string[] = [];
    const limits = { slowClientMs: 1000, outboxHighWater: 10, outboxLowWater: 0 };
    watchAnswers(server as unknown as Server, limits, () => cuts.push("cut"));
    const answered = (writableLength: number) => {
      const socket = { writableLength, destroy: () => cuts.push("destroyed") };
      const response = Object.assign(new EventEmitter(), { socket });
      server.emit("request", {}, response);
      return response;
    };
    const slow = answered(40);
    time.pass(10_000);
    // What is not written yet, such as the answer to a pipelined request, is not the client's delay.
    expect(cuts).toEqual([]);
    slow.emit("prefinish");
    const fast = answered(40);
    fast.emit("prefinish");
    const gone = answered(0);
    gone.emit("prefinish");
    gone.emit("close");
    Object.assign(answered(0), { closed: true }).emit("prefinish");
    time.pass(3999);
    fast.emit("finish");
    expect(cuts).toEqual([]);
    time.pass(1);
    expect(cuts).toEqual(["cut", "destroyed"]);
    time.pass(10_000);
    expect(cuts).toHaveLength(2);
    expect(time.timers()).toBe(0);
  });
});

describe("the time of a message", () => {
  const MS = 1000;

  function watched() {
    const time = stopTime();
    const log: string[] = [];
    const sender = { received: 0, isHeld: false, cut: () => log.push("cut") };
    const deadline = new MessageDeadline(sender, new Rounds(messageRoundMs({ messageMs: MS })));
    return { time, log, sender, deadline };
  }

  test("is over when its last byte does not come, however many come before", () => {
    const { time, log, sender } = watched();
    for (let passed = 0; passed < MS; passed += 50) {
      sender.received += 1;
      time.pass(50);
    }
    expect(log).toEqual([]);
    time.pass(MS / 2);
    expect(log).toEqual(["cut"]);
    expect(time.timers()).toBe(0);
  });

  test("is not extended by pings between its fragments, which by themselves are no message", () => {
    const { time, log, sender, deadline } = watched();
    const ping = (): void => {
      sender.received += 6 + 4;
      deadline.control(4);
    };
    for (let passed = 0; passed < 5 * MS; passed += 50) {
      ping();
      time.pass(50);
    }
    expect(log).toEqual([]);
    sender.received += 1;
    for (let passed = 0; passed < 1.5 * MS; passed += 50) {
      ping();
      time.pass(50);
    }
    expect(log).toEqual(["cut"]);
  });

  test("begins anew with each message, and stands still while nothing is read", () => {
    const { time, log, sender, deadline } = watched();
    for (let count = 0; count < 20; count += 1) {
      sender.received += 100;
      time.pass(0.9 * MS);
      sender.received += 1;
      deadline.message();
    }
    sender.received += 1;
    sender.isHeld = true;
    time.pass(5 * MS);
    expect(log).toEqual([]);
  });
});

describe("a server", () => {
  test("cuts and counts a WebSocket message that does not end, and others go on", async () => {
    const server = await startServer({ steps: [answer("a")], transportLimits: { messageMs: 100, pingMs: 0 } });
    const client = await server.connect();
    client.socket.send('{"type":', { fin: false });
    expect(await client.closed()).toEqual({ code: 1008, reason: "a message took too long to arrive" });
    expect(server.cuts).toEqual(["slow_message"]);
    const other = await server.connect();
    expect((await other.turn({ input: "a" })).response.status).toBe("completed");
  });

  test("answers 408 to a request that does not end, and counts it", async () => {
    const server = await startServer({ transportLimits: { requestMs: 50, requestHeaderMs: 40 } });
    const text = post("/v1/responses", { model: "scripted", input: "a" });
    for (const part of [text.slice(0, -3), text.slice(0, 20)]) {
      const socket = await silent(server.url, part);
      let heard = "";
      socket.on("data", (data: Buffer) => (heard += data.toString()));
      socket.resume();
      await once(socket, "close");
      expect(heard).toMatch(/^HTTP\/1\.1 408 /);
      expect(heard).toContain("request_timeout");
    }
    expect(server.cuts).toEqual(["slow_request", "slow_request"]);
  });
});
