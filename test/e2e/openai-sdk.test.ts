import OpenAI, { type APIError } from "openai";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { KeyBook } from "../../src/keys/key-book.ts";
import { type RunningServer, startServer } from "../../src/server.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { answer, block, ChatUpstream, delta, refuse, text } from "../support/chat-upstream.ts";
import { agentAnswers, agentMessages, runAgent, textOf, WAYS } from "../support/openai-agent.ts";

/** OpenAI's SDK as it is, over HTTP and WebSocket, in front of the simulator and of a chat-completions server. */

let upstream: ChatUpstream;
let server: RunningServer;
let client: OpenAI;

beforeEach(async () => {
  upstream = await ChatUpstream.start();
});

afterEach(async () => {
  await server.close();
  await upstream.close();
});

async function start(settings: Parameters<typeof startServer>[0]): Promise<void> {
  server = await startServer({
    port: 0,
    store: "memory:",
    logLevel: "silent",
    backendRetries: 0,
    maxLoopDelayMs: 0,
    ...settings,
  });
  client = new OpenAI({ apiKey: "any", baseURL: `${server.url}/v1`, maxRetries: 0 });
}

const startSimulator = () => start({ simRounds: 3, simTools: "all" });
const startChat = () => start({ backend: upstream.url });

const typesOf = (response: OpenAI.Responses.Response) => response.output.map((item) => item.type);

describe("an agent", () => {
  test.each(Object.entries(WAYS))("comes to the same end with the simulator: %s", async (_, way) => {
    await startSimulator();
    const { take, done } = way(client);
    const responses = await runAgent(take);
    done?.();
    expect(responses.map(typesOf)).toEqual([
      ["reasoning", "function_call"],
      ["reasoning", "custom_tool_call", "function_call"],
      ["reasoning", "custom_tool_call"],
      ["reasoning", "message"],
    ]);
    // The items of all turns before: the task, four calls and their outputs, three thoughts.
    expect(textOf(responses.at(-1))).toContain("12 items, 4 of them tool outputs");
  });

  test.each(Object.entries(WAYS))("shows a chat server the whole conversation: %s", async (_, way) => {
    await startChat();
    upstream.script(...agentAnswers());
    const { take, done } = way(client);
    const responses = await runAgent(take);
    done?.();
    expect(upstream.calls.map(({ body }) => body.messages)).toEqual(agentMessages());
    expect(responses.map(typesOf)).toEqual([
      ["reasoning", "message", "function_call", "function_call"],
      ["custom_tool_call"],
      ["message"],
    ]);
    expect(textOf(responses.at(-1))).toBe("Done: 完了 🏠.");
    expect(responses.at(-1)?.usage).toMatchObject({ input_tokens: 11, output_tokens: 7, total_tokens: 18 });
  });
});

/** What a promise is rejected with. */
function caught(promise: PromiseLike<unknown>): Promise<unknown> {
  return Promise.resolve(promise).catch((error: unknown) => error);
}

/** Reads a stream to its end. */
async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

const FORMAT = {
  type: "json_schema",
  name: "weather",
  strict: true,
  schema: {
    type: "object",
    properties: { city: { type: "string" }, degrees: { type: "integer" } },
    required: ["city", "degrees"],
    additionalProperties: false,
  },
} as const;

/**
 * The events of the agent's first turn, deltas that follow each other as one; the arguments of its calls come in turn,
 * with both calls open.
 */
const ORDER = [
  "created in_progress",
  "output_item.added content_part.added reasoning_text.delta reasoning_text.done",
  "content_part.done output_item.done",
  "output_item.added content_part.added output_text.delta output_text.done",
  "content_part.done output_item.done",
  "output_item.added function_call_arguments.delta",
  "output_item.added function_call_arguments.delta",
  "function_call_arguments.done output_item.done function_call_arguments.done output_item.done",
  "completed",
].join(" ");

