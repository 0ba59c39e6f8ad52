import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { answer, finish, Gate, type Move } from "../../src/testing/index.ts";
import { Silence, wantsKeepalive } from "../../src/transports/silence.ts";
import { MODEL, startServer, type TestServer, until } from "../support/server.ts";
import { stopTime } from "../support/time.ts";

const SILENCE = 30_000;
const CODEX = { originator: "codex_exec" };
const piece = (delta: string): Move => [{ type: "text.delta", delta }];

describe("silence", () => {
  test("is noticed after its time, and again each time it lasts as long", () => {
    const time = stopTime();
    let noticed = 0;
    const silence = new Silence(SILENCE, () => (noticed += 1));
    time.pass(SILENCE);
    expect(noticed).toBe(0);
    expect(silence.listen()).toBe(true);
    expect(silence.listen()).toBe(false);
    time.pass(SILENCE - 1);
    silence.broken();
    time.pass(SILENCE - 1);
    expect(noticed).toBe(0);
    time.pass(1);
    expect(noticed).toBe(1);
    time.pass(2 * SILENCE);
    expect(noticed).toBe(3);
    silence.rest();
    time.pass(SILENCE);
    expect(noticed).toBe(3);
    expect(time.timers()).toBe(0);
  });

  test("without a limit is nobody's business", () => {
    const time = stopTime();
    const silence = new Silence(0, () => undefined);
    expect(silence.listen()).toBe(false);
    expect(time.timers()).toBe(0);
  });
});

describe("keepalive events", () => {
  test.each([
    ["Codex", { originator: "codex_cli_rs", "user-agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64)" }],
    ["its SDK", { originator: "codex_sdk_ts" }],
    ["Codex behind a proxy that keeps only its agent", { "user-agent": "codex_exec/0.169.0" }],
    ["opencode", { originator: "opencode" }],
    ["pi", { originator: "pi" }],
    ["whoever speaks their dialect", { "openai-beta": "responses_websockets=2026-02-06" }],
  ])("are for %s", (_name, headers) => {
    expect(wantsKeepalive({ keepalive: "auto" }, headers)).toBe(true);
    expect(wantsKeepalive({ keepalive: "off" }, headers)).toBe(false);
  });

  test.each([
    ["OpenAI's SDK", { "user-agent": "OpenAI/JS 7.57.0" }],
    ["another beta", { "openai-beta": "responses_multi_agent=v1" }],
    ["a program that sends nothing of the kind", {}],
    ["pipelines", { "user-agent": "pipeline/1.0", originator: "pizza" }],
  ])("are not for %s, unless the operator says so", (_name, headers) => {
    expect(wantsKeepalive({ keepalive: "auto" }, headers)).toBe(false);
    expect(wantsKeepalive({ keepalive: "on" }, headers)).toBe(true);
  });
});

