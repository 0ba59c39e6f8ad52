import { Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import type { TurnReport } from "../src/core/ports.ts";
import { createLog, flushLog, LogObserver } from "../src/observe.ts";
import { ApiError, Quotation } from "../src/protocol/errors.ts";
import { startServer } from "../src/server.ts";
import type { Config } from "../src/settings.ts";
import { answer, ScriptedBackend, type Step } from "../src/testing/index.ts";

const SECRET = "xyzzy-secret-of-acme";

type Line = { readonly [field: string]: unknown };

/** A log that is kept, as the lines that it consists of. */
function keptLog(options: { readonly level?: string; readonly pretty?: boolean } = {}) {
  let text = "";
  const destination = new Writable({
    decodeStrings: false,
    write: (line: string, _encoding, done) => {
      text += line;
      done();
    },
  });
  const log = createLog({ level: "trace", ...options, destination });
  const lines = (message?: string): readonly Line[] =>
    text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Line)
      .filter((line) => message === undefined || line["msg"] === message);
  return { log, lines, text: () => text };
}

/** Runs one request over HTTP against a scripted backend, and stops the server. */
async function run(step: Step, body: object, settings: Partial<Config> = {}, headers: Record<string, string> = {}) {
  const kept = keptLog();
  const server = await startServer(
    { port: 0, store: "memory:", ...settings },
    { backend: new ScriptedBackend([step]), log: kept.log },
  );
  try {
    const answered = await fetch(`${server.url}/v1/responses`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ model: "m", input: SECRET, ...body }),
    });
    return { ...kept, status: answered.status, wire: await answered.text() };
  } finally {
    await server.close();
  }
}

describe("a turn", () => {
  test("is one line, with its sizes, tokens, times and ids", async () => {
    const { lines, wire } = await run(answer("Hel", "lo"), {});
    const { id } = JSON.parse(wire) as { readonly id: string };
    expect(lines("turn")).toEqual([
      {
        level: "info",
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        msg: "turn",
        responseId: id,
        previousResponseId: null,
        tenant: "default",
        keyName: null,
        session: expect.stringMatching(/^sess_/),
        requestId: expect.stringMatching(/^req_/),
        transport: "http",
        model: "m",
        outcome: "completed",
        errorCode: null,
        itemsIn: 1,
        bytesIn: Buffer.byteLength(JSON.stringify({ model: "m", input: SECRET })),
        bytesOut: expect.any(Number),
        inputTokens: 3,
        cachedTokens: 1,
        outputTokens: 2,
        reasoningTokens: 0,
        compacted: false,
        firstOutputMs: expect.any(Number),
        durationMs: expect.any(Number),
      },
    ]);
  });

  test("that a client got wrong is a warning, without a stack", async () => {
    const { lines, status } = await run(answer("never"), { previous_response_id: "resp_00ff" });
    expect(status).toBe(400);
    expect(lines("turn")).toMatchObject([
      {
        level: "warn",
        outcome: "refused",
        errorCode: "previous_response_not_found",
        previousResponseId: "resp_00ff",
      },
    ]);
    expect(lines("turn")[0]).not.toHaveProperty("err");
  });

  test("that the model server refused is a warning, without what it quoted of the request", async () => {
    const cause = new Error(`the model server answered 400: ${SECRET}`);
    const { lines, text } = await run([new ApiError("invalid_prompt", "It was refused.", { cause })], { store: false });
    expect(lines("turn")).toMatchObject([{ level: "warn", outcome: "refused", errorCode: "invalid_prompt" }]);
    expect(text()).not.toContain(SECRET);
  });

  test("that broke is an error with its cause and stack, none of which reaches the client", async () => {
    const broken = new Error(SECRET, { cause: new TypeError("what is behind it") });
    const { lines, wire } = await run([[{ type: "text.delta", delta: "Hel" }], broken], { input: "hello" });
    expect(wire).not.toContain(SECRET);
    expect(lines("turn")).toMatchObject([
      {
        level: "error",
        responseId: expect.stringMatching(/^resp_/),
        outcome: "failed",
        errorCode: "server_error",
        err: {
          type: "Error",
          message: SECRET,
          stack: expect.stringContaining("observe.test.ts"),
          cause: { type: "TypeError", message: "what is behind it" },
        },
      },
    ]);
  });

  test("that broke in a stream keeps its cause from the stream", async () => {
    const { lines, wire } = await run([[{ type: "text.delta", delta: "Hel" }], new Error(SECRET)], {
      input: "hello",
      stream: true,
    });
    const [, id] = /"type":"response.failed".*"id":"(resp_[^"]+)"/.exec(wire) ?? [];
    expect(wire).not.toContain(SECRET);
    expect(lines("turn")).toMatchObject([
      { responseId: id, level: "error", transport: "sse", err: { message: SECRET } },
    ]);
  });
});

