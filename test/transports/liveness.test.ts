import { describe, expect, test } from "vitest";
import { Liveness } from "../../src/transports/liveness.ts";
import { Rounds } from "../../src/transports/rounds.ts";
import { Gate } from "../../src/testing/index.ts";
import { startServer, until } from "../support/server.ts";
import { stopTime } from "../support/time.ts";

const ROUND = 25_000;
const PING_SECONDS = { pingMs: ROUND };

describe("rounds", () => {
  test("visit everyone once a round, the first time after a whole one", () => {
    const time = stopTime();
    const rounds = new Rounds(ROUND);
    let visits = 0;
    rounds.add(() => (visits += 1));
    time.pass(ROUND - 1);
    expect(visits).toBe(0);
    time.pass(1);
    expect(visits).toBe(1);
    time.pass(3 * ROUND);
    expect(visits).toBe(4);
  });

  test("keep apart those who came apart", () => {
    const time = stopTime();
    const rounds = new Rounds(ROUND);
    const log: string[] = [];
    rounds.add(() => log.push("early"));
    time.pass(ROUND / 2);
    rounds.add(() => log.push("late"));
    time.pass(ROUND / 2);
    expect(log).toEqual(["early"]);
    time.pass(ROUND / 2 + ROUND / 25);
    expect(log).toEqual(["early", "late"]);
  });

  test("are one timer for all, and none for nobody", () => {
    const time = stopTime();
    const rounds = new Rounds(ROUND);
    expect(time.timers()).toBe(0);
    const leave = Array.from({ length: 1000 }, () => rounds.add(() => undefined));
    expect(time.timers()).toBe(1);
    const [first, ...others] = leave;
    for (const end of others) end();
    // Leaving twice counts once.
    for (const end of others) end();
    expect(time.timers()).toBe(1);
    first?.();
    expect(time.timers()).toBe(0);
  });
});

function peer() {
  const log: string[] = [];
  const subject = { received: 0, isHeld: false, ping: () => log.push("ping"), giveUp: () => log.push("give up") };
  return { log, subject };
}

describe("liveness", () => {
  test("a peer that stays silent gets three pings, and is given up", () => {
    const time = stopTime();
    const { log, subject } = peer();
    const liveness = new Liveness(subject, new Rounds(ROUND), { unansweredPings: 3 });
    time.pass(3 * ROUND);
    expect(log).toEqual(["ping", "ping", "ping"]);
    time.pass(ROUND);
    expect(log.at(-1)).toBe("give up");
    time.pass(10 * ROUND);
    expect(log).toHaveLength(4);
    expect(time.timers()).toBe(0);
    liveness.end();
  });

  test("any byte is a sign of life", () => {
    const time = stopTime();
    const { log, subject } = peer();
    const liveness = new Liveness(subject, new Rounds(ROUND), { unansweredPings: 1 });
    for (let round = 0; round < 10; round += 1) {
      time.pass(ROUND);
      subject.received += 1;
    }
    expect(log).not.toContain("give up");
    liveness.end();
  });

  test("a peer from which nothing is read is not taken for silent, and has all its time afterwards", () => {
    const time = stopTime();
    const { log, subject } = peer();
    const liveness = new Liveness(subject, new Rounds(ROUND), { unansweredPings: 2 });
    subject.isHeld = true;
    time.pass(10 * ROUND);
    subject.isHeld = false;
    expect(log).toEqual(Array.from({ length: 10 }, () => "ping"));
    time.pass(ROUND);
    expect(log).not.toContain("give up");
    time.pass(ROUND);
    expect(log).toContain("give up");
    liveness.end();
  });
});

describe("a connection", () => {
  test("is pinged every 25 seconds, which no client sees as a message", async () => {
    const time = stopTime();
    const server = await startServer();
    const client = await server.connect();
    for (let round = 0; round < 3; round += 1) {
      const pinged = new Promise((resolve) => client.socket.once("ping", resolve));
      time.pass(ROUND);
      await pinged;
    }
    expect(client.unread).toEqual([]);
  });

  test("whose client answers nothing is closed with 1011, and its turn is aborted", async () => {
    const time = stopTime();
    const server = await startServer({ transportLimits: PING_SECONDS, steps: [[new Gate()]] });
    const client = await server.connect({ autoPong: false });
    client.create({ input: "x" });
    const call = await server.backend.call(0);
    time.pass(4 * ROUND);
    time.pass(ROUND);
    expect(await call.ended).toBe("aborted");
    expect(await client.closed()).toEqual({ code: 1011, reason: "keepalive ping timeout" });
  });

  test("whose client cannot even be told is cut", async () => {
    const time = stopTime();
    const server = await startServer({ transportLimits: PING_SECONDS });
    const client = await server.connect({ autoPong: false });
    client.socket.pause();
    time.pass(5 * ROUND);
    expect(server.engine.openSessions).toBe(0);
    time.pass(500);
    await until(() => server.listener.openSockets === 0);
  });

  test("whose client answers pings by other messages lives on", async () => {
    const time = stopTime();
    const server = await startServer({ transportLimits: PING_SECONDS });
    const client = await server.connect({ autoPong: false });
    for (let round = 0; round < 8; round += 1) {
      time.pass(ROUND);
      client.create({ input: "x", model: "gone" });
      expect((await client.frame()).error?.code).toBe("model_not_found");
    }
    await client.leave();
  });

  test("that is not read, because too much of it waits, is not taken for dead", async () => {
    const time = stopTime();
    const gate = new Gate();
    const server = await startServer({
      transportLimits: { ...PING_SECONDS, queuedBytes: 1000 },
      steps: [[gate, [{ type: "finish", reason: "stop" }]]],
    });
    const client = await server.connect();
    client.create({ input: "x".repeat(2000) });
    await gate.reached;
    time.pass(20 * ROUND);
    gate.open();
    expect((await client.rest()).last.type).toBe("response.completed");
    await client.leave();
  });

  test("that is left is visited no more", async () => {
    const time = stopTime();
    const server = await startServer({ transportLimits: { ...PING_SECONDS, connectionMs: 0 } });
    const client = await server.connect();
    // One for pings, and one for messages that do not end.
    expect(time.timers()).toBe(2);
    await client.leave();
    await until(() => server.listener.openSockets === 0);
    expect(time.timers()).toBe(0);
  });

  test("is not pinged when nobody wants to know", async () => {
    const time = stopTime();
    const server = await startServer({ transportLimits: { pingMs: 0, connectionMs: 0 } });
    const client = await server.connect({ autoPong: false });
    expect(time.timers()).toBe(1);
    time.pass(100 * ROUND);
    client.send("{nope");
    expect((await client.frame()).type).toBe("error");
  });
});