describe("the SDK reads", () => {
  test("the parts of a stream in the order in which its strictest parser wants them", async () => {
    await startChat();
    upstream.script(...agentAnswers());
    const stream = client.responses.stream({ model: "m", input: "x", tools: [{ type: "custom", name: "patch" }] });
    const types: string[] = [];
    for await (const event of stream) {
      const type = event.type.replace("response.", "");
      if (type !== types.at(-1) || !type.endsWith(".delta")) types.push(type);
    }
    expect(types.join(" ")).toBe(ORDER);
  });

  test("a refusal", async () => {
    await startChat();
    upstream.otherwise(answer(delta({ refusal: "I will " }), delta({ refusal: "not." }), delta({}, "stop")));
    const stream = client.responses.stream({ model: "m", input: "x" });
    const deltas: string[] = [];
    stream.on("response.refusal.delta", ({ delta }) => deltas.push(delta));
    const { output } = await stream.finalResponse();
    expect(deltas.join("")).toBe("I will not.");
    expect(output).toMatchObject([{ type: "message", content: [{ type: "refusal", refusal: "I will not." }] }]);
  });

  test("structured output of the simulator, which fits the schema", async () => {
    await startSimulator();
    const response = await client.responses.parse({ model: "sim", input: "x", text: { format: FORMAT } });
    expect(response.output_parsed).toEqual({ city: expect.any(String), degrees: expect.any(Number) });
  });

  test("structured output of a chat server, which is told the schema", async () => {
    await startChat();
    upstream.otherwise(text('{"city":"Köln","degrees":7}'));
    const response = await client.responses.parse({ model: "m", input: "x", text: { format: FORMAT } });
    expect(response.output_parsed).toEqual({ city: "Köln", degrees: 7 });
    const { type, ...schema } = FORMAT;
    expect(upstream.calls[0]?.body["response_format"]).toEqual({ type, json_schema: schema });
  });

  test("an answer that was cut as incomplete", async () => {
    await startChat();
    upstream.otherwise(answer(delta({ content: "half" }), delta({}, "length")));
    const response = await client.responses.stream({ model: "m", input: "x" }).finalResponse();
    expect(response).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
    expect(textOf(response)).toBe("half");
  });

  test("the models that there are", async () => {
    await startSimulator();
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["sim"]);
    await server.close();
    await startChat();
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["upstream-model"]);
    expect(await client.models.retrieve("upstream-model")).toMatchObject({ id: "upstream-model", object: "model" });
  });
});

describe("the SDK aborts", () => {
  test.each(["controller", "break"])("a stream in the middle, and the model server hears of it: %s", async (means) => {
    await startChat();
    const closed = Promise.withResolvers<void>();
    upstream.script((response) => {
      response.on("close", () => closed.resolve());
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(block(delta({ content: "And then, " })));
    });
    const stream = await client.responses.create({ model: "m", input: "Tell me a story.", stream: true });
    for await (const event of stream) {
      if (event.type !== "response.output_text.delta") continue;
      if (means === "break") break;
      stream.controller.abort();
    }
    await closed.promise;
  });

  test("a request that has no answer yet, and the model server hears of it", async () => {
    await startChat();
    const arrived = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    upstream.script((response) => {
      response.on("close", () => closed.resolve());
      arrived.resolve();
    });
    const abort = new AbortController();
    const error = caught(client.responses.create({ model: "m", input: "x" }, { signal: abort.signal }));
    await arrived.promise;
    abort.abort();
    expect(await error).toBeInstanceOf(OpenAI.APIUserAbortError);
    await closed.promise;
  });
});

