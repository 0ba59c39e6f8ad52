import { describe, expect, test } from "vitest";
import { answer, callFunctions, Gate } from "../../src/testing/index.ts";
import { rawUpgrade } from "../support/raw-upgrade.ts";
import { MODEL, startServer } from "../support/server.ts";

describe("the upgrade", () => {
  test("is answered with a plain 101 and a request id, whatever the query says", async () => {
    const server = await startServer();
    const client = await server.connect({ path: "/v1/responses?api-version=1&x" });
    expect(client.headers["x-request-id"]).toMatch(/^req_/);
    expect(client.headers).not.toHaveProperty("sec-websocket-protocol");
    expect(client.headers).not.toHaveProperty("openai-model");
    expect(client.headers).not.toHaveProperty("sec-websocket-extensions");
  });

  test("is followed by silence until the client speaks", async () => {
    const server = await startServer({ steps: [answer("Hi")] });
    const client = await server.connect();
    const { frames } = await client.turn({ input: "hello" });
    expect(frames[0]).toMatchObject({ type: "response.created", sequence_number: 0 });
  });

  test("anywhere else is 404, as JSON", async () => {
    const server = await startServer();
    const { status, json } = await rawUpgrade(server.url, "/v1/realtime");
    expect(status).toBe(404);
    expect(json).toMatchObject({ error: { code: "not_found" } });
  });

  test.each([
    ["without a key", { "sec-websocket-key": "no" }],
    ["of another version", { "sec-websocket-version": "7" }],
  ])("%s is 400, as JSON with a request id", async (_name, headers) => {
    const server = await startServer();
    const { status, json, headers: answered } = await rawUpgrade(server.url, "/v1/responses", headers);
    expect(status).toBe(400);
    expect(json).toMatchObject({ error: { type: "invalid_request_error", code: "invalid_value" } });
    expect(answered["x-request-id"]).toMatch(/^req_/);
  });

  test("to another protocol is declined, and the request answered as the plain one it is", async () => {
    const server = await startServer();
    const { status } = await rawUpgrade(server.url, "/healthz", { upgrade: "h2c" });
    expect(status).toBe(200);
  });
});

describe("a message that is wrong", () => {
  const wrong: readonly (readonly [string, string, object])[] = [
    ["is not JSON", "{nope", { code: "invalid_json", param: null }],
    ["is no object", "[1]", { code: "invalid_type" }],
    ["is null", "null", { code: "invalid_type" }],
    ["has no type", "{}", { code: "missing_required_parameter", param: "type" }],
    ["is of an unknown type", `{"type":"session.update"}`, { code: "unsupported_event_type", param: "type" }],
    ["is of no type at all", `{"type":7}`, { code: "unsupported_event_type", param: "type" }],
    ["says nothing", `{"type":"response.create"}`, { code: "missing_required_parameter", param: "input" }],
    [
      "has input of a wrong type",
      `{"type":"response.create","model":"${MODEL}","input":7}`,
      { code: "invalid_type", param: "input" },
    ],
    [
      "has a wrong part in its input",
      `{"type":"response.create","model":"${MODEL}","input":[{"role":"user","content":[{"type":"input_text"}]}]}`,
      { code: "missing_required_parameter", param: "input[0].content[0].text" },
    ],
    [
      "names an unknown model",
      `{"type":"response.create","model":"gone","input":"x"}`,
      { code: "model_not_found", param: "model" },
    ],
  ];

  test.each(wrong)("that %s gets an error frame, and the connection goes on", async (_name, text, error) => {
    const server = await startServer({ steps: [answer("Hi")] });
    const client = await server.connect();
    client.send(text);
    const frame = await client.frame();
    expect(frame).toMatchObject({ type: "error", status: 400, error: { type: "invalid_request_error", ...error } });
    expect(frame.error).toHaveProperty("message");
    expect((await client.turn({ input: "hello" })).last.type).toBe("response.completed");
  });

  test("because it is binary closes the connection with 1003", async () => {
    const server = await startServer();
    const client = await server.connect();
    client.socket.send(Buffer.from(`{"type":"response.create"}`));
    expect(await client.closed()).toEqual({ code: 1003, reason: "binary messages are not supported" });
  });

  test("because it is too big closes the connection with 1009", async () => {
    const server = await startServer({ transportLimits: { maxMessageBytes: 1000 }, steps: [answer("Hi")] });
    const client = await server.connect();
    const room = 1000 - JSON.stringify({ type: "response.create", model: MODEL, input: "" }).length;
    expect((await client.turn({ input: "x".repeat(room) })).last.type).toBe("response.completed");
    client.create({ input: "x".repeat(room + 1) });
    expect(await client.closed()).toEqual({ code: 1009, reason: "message is larger than the limit" });
  });

  test("because it is not UTF-8 closes the connection with 1007", async () => {
    const server = await startServer();
    const client = await server.connect();
    client.socket.send(Buffer.from([0x22, 0xc3, 0x28, 0x22]), { binary: false });
    expect(await client.closed()).toEqual({ code: 1007, reason: "text messages must be UTF-8" });
  });

  test("of many megabytes within the limit is read", async () => {
    const server = await startServer({ steps: [answer("Hi")] });
    const client = await server.connect();
    expect((await client.turn({ input: "x".repeat(20_000_000), store: false })).last.type).toBe("response.completed");
  });
});

