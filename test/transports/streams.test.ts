import { describe, expect, test } from "vitest";
import { ApiError } from "../../src/protocol/errors.ts";
import { answer, finish, type Step } from "../../src/testing/index.ts";
import { startServer, type TestServer } from "../support/server.ts";
import type { Frame } from "../support/ws-client.ts";

/** Both ways of streaming carry the same events; each test here runs over both. */
const transports = {
  sse: async (server: TestServer, fields: object) => (await server.http().stream(fields)).frames,
  websocket: async (server: TestServer, fields: object) => {
    const client = await server.connect();
    const { frames } = await client.turn(fields);
    await client.leave();
    return frames;
  },
};

const everything: Step = [
  [{ type: "reasoning.delta", delta: "The user" }],
  [
    { type: "reasoning.delta", delta: " greets." },
    { type: "summary.delta", delta: "A greeting" },
  ],
  [
    { type: "text.delta", delta: "Hel" },
    { type: "text.delta", delta: "lo, 世界 👋" },
  ],
  [
    { type: "call", key: 0, kind: "function", callId: "call_a", name: "look" },
    { type: "call", key: 1, kind: "custom", callId: "call_b", name: "patch" },
    { type: "call.delta", key: 1, delta: "*** begin\n" },
    { type: "call.delta", key: 0, delta: '{"at":' },
    { type: "call.delta", key: 0, delta: '"sky"}' },
    { type: "call.delta", key: 1, delta: "*** end" },
  ],
  [{ type: "item", item: { type: "web_search_call", id: "ws_1", status: "completed" } }],
  finish(),
];

describe.each(Object.entries(transports))("over %s", (_name, run) => {
  test("a response begins with created and in_progress and ends with completed", async () => {
    const server = await startServer({ steps: [answer("Hi")] });
    const types = (await run(server, { input: "hello" })).map(({ type }) => type);
    expect(types).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
  });

  test("sequence numbers count from 0 without gaps", async () => {
    const server = await startServer({ steps: [everything] });
    const frames = await run(server, { input: "hello" });
    expect(frames.map((frame) => frame.sequence_number)).toEqual(frames.map((_frame, index) => index));
  });

  test("the last event shows the whole response", async () => {
    const server = await startServer({ steps: [everything] });
    const last = (await run(server, { input: "hello", metadata: { trace: "a" } })).at(-1);
    expect(last?.response).toMatchObject({
      object: "response",
      status: "completed",
      metadata: { trace: "a" },
      usage: { total_tokens: 5 },
      output: [
        { type: "reasoning", content: [{ text: "The user greets." }], summary: [{ text: "A greeting" }] },
        { type: "message", content: [{ type: "output_text", text: "Hello, 世界 👋" }] },
        { type: "function_call", call_id: "call_a", arguments: '{"at":"sky"}' },
        { type: "custom_tool_call", call_id: "call_b", input: "*** begin\n*** end" },
        { type: "web_search_call", id: "ws_1" },
      ],
    });
  });

  test("a response that ran out of tokens ends incomplete", async () => {
    const server = await startServer({
      steps: [[[{ type: "text.delta", delta: "Once" }], finish("max_output_tokens")]],
    });
    const last = (await run(server, { input: "tell" })).at(-1);
    expect(last?.type).toBe("response.incomplete");
    expect(last?.response).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      output: [{ type: "message", status: "incomplete" }],
    });
  });

  test("the backend sees the request and nothing of its transport", async () => {
    const server = await startServer({ steps: [answer("ok")] });
    await run(server, { input: "hello", temperature: 0.5, top_k: 3 });
    const [call] = server.backend.calls;
    expect(call?.context).toEqual([{ type: "message", role: "user", content: "hello" }]);
    expect(call?.settings).toMatchObject({ temperature: 0.5, extra: { top_k: 3 } });
  });

  test("the cause of an unexpected failure stays on the server", async () => {
    const secret = new Error("password hunter2");
    const server = await startServer({ steps: [[[{ type: "text.delta", delta: "a" }], secret]] });
    const frames = await run(server, { input: "hello" });
    expect(frames.at(-1)?.type).toBe("response.failed");
    expect(JSON.stringify(frames)).not.toContain("hunter2");
    expect(server.events).toContainEqual(
      expect.objectContaining({ kind: "turn.ended", outcome: "failed", cause: secret }),
    );
  });

  test("the report of a turn counts the bytes in and out", async () => {
    const server = await startServer({ steps: [answer("x".repeat(10_000))] });
    await run(server, { input: "y".repeat(5000) });
    const report = server.events.find((event) => event.kind === "turn.ended");
    expect(report?.bytesIn).toBeGreaterThan(5000);
    expect(report?.bytesIn).toBeLessThan(5200);
    expect(report?.bytesOut).toBeGreaterThan(50_000);
  });
});

/** The same script on fresh servers, whose ids and clocks are the same too. */
async function both(
  steps: () => Step,
  fields: object,
): Promise<{ sse: readonly Frame[]; websocket: readonly Frame[] }> {
  const sse = await transports.sse(await startServer({ steps: [steps()] }), fields);
  const websocket = await transports.websocket(await startServer({ steps: [steps()] }), fields);
  return { sse, websocket };
}