describe("content", () => {
  test("is not logged", async () => {
    const { text } = await run(answer("the answer"), {});
    expect(text()).not.toContain(SECRET);
    expect(text()).not.toContain("the answer");
  });

  test("is logged with --log-content, under the response's id", async () => {
    const { lines, wire } = await run(answer("the answer"), {}, { logContent: true });
    const { id, output } = JSON.parse(wire) as { readonly id: string; readonly output: unknown };
    expect(lines("content")).toMatchObject([
      { responseId: id, tenant: "default", input: [{ role: "user", content: SECRET }], output },
    ]);
    expect(lines("turn")[0]).not.toHaveProperty("input");
  });

  test("of a response with store: false is not logged, with --log-content neither", async () => {
    const { lines, text } = await run(answer("the answer"), { store: false }, { logContent: true });
    expect(lines("turn")).toMatchObject([{ outcome: "completed" }]);
    expect(text()).not.toContain(SECRET);
    expect(text()).not.toContain("the answer");
  });
});

describe("keys", () => {
  const settings = { apiKeys: [{ tenant: "acme", key: SECRET }] };

  test("of clients are not logged, whether they fit or not", async () => {
    const good = await run(answer("hi"), { input: "hello" }, settings, { authorization: `Bearer ${SECRET}` });
    expect(good.lines("turn")).toMatchObject([{ tenant: "acme" }]);
    expect(good.text()).not.toContain(SECRET);
    const bad = await run(answer("hi"), { input: "hello" }, settings, { authorization: `Bearer not-${SECRET}` });
    expect(bad.status).toBe(401);
    expect(bad.text()).not.toContain(SECRET);
  });

  test("are hidden in whatever object gets into a line", () => {
    const { log, text } = keptLog();
    log.info({
      authorization: SECRET,
      request: { headers: { authorization: SECRET } },
      config: { backendKey: SECRET },
    });
    expect(text()).toContain("[hidden]");
    expect(text()).not.toContain(SECRET);
  });
});

describe("an error in the log", () => {
  test("shows its kind, text, code and causes, and nothing that a library hung on it", () => {
    const { log, lines } = keptLog();
    const behind = Object.assign(new Error("connect"), { code: "ECONNREFUSED", request: { body: SECRET } });
    log.error({ err: new AggregateError([behind], "all failed", { cause: behind }) }, "broken");
    const shown = { type: "Error", message: "connect", code: "ECONNREFUSED", stack: expect.any(String) };
    expect(lines()[0]?.["err"]).toEqual({
      type: "AggregateError",
      message: "all failed",
      stack: expect.any(String),
      errors: [shown],
      cause: shown,
    });
  });

  test("leaves out what others said, until it was compared with the content", () => {
    const { log, text, lines } = keptLog();
    const cause = new Quotation(SECRET);
    const err = Object.assign(new Error("answered 500", { cause }), { status: 500 });
    log.warn({ err }, "trying again");
    expect(text()).toContain("answered 500");
    expect(text()).not.toContain(SECRET);
    cause.redacted = "no such template: …";
    log.warn({ err }, "trying again");
    expect(text()).not.toContain(SECRET);
    expect(lines()[1]).toMatchObject({
      err: { status: 500, cause: { type: "Quotation", message: "no such template: …" } },
    });
  });

  test.each([
    "",
    "{",
    '{"a":"',
    `{"${SECRET}`,
    `"${SECRET}`,
    `{"a":"${SECRET}\n"}`,
    `[${SECRET}]`,
    `{"a":1}${SECRET}`,
    `{${SECRET}}`,
  ])("leaves out the text that is not JSON: %j", (json) => {
    const { log, lines, text } = keptLog();
    try {
      JSON.parse(json);
    } catch (error) {
      log.error({ err: new Error("broken", { cause: error }) }, "broken");
    }
    expect(lines()[0]).toMatchObject({ err: { cause: { type: "SyntaxError", message: expect.stringMatching(/./) } } });
    expect(text()).toMatch(/observe\.test\.ts/);
    for (let at = 0; at + 3 <= SECRET.length; at += 1) expect(text()).not.toContain(SECRET.slice(at, at + 3));
  });

  test("is cut where it is longer than a page, and ends where causes go in a circle", () => {
    const { log, text } = keptLog();
    const circular = new Error("x".repeat(100_000));
    circular.cause = circular;
    log.error({ err: circular }, "broken");
    expect(text().length).toBeLessThan(100_000);
    log.error({ err: SECRET }, "broken");
    expect(text()).toContain(SECRET);
  });
});