describe("turns of one connection", () => {
  test("run one after the other, in the order of their messages", async () => {
    const gate = new Gate();
    const server = await startServer({ steps: [[gate, [{ type: "text.delta", delta: "1" }], ...last()], answer("2")] });
    const client = await server.connect();
    client.create({ input: "first" });
    client.create({ input: "second" });
    await gate.reached;
    expect(server.backend.calls).toHaveLength(1);
    gate.open();
    const first = await client.rest();
    const second = await client.rest();
    expect(first.response.output).toMatchObject([{ content: [{ text: "1" }] }]);
    expect(second.response.output).toMatchObject([{ content: [{ text: "2" }] }]);
    expect(second.frames[0]?.type).toBe("response.created");
  });

  test("hear of a wrong message in its place: after the turn before it, and before the one after it", async () => {
    const gate = new Gate();
    const server = await startServer({ steps: [[gate, ...last()], answer("3")] });
    const client = await server.connect();
    client.create({ input: "first" });
    client.send("{nope");
    client.create({ model: "gone", input: "x" });
    client.create({ input: "last" });
    await gate.reached;
    gate.open();
    expect((await client.rest()).last.type).toBe("response.completed");
    expect((await client.rest()).frames).toMatchObject([{ type: "error", error: { code: "invalid_json" } }]);
    expect((await client.rest()).frames).toMatchObject([{ type: "error", error: { code: "model_not_found" } }]);
    expect((await client.rest()).last.type).toBe("response.completed");
  });

  test("beyond the limit of waiting ones are refused", async () => {
    const gate = new Gate();
    const server = await startServer({ limits: { queuedTurns: 1 }, steps: [[gate, ...last()], answer("2")] });
    const client = await server.connect();
    for (const input of ["1", "2", "3"]) client.create({ input });
    await gate.reached;
    const early = [await client.frame(), await client.frame(), await client.frame()];
    expect(early.find(({ type }) => type === "error")).toMatchObject({
      status: 429,
      error: { code: "too_many_queued_turns", headers: { "retry-after": "1" } },
      headers: { "retry-after": "1" },
    });
    gate.open();
    expect((await client.rest()).last.type).toBe("response.completed");
    expect((await client.rest()).last.type).toBe("response.completed");
  });

  test("are not read on while too many bytes wait, and all run in the end", async () => {
    const gate = new Gate();
    const steps = [[gate, ...last()], ...Array.from({ length: 30 }, () => answer("ok"))];
    // Were they read on, most of them would be too many to wait.
    const server = await startServer({ transportLimits: { queuedBytes: 100_000 }, limits: { queuedTurns: 4 }, steps });
    const other = await server.connect();
    const client = await server.connect();
    for (let index = 0; index <= 20; index += 1) client.create({ input: "x".repeat(90_000), store: false });
    await gate.reached;
    for (let index = 0; index < 10; index += 1) await other.turn({ input: "meanwhile", store: false });
    gate.open();
    for (let index = 0; index <= 20; index += 1) expect((await client.rest()).last.type).toBe("response.completed");
  });
});