const scripts: Record<string, () => Step> = {
  "text, reasoning, parallel calls and an unknown item": () => everything,
  "text in many pieces": () => answer(..."Twelve small pieces".split("")),
  "an incomplete response": () => [[{ type: "text.delta", delta: "Once" }], finish("content_filter")],
  "a call that was cut off": () => [
    [
      { type: "call", key: 0, kind: "function", callId: null, name: "look" },
      { type: "call.delta", key: 0, delta: '{"a' },
    ],
    finish("max_output_tokens"),
  ],
  "an empty answer": () => [finish()],
};

test.each(Object.keys(scripts))("SSE and WebSocket carry equal events with equal numbers: %s", async (name) => {
  const { sse, websocket } = await both(scripts[name] as () => Step, { input: "hello", store: false });
  expect(sse).toEqual(websocket);
});

test("each SSE block is one event line that names its type, one data line, and an empty line; [DONE] is the last", async () => {
  const server = await startServer({ steps: [everything] });
  const { blocks, text, headers, frames } = await server.http().stream({ input: "hello" });
  expect(headers).toMatchObject({
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
    "x-request-id": expect.stringMatching(/^req_/) as string,
  });
  expect(blocks.at(-1)).toEqual({ event: null, data: "[DONE]" });
  expect(blocks.slice(0, -1).map(({ event }) => event)).toEqual(frames.map(({ type }) => type));
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
});

test("a WebSocket carries no [DONE] and no stream_id that nobody asked for", async () => {
  const server = await startServer({ steps: [answer("Hi"), answer("Ho")] });
  const client = await server.connect();
  await client.turn({ input: "hello" });
  const { frames } = await client.turn({ input: "hello" });
  expect(frames[0]?.type).toBe("response.created");
  expect(frames.every((frame) => !("stream_id" in frame))).toBe(true);
});

/** A turn that the model server breaks off. */
function broken(): Step {
  return [
    [{ type: "text.delta", delta: "Well" }],
    new ApiError("rate_limit_exceeded", "The model server is busy.", { retryAfter: 7 }),
  ];
}

describe("a turn that fails in the middle", () => {
  test("is one response.failed over WebSocket", async () => {
    const server = await startServer({ steps: [broken()] });
    const client = await server.connect();
    const { frames, last } = await client.turn({ input: "hello" });
    expect(frames.filter(({ type }) => type === "error")).toEqual([]);
    expect(last).toMatchObject({
      type: "response.failed",
      response: { status: "failed", error: { code: "rate_limit_exceeded", message: "The model server is busy." } },
    });
  });

  test("is an error event and a response.failed over SSE", async () => {
    const server = await startServer({ steps: [broken()] });
    const { status, frames, blocks } = await server.http().stream({ input: "hello" });
    expect(status).toBe(200);
    const [announcement, last] = frames.slice(-2);
    expect(announcement).toMatchObject({
      type: "error",
      code: "rate_limit_exceeded",
      message: "The model server is busy.",
      param: null,
      error: { type: "rate_limit_error", code: "rate_limit_exceeded" },
    });
    expect(last).toMatchObject({ type: "response.failed", response: { status: "failed" } });
    expect(frames.map((frame) => frame.sequence_number)).toEqual(frames.map((_frame, index) => index));
    expect(blocks.at(-1)?.data).toBe("[DONE]");
  });

  test("is an HTTP error in JSON mode, with the status of its code and the time to come back", async () => {
    const server = await startServer({ steps: [broken()] });
    const { status, headers, json } = await server.http().create({ input: "hello" });
    expect(status).toBe(429);
    expect(headers["retry-after"]).toBe("7");
    expect(json).toEqual({
      error: {
        message: "The model server is busy.",
        type: "rate_limit_error",
        param: null,
        code: "rate_limit_exceeded",
      },
    });
  });
});

test("a turn that is refused before its first event is an HTTP error even with stream: true", async () => {
  const refuse = new ApiError("unsupported_parameter", "This model has no tools.", { param: "tools" });
  const server = await startServer({ steps: [{ refuse }] });
  const { status, headers, json } = await server.http().create({ input: "hello", stream: true });
  expect(status).toBe(400);
  expect(headers["content-type"]).toMatch(/^application\/json/);
  expect(json.error).toMatchObject({ code: "unsupported_parameter", param: "tools" });
});

test("without stream: true the answer is the response itself, also when it is incomplete", async () => {
  const server = await startServer({ steps: [answer("Hi"), [finish("max_output_tokens")]] });
  const completed = await server.http().create({ input: "hello" });
  expect(completed.status).toBe(200);
  expect(completed.json).toMatchObject({ object: "response", status: "completed" });
  const incomplete = await server.http().create({ input: "hello" });
  expect(incomplete.status).toBe(200);
  expect(incomplete.json).toMatchObject({ status: "incomplete" });
});