describe("at a terminal", () => {
  const report: TurnReport = {
    tenant: "acme",
    transport: "websocket",
    session: "sess_1",
    requestId: "req_1",
    keyName: "laptop",
    responseId: "resp_1",
    previousResponseId: null,
    model: "small\u001b[31m\n",
    outcome: "failed",
    errorCode: "server_error",
    cause: new Error("boom", { cause: new Error("behind") }),
    itemsIn: 1,
    bytesIn: 310,
    bytesOut: 4200,
    usage: null,
    compacted: false,
    timeToFirstOutput: null,
    duration: 2345,
    store: true,
  };

  test.each([true, false])("what a model server said word for word is not shown (store: %s)", (store) => {
    const { log, text } = keptLog();
    const cause = new Error("the model server answered 500", { cause: new Quotation(SECRET) });
    new LogObserver(log).observe({ kind: "turn.ended", ...report, cause, store });
    expect(text()).toContain("the model server answered 500");
    expect(text()).not.toContain(SECRET);
  });

  test("a refusal of the model server is a warning with its status and its own words, and no stack", () => {
    const { log, lines } = keptLog();
    const quotation = new Quotation(`no: ${SECRET}`);
    quotation.redacted = "no: …";
    const cause = Object.assign(new Error("the model server answered 400", { cause: quotation }), { status: 400 });
    new LogObserver(log).observe({ kind: "turn.ended", ...report, cause, errorCode: "invalid_prompt" });
    expect(lines()).toMatchObject([
      { level: "warn", err: { message: "the model server answered 400", status: 400, cause: { message: "no: …" } } },
    ]);
    expect(lines()[0]?.["err"]).not.toHaveProperty("stack");
  });

  test("an id that no server makes is not shown", () => {
    const { log, lines } = keptLog();
    new LogObserver(log).observe({ kind: "turn.ended", ...report, previousResponseId: `resp_${SECRET}` });
    expect(lines()[0]).toMatchObject({ previousResponseId: "(not an id)" });
  });

  test("a turn is a sentence, with what broke below it", () => {
    const { log, text } = keptLog({ pretty: true });
    new LogObserver(log).observe({ kind: "turn.ended", ...report });
    expect(text()).toContain("turn failed (server_error) · small");
    expect(text()).toContain("websocket of acme · 1 item in · 310 B → 4.2 kB · 2.3 s · resp_1");
    expect(text()).toContain("Error: boom");
    expect(text()).toContain("caused by:");
    expect(text()).toContain("Error: behind");
  });

  test("a name from outside takes no more room than a name needs", () => {
    const { log, text } = keptLog({ pretty: true });
    const long = "x".repeat(1_000_000);
    new LogObserver(log).observe({ kind: "turn.ended", ...report, model: long, previousResponseId: long });
    expect(text().length).toBeLessThan(10_000);
  });

  test("a name from outside cannot speak to the terminal", () => {
    const { log, text } = keptLog({ pretty: true });
    new LogObserver(log).observe({ kind: "turn.ended", ...report });
    expect(text()).toContain("small�[31m�");
  });

  test("other lines show their fields", () => {
    const { log, text } = keptLog({ pretty: true });
    log.warn({ url: "http://x", tries: 2 }, "trying again");
    expect(text()).toContain("trying again  url=http://x  tries=2");
  });
});

test.each([false, true])("no character steers what shows the log (at a terminal: %s)", (pretty) => {
  const { log, text } = keptLog({ pretty });
  const steering = ["\u0000", "\u001b", "\u007f", "\u009b", "\u2028", "\u2029", "\u202e", "\u2066", "\u200f", "\u061c"];
  steering.push("\ufeff", "\u200b", "\u{e0041}");
  const model = `a${steering.join("b")}c`;
  log.warn({ model, [`key${steering.join("")}`]: 1, err: new Error(model) }, model);
  for (const character of steering) expect(text()).not.toContain(character);
  const shown = pretty ? { model, msg: model } : (JSON.parse(text()) as object);
  expect(shown).toMatchObject({ model, msg: model });
});

test("connections and beginnings of turns are debug lines", () => {
  const { log, lines } = keptLog();
  const observer = new LogObserver(log);
  observer.observe({ kind: "session.opened", tenant: "a", session: "sess_1" });
  observer.observe({ kind: "turn.started", tenant: "a", responseId: "resp_1" });
  observer.observe({ kind: "session.closed", tenant: "a", session: "sess_1" });
  expect(lines().map((line) => [line["level"], line["msg"]])).toEqual([
    ["debug", "session.opened"],
    ["debug", "turn.started"],
    ["debug", "session.closed"],
  ]);
});

test("a flushed log has handed over its lines", async () => {
  const { log } = keptLog();
  await expect(flushLog(log)).resolves.toBeUndefined();
});