describe("a continuation", () => {
  test.each([true, false])("on the same connection sends only what is new (store: %s)", async (store) => {
    const steps = [callFunctions({ callId: "call_1", name: "look" }), answer("blue"), answer("bye")];
    const server = await startServer({ steps });
    const client = await server.connect();
    const first = await client.turn({ input: "what colour?", store });
    const output = { type: "function_call_output", call_id: "call_1", output: "blue" };
    const second = await client.turn({ input: [output], previous_response_id: first.response.id, store });
    await client.turn({ input: "thanks", previous_response_id: second.response.id, store });
    expect(server.backend.calls[2]?.context).toMatchObject([
      { role: "user", content: "what colour?" },
      { type: "function_call", call_id: "call_1" },
      { type: "function_call_output", output: "blue" },
      { type: "message", role: "assistant" },
      { role: "user", content: "thanks" },
    ]);
  });

  test("of a stored response resolves on a new connection and over HTTP", async () => {
    const server = await startServer({ steps: [answer("1"), answer("2"), answer("3"), answer("4")] });
    const client = await server.connect();
    const { response } = await client.turn({ input: "one", store: true });
    await client.leave();
    const next = { input: "two", previous_response_id: response.id };
    const again = await server.connect();
    expect((await again.turn(next)).response.previous_response_id).toBe(response.id);
    expect((await server.http().create(next)).json.previous_response_id).toBe(response.id);
    expect((await server.http().stream(next)).frames.at(-1)?.type).toBe("response.completed");
    const contexts = server.backend.calls.slice(1).map(({ context }) => context.length);
    expect(contexts).toEqual([3, 3, 3]);
  });

  test("of a response made over HTTP resolves on a connection", async () => {
    const server = await startServer({ steps: [answer("1"), answer("2")] });
    const { json } = await server.http().create({ input: "one" });
    const client = await server.connect();
    expect((await client.turn({ input: "two", previous_response_id: json.id })).last.type).toBe("response.completed");
  });

  test("of a response that is not stored fails on a new connection and over HTTP", async () => {
    const server = await startServer({ steps: [answer("1")] });
    const client = await server.connect();
    const { response } = await client.turn({ input: "one", store: false });
    await client.leave();
    const next = { input: "two", previous_response_id: response.id };
    const notFound = {
      code: "previous_response_not_found",
      message: `Previous response with id '${response.id}' not found.`,
      param: "previous_response_id",
    };
    const again = await server.connect();
    expect((await again.turn(next)).last).toMatchObject({ type: "error", status: 400, error: notFound });
    const { status, json } = await server.http().create(next);
    expect(status).toBe(400);
    expect(json.error).toMatchObject(notFound);
  });

  const failing: readonly (readonly [string, object])[] = [
    ["cannot be read", { input: 7 }],
    ["names an unknown model", { model: "gone", input: "x" }],
    ["leaves a call open", { input: [{ type: "function_call", call_id: "c", name: "f", arguments: "{}" }] }],
  ];

  test.each(failing)("that %s leaves what it names in place", async (_name, fields) => {
    const server = await startServer({ steps: [answer("1"), answer("2")] });
    const client = await server.connect();
    const { response } = await client.turn({ input: "one", store: false });
    const failed = await client.turn({ ...fields, previous_response_id: response.id });
    expect(failed.last.type).toBe("error");
    const retry = await client.turn({ input: "two", previous_response_id: response.id });
    expect(retry.last.type).toBe("response.completed");
  });

  test("that answers a call that nobody made evicts what it names from the connection", async () => {
    const server = await startServer({ steps: [answer("1")] });
    const client = await server.connect();
    const { response } = await client.turn({ input: "one", store: false });
    const input = [{ type: "function_call_output", call_id: "no", output: "" }];
    const failed = await client.turn({ input, previous_response_id: response.id });
    expect(failed.last.error?.message).toMatch(/^No tool call found/);
    const retry = await client.turn({ input: "two", previous_response_id: response.id });
    expect(retry.last.error?.code).toBe("previous_response_not_found");
  });

  test("that fails at the backend evicts what it names, also for a turn that already waits", async () => {
    const server = await startServer({ steps: [answer("1"), [new Error("gone")]] });
    const client = await server.connect();
    const { response } = await client.turn({ input: "one", store: false });
    client.create({ input: "two", previous_response_id: response.id });
    client.create({ input: "three", previous_response_id: response.id });
    expect((await client.rest()).last.type).toBe("response.failed");
    expect((await client.rest()).last.error?.code).toBe("previous_response_not_found");
  });
});

/** The moves that end a step. */
function last() {
  return [[{ type: "finish", reason: "stop" }]] as const;
}