describe("the SDK raises", () => {
  test("AuthenticationError for a key that is not known", async () => {
    await start({ apiKeys: [{ tenant: "us", key: "the-right-key-of-us" }] });
    const error = await caught(client.responses.create({ model: "sim", input: "x" }));
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(error).toMatchObject({ status: 401, code: "invalid_api_key", requestID: expect.any(String) });
    const right = client.withOptions({ apiKey: "the-right-key-of-us" });
    expect(await right.responses.create({ model: "sim", input: "x" })).toMatchObject({ status: "completed" });
  });

  test.each([
    ["previous_response_not_found", "previous_response_id", { input: "x", previous_response_id: "resp_unknown" }],
    ["decimal_above_max_value", "temperature", { input: "x", temperature: 3 }],
    ["invalid_value", "background", { input: "x", background: true, store: false }],
    [null, "input", { input: [{ type: "function_call_output" as const, call_id: "call_unknown", output: "" }] }],
  ])("BadRequestError for %s, streamed or not", async (code, param, fields) => {
    await startSimulator();
    for (const stream of [false, true]) {
      const error = await caught(client.responses.create({ model: "sim", ...fields, stream }));
      expect(error).toBeInstanceOf(OpenAI.BadRequestError);
      expect(error).toMatchObject({ status: 400, code, param, type: "invalid_request_error" });
    }
  });

  test("RateLimitError with the time to wait that the model server gave", async () => {
    await startChat();
    upstream.otherwise(refuse(429, { error: { message: "slow down" } }, { "retry-after": "70" }));
    const error = await caught(client.responses.create({ model: "m", input: "x" }));
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect(error).toMatchObject({ status: 429, code: "rate_limit_exceeded" });
    expect((error as APIError).headers?.get("retry-after")).toBe("70");
  });

  test("InternalServerError for a failure of the model server, with its words", async () => {
    await startChat();
    upstream.otherwise(refuse(500, { error: { message: "out of memory" } }));
    const error = await caught(client.responses.create({ model: "m", input: "x" }));
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error).toMatchObject({ status: 500, code: "server_error" });
    expect(String(error)).toContain("out of memory");
  });

  test.each([
    ["rate_limit_exceeded", answer(delta({ content: "half" }), { error: { code: 429, message: "slow down" } })],
    ["server_error", answer(delta({ content: "half" }), { error: { message: "out of memory" } })],
  ])("APIError with the code from within a stream that has begun: %s", async (code, step) => {
    await startChat();
    upstream.otherwise(step);
    const raw = await client.responses.create({ model: "m", input: "x", stream: true });
    const error = await caught(drain(raw));
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error).toMatchObject({ code });
    expect(await caught(client.responses.stream({ model: "m", input: "x" }).finalResponse())).toMatchObject({ code });
  });
});

test("a refusal that the SDK retries is not sent many times to the model server", async () => {
  await start({ backend: upstream.url, backendRetries: 2 });
  upstream.otherwise(refuse(500, {}));
  const patient = new OpenAI({ apiKey: "k", baseURL: `${server.url}/v1`, maxRetries: 2 });
  await expect(patient.responses.create({ model: "m", input: "x", stream: true })).rejects.toThrow(/500/);
  // Once more for the first request of the SDK; its own two retries are sent once each.
  expect(upstream.calls).toHaveLength(4);
});

test("a key that is limited, and one that is revoked, are errors of their own classes", async () => {
  const store = new MemoryStore({ budgetBytes: 1 << 20 });
  const book = new KeyBook(store.records);
  const limits = { turnsPerMinute: 1, tokensPerMinute: null, connections: null, models: null, expiresAt: null };
  const { id, secret } = await book.add({ ...limits, tenant: "acme", name: "sdk", createdAt: Date.now() });
  server = await startServer({ port: 0, store: "memory:", logLevel: "silent" }, { store });
  client = new OpenAI({ apiKey: secret, baseURL: `${server.url}/v1`, maxRetries: 0 });
  const ask = () => client.responses.create({ model: "sim", input: "Hello" });
  await ask();
  const limited = await ask().catch((error: unknown) => error);
  expect(limited).toBeInstanceOf(OpenAI.RateLimitError);
  expect(Number((limited as APIError).headers?.get("retry-after"))).toBeGreaterThan(0);
  await book.revoke(id);
  await expect(ask()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
});