describe("over WebSocket", () => {
  test("a silent turn says keepalive every 30 seconds, by its own numbers", async () => {
    const time = stopTime();
    const gate = new Gate();
    const server = await startServer({ steps: [[gate, piece("Hi"), finish()]] });
    const client = await server.connect({ headers: CODEX });
    const timers = time.timers();
    client.create({ input: "x" });
    const before = [await client.frame(), await client.frame()];
    await gate.reached;
    time.pass(2 * SILENCE);
    const kept = [await client.frame(), await client.frame()];
    expect(kept).toEqual([
      { type: "keepalive", sequence_number: 2 },
      { type: "keepalive", sequence_number: 3 },
    ]);
    gate.open();
    const { frames } = await client.rest();
    const numbers = [...before, ...kept, ...frames].map((frame) => frame.sequence_number);
    expect(numbers).toEqual(numbers.map((_number, index) => index));
    // Afterwards there is nothing to say.
    await until(() => time.timers() === timers);
    time.pass(SILENCE);
    expect(client.unread).toEqual([]);
  });

  test("each lane that runs says it for itself", async () => {
    const time = stopTime();
    const gates = [new Gate(), new Gate()];
    const server = await startServer({ steps: gates.map((gate) => [gate, finish()]) });
    const client = await server.connect({ headers: CODEX });
    client.create({ input: "x" });
    client.create({ input: "x", stream_id: "two" });
    for (const gate of gates) await gate.reached;
    for (let index = 0; index < 4; index += 1) await client.frame();
    time.pass(SILENCE);
    expect([await client.frame(), await client.frame()]).toEqual([
      { type: "keepalive", sequence_number: 2 },
      { type: "keepalive", sequence_number: 2, stream_id: "two" },
    ]);
  });

  test("a turn that talks says none", async () => {
    const time = stopTime();
    const gates = [new Gate(), new Gate(), new Gate()] as const;
    const steps = [[gates[0], piece("a"), gates[1], piece("b"), gates[2], finish()]];
    const server = await startServer({ steps });
    const client = await server.connect({ headers: CODEX });
    client.create({ input: "x" });
    for (const gate of gates) {
      await gate.reached;
      time.pass(SILENCE - 1);
      gate.open();
    }
    const { frames } = await client.rest();
    expect(frames.filter(({ type }) => type === "keepalive")).toEqual([]);
  });

  test("the response that a steer begins is kept alive too", async () => {
    const time = stopTime();
    const gate = new Gate();
    const server = await startServer({ steps: [[new Gate()], [gate, ...(answer("better") as Move[])]] });
    const client = await server.connect({ headers: CODEX });
    client.create({ input: "x" });
    const { response } = await client.frame();
    client.send({ type: "response.steer", previous_response_id: response?.id, input: "no, y" });
    await gate.reached;
    expect((await client.rest()).last.type).toBe("response.incomplete");
    const created = [await client.frame(), await client.frame()];
    expect(created[0]?.type).toBe("response.created");
    time.pass(SILENCE);
    expect(await client.frame()).toEqual({ type: "keepalive", sequence_number: 2 });
  });

  test("others hear nothing but pings", async () => {
    const time = stopTime();
    const gate = new Gate();
    const server = await startServer({ transportLimits: { pingMs: 0 }, steps: [[gate, finish()]] });
    const client = await server.connect();
    client.create({ input: "x" });
    await gate.reached;
    time.pass(10 * SILENCE);
    gate.open();
    expect((await client.rest()).frames.map(({ type }) => type)).not.toContain("keepalive");
  });
});

async function stream(server: TestServer, gate: Gate, headers: Record<string, string>): Promise<string> {
  const answered = server.http().call("/v1/responses", {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: MODEL, input: "x", stream: true }),
  });
  await gate.reached;
  return (await answered).text;
}

describe("over SSE", () => {
  test("a silent stream gets a comment, for everybody, and the event for those who need it", async () => {
    const time = stopTime();
    const gates = [new Gate(), new Gate()] as const;
    const server = await startServer({ steps: gates.map((gate) => [gate, finish()]) });
    const texts: string[] = [];
    for (const [index, headers] of [{}, CODEX].entries()) {
      const gate = gates[index] as Gate;
      const text = stream(server, gate, headers);
      await gate.reached;
      time.pass(SILENCE);
      gate.open();
      texts.push(await text);
      time.pass(10 * SILENCE);
    }
    for (const text of texts) expect(text.match(/^: keepalive\n\n/gm)).toHaveLength(1);
    const [plain, codex] = texts;
    expect(plain).not.toContain("event: keepalive");
    expect(codex).toContain(`event: keepalive\ndata: {"type":"keepalive","sequence_number":2}\n\n`);
  });

  test("a stream that talks gets nothing of the kind", async () => {
    const time = stopTime();
    const gates = [new Gate(), new Gate()] as const;
    const server = await startServer({ steps: [[gates[0], piece("a"), gates[1], finish()]] });
    const text = stream(server, gates[0], CODEX);
    for (const gate of gates) {
      await gate.reached;
      time.pass(SILENCE - 1);
      gate.open();
    }
    expect(await text).not.toContain("keepalive");
  });

  test.each(["that ends", "whose client leaves"])("a stream %s leaves no timer", async (end) => {
    const time = stopTime();
    const gate = new Gate();
    const server = await startServer({ steps: [[gate, finish()]] });
    const timers = time.timers();
    const body = JSON.stringify({ model: MODEL, input: "x", stream: true });
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    const head = `POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
    socket.write(`${head}\r\nconnection: close\r\n\r\n${body}`);
    await gate.reached;
    expect(time.timers()).toBe(timers + 1);
    if (end === "that ends") gate.open();
    else socket.destroy();
    await until(() => time.timers() === timers);
    socket.destroy();
  });
});
