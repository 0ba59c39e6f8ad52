import { appendJoined } from "../../src/backends/join-deltas.ts";
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ChatCompletionsBackend, type ChatCompletionsOptions } from "../../src/backends/chat-completions.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { answer, block, ChatUpstream, delta, refuse, text, USAGE } from "../support/chat-upstream.ts";
import { compactions } from "../support/compactions.ts";

let upstream: ChatUpstream;
const backends: ChatCompletionsBackend[] = [];
const warnings: { fields: object; message: string }[] = [];

beforeEach(async () => {
  upstream = await ChatUpstream.start();
  warnings.length = 0;
});

afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(backends.splice(0).map((backend) => backend.close()));
  await upstream.close();
});

function open(options: Partial<ChatCompletionsOptions> = {}): ChatCompletionsBackend {
  const backend = new ChatCompletionsBackend({
    url: upstream.url,
    key: "upstream-key",
    connectTimeoutMs: 5000,
    firstByteTimeoutMs: 60_000,
    silenceTimeoutMs: 60_000,
    retries: 2,
    retryDelayMs: 1,
    thinkTags: "auto",
    strictTools: false,
    mcpTools: "refuse",
    extraBody: {},
    defaultBody: {},
    allowFields: [],
    prefill: false,
    tokenizer: "auto",
    log: { warn: (fields, message) => warnings.push({ fields, message }) },
    ...options,
  });
  backends.push(backend);
  return backend;
}

type Ask = { readonly fields?: object; readonly session?: object; readonly signal?: AbortSignal };

async function ask(backend: ChatCompletionsBackend, { fields = {}, session = {}, signal }: Ask = {}) {
  const settings = parseCreateRequest({ model: "m", input: "hi", ...fields });
  const batches = backend.stream(
    { model: settings.model, parent: null, input: settings.input, settings, session, open: compactions.open },
    signal ?? new AbortController().signal,
  );
  const events: BackendEvent[] = [];
  // However the network has cut them.
  for await (const batch of batches) for (const event of batch) appendJoined(events, event);
  return events;
}

async function failure(backend: ChatCompletionsBackend, options: Ask = {}): Promise<ApiError> {
  const error: unknown = await ask(backend, options).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ApiError)) throw new Error("should fail with an ApiError", { cause: error });
  return error;
}

const usage: BackendEvent = {
  type: "usage",
  usage: {
    input_tokens: 11,
    input_tokens_details: { cached_tokens: 5, cache_write_tokens: 0 },
    output_tokens: 7,
    output_tokens_details: { reasoning_tokens: 3 },
    total_tokens: 18,
  },
};
const finish = (reason: "stop" | "max_output_tokens" | "content_filter"): BackendEvent => ({ type: "finish", reason });

const piece = (index: number, fields: object) => delta({ tool_calls: [{ index, ...fields }] });
const whole = (fields: object | undefined, id: string) => ({
  ...fields,
  id,
  function: { name: "read", arguments: `{"id":"${id}"}` },
});

describe("reading a stream", () => {
  test("text, usage and finish", async () => {
    upstream.script(
      answer(delta({ role: "assistant", content: "" }), delta({ content: "Hé" }), delta({ content: "llo" }, "stop")),
    );
    expect(await ask(open())).toEqual([{ type: "text.delta", delta: "Héllo" }, usage, finish("stop")]);
    expect(upstream.calls[0]?.headers).toMatchObject({ authorization: "Bearer upstream-key" });
    expect(upstream.calls[0]?.body.messages).toEqual([{ role: "user", content: "hi" }]);
  });

  test.each(["reasoning_content", "reasoning"])("reasoning comes from %s", async (field) => {
    upstream.script(answer(delta({ [field]: "because" }), delta({ content: "so" }, "stop")));
    expect((await ask(open())).slice(0, 2)).toEqual([
      { type: "reasoning.delta", delta: "because" },
      { type: "text.delta", delta: "so" },
    ]);
  });

  test("reasoning that comes under both names counts once", async () => {
    upstream.script(answer(delta({ reasoning: "x", reasoning_content: "x" }, "stop")));
    expect((await ask(open()))[0]).toEqual({ type: "reasoning.delta", delta: "x" });
  });

  test("parallel calls whose arguments interleave", async () => {
    upstream.script(
      answer(
        piece(0, { id: "a", type: "function", function: { name: "read", arguments: "" } }),
        piece(1, { id: "b", type: "function", function: { name: "list", arguments: '{"x"' } }),
        piece(0, { function: { arguments: '{"p":1' } }),
        piece(1, { function: { arguments: ":2}" } }),
        piece(0, { function: { arguments: "}" } }),
        delta({}, "tool_calls"),
      ),
    );
    expect(await ask(open())).toEqual([
      { type: "call", key: 0, kind: "function", callId: "a", name: "read" },
      { type: "call", key: 1, kind: "function", callId: "b", name: "list" },
      { type: "call.delta", key: 1, delta: '{"x"' },
      { type: "call.delta", key: 0, delta: '{"p":1' },
      { type: "call.delta", key: 1, delta: ":2}" },
      { type: "call.delta", key: 0, delta: "}" },
      usage,
      finish("stop"),
    ]);
  });

  test.each([
    ["give every call the same index", [{ index: 0 }, { index: 0 }]],
    ["give no index", [{}, {}]],
  ])("servers that %s", async (_, [first, second]) => {
    upstream.script(
      answer(delta({ tool_calls: [whole(first, "a")] }), delta({ tool_calls: [whole(second, "b")] }, "tool_calls")),
    );
    const calls = (await ask(open())).filter((event) => event.type === "call" || event.type === "call.delta");
    expect(calls).toEqual([
      { type: "call", key: 0, kind: "function", callId: "a", name: "read" },
      { type: "call.delta", key: 0, delta: '{"id":"a"}' },
      { type: "call", key: 1, kind: "function", callId: "b", name: "read" },
      { type: "call.delta", key: 1, delta: '{"id":"b"}' },
    ]);
  });

  test("a call without an id, with its arguments as a value", async () => {
    upstream.script(
      answer(delta({ tool_calls: [{ index: 0, function: { name: "read", arguments: { a: 1 } } }] }, "tool_calls")),
    );
    expect((await ask(open())).slice(0, 2)).toEqual([
      { type: "call", key: 0, kind: "function", callId: null, name: "read" },
      { type: "call.delta", key: 0, delta: '{"a":1}' },
    ]);
  });

  test("a call of a custom tool comes back as one, with its text", async () => {
    upstream.script(
      answer(
        piece(0, { id: "a", function: { name: "patch", arguments: '{"input":"*** ' } }),
        piece(0, { function: { arguments: 'Begin\\nEnd"}' } }),
        delta({}, "tool_calls"),
      ),
    );
    expect((await ask(open(), { fields: { tools: [{ type: "custom", name: "patch" }] } })).slice(0, 2)).toEqual([
      { type: "call", key: 0, kind: "custom", callId: "a", name: "patch" },
      { type: "call.delta", key: 0, delta: "*** Begin\nEnd" },
    ]);
  });

  test("a refusal", async () => {
    upstream.script(answer(delta({ refusal: "No." }, "stop")));
    expect((await ask(open()))[0]).toEqual({ type: "refusal.delta", delta: "No." });
  });

  test.each([
    ["length", "max_output_tokens"],
    ["content_filter", "content_filter"],
  ] as const)("finish reason %s", async (reason, expected) => {
    upstream.script(answer(delta({ content: "cut" }), delta({}, reason)));
    expect((await ask(open())).at(-1)).toEqual(finish(expected));
  });

  test("a stream without [DONE], without usage and without the last empty line", async () => {
    upstream.script((response) => {
      response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
      response.end(`data: ${JSON.stringify(delta({ content: "x" }, "stop"))}`);
    });
    expect(await ask(open())).toEqual([{ type: "text.delta", delta: "x" }, finish("stop")]);
  });

  test("chunks that cut characters and lines, with CRLF and comments", async () => {
    const bytes = Buffer.from(
      `: ping\r\n\r\n${block(delta({ content: "日本語" })).replaceAll("\n", "\r\n")}data: [DONE]\r\n\r\n`,
    );
    upstream.script(async (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const byte of bytes) {
        await new Promise<void>((resolve) => {
          response.write(Buffer.of(byte), () => resolve());
        });
      }
      response.end();
    });
    expect(await ask(open())).toEqual([{ type: "text.delta", delta: "日本語" }, finish("stop")]);
  });

  test("what comes together is told together, and nothing of it is lost", async () => {
    upstream.script((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const thoughts = ["x", "y"].map((reasoning_content) => block(delta({ reasoning_content })));
      const words = ["a", "b", "c"].map((content) => block(delta({ content })));
      response.end(thoughts.join("") + words.join("") + block(delta({}, "stop")));
    });
    const settings = parseCreateRequest({ model: "m", input: "hi" });
    const batches: (readonly BackendEvent[])[] = [];
    const request = { model: "m", parent: null, input: settings.input, settings, session: {}, open: compactions.open };
    for await (const batch of open().stream(request, new AbortController().signal)) batches.push(batch);
    expect(batches.shift()).toEqual([]);
    expect(batches[0]).toEqual([
      { type: "reasoning.delta", delta: "xy" },
      { type: "text.delta", delta: "abc" },
    ]);
    expect(batches.slice(1).flat()).toEqual([finish("stop")]);
  });
});

describe("what goes wrong", () => {
  test.each([
    [400, { error: { message: "tools are not supported" } }, "invalid_prompt", "tools are not supported"],
    [400, { error: { message: "x", code: "context_length_exceeded" } }, "context_length_exceeded", "context window"],
    [
      400,
      { error: { message: "This model's maximum context length is 4096 tokens." } },
      "context_length_exceeded",
      "context window",
    ],
    [422, { detail: "bad field" }, "invalid_prompt", "bad field"],
    [413, "Request Entity Too Large", "context_length_exceeded", "context window"],
    [
      413,
      { error: { message: "Limit 6000 tokens", code: "rate_limit_exceeded" } },
      "rate_limit_exceeded",
      "Limit 6000",
    ],
    [422, { detail: [{ loc: ["body", "seed"], msg: "must be positive" }] }, "invalid_prompt", "seed: must be positive"],
    [400, [{ error: { message: "Unknown name", code: 400 } }], "invalid_prompt", "Unknown name"],
    [400, { errors: [{ code: 5006, message: "bad input" }] }, "invalid_prompt", "bad input"],
    [400, "not supported by this model", "invalid_prompt", "not supported by this model"],
    [400, { error: { message: { msg: "bad" } } }, "invalid_prompt", "bad"],
    [
      400,
      { error: { message: "max_tokens is too large: 9. This model supports at most 8" } },
      "invalid_value",
      "too large",
    ],
    [
      401,
      { error: { message: "Incorrect API key: sk-secret" } },
      "invalid_prompt",
      "does not accept this server's key",
    ],
    [401, { error: { message: "Bad key upstream-key." } }, "invalid_prompt", "Bad key [hidden]."],
    [402, { error: { message: "Insufficient Balance" } }, "insufficient_quota", "Insufficient Balance"],
    [403, { error: { message: "Your input was flagged" } }, "invalid_prompt", "Your input was flagged"],
    [403, { error: { message: "This key has no permission" } }, "invalid_prompt", "does not accept this server's key"],
    [404, { error: { message: "model 'x' not found" } }, "model_not_found", "model 'x' not found"],
    [
      404,
      { error: { message: "No endpoints found that support tool use." } },
      "invalid_prompt",
      "that support tool use",
    ],
    [404, "<html>404 page not found</html>", "invalid_prompt", "/v1/chat/completions (404, 404 page not found)"],
    [404, { detail: "Not Found" }, "invalid_prompt", "end in /v1?"],
    [405, { detail: "Method Not Allowed" }, "invalid_prompt", "end in /v1?"],
    [500, { error: { message: "boom" } }, "server_error", "had an error (500): boom."],
    [500, { error: { message: "Jinja Exception: no user message" } }, "invalid_prompt", "Jinja Exception"],
    [503, "<html><p>down <b>now</b></p></html>", "server_error", "had an error (503): down now."],
    [429, { error: { message: "slow down" } }, "rate_limit_exceeded", "It says: slow down"],
    [429, { error: { message: "You exceeded your current quota" } }, "insufficient_quota", "current quota"],
  ])("status %i with %j is %s", async (status, body, code, words) => {
    upstream.otherwise(refuse(status, body));
    const error = await failure(open());
    expect(error.code).toBe(code);
    expect(error.message).toContain(words);
    expect(error.message).not.toMatch(/secret|upstream-key/);
    expect(String(error.cause)).toContain(`answered ${status} (${upstream.url}/chat/completions)`);
  });

  test("a redirect is not followed, and is told", async () => {
    upstream.script(refuse(307, "", { location: "https://me:pass@elsewhere.example/v1/chat/completions?key=1" }));
    const error = await failure(open());
    expect(error.message).toContain("redirects");
    expect(error.message).toContain("to https://elsewhere.example/v1/chat/completions (307)");
    expect(upstream.calls).toHaveLength(1);
  });

  test("a server that is down", async () => {
    const url = upstream.url;
    const backend = open({ url });
    await upstream.close();
    const error = await failure(backend);
    expect(error).toMatchObject({ code: "server_error", message: "The model server could not be reached." });
    upstream = await ChatUpstream.start();
  });

  test("an answer that is HTML", async () => {
    upstream.script(refuse(200, "<html>hello</html>"));
    const error = await failure(open());
    expect(error.message).toBe("The model server answered with something that is not a chat completion stream.");
    expect(upstream.calls).toHaveLength(1);
  });

  test.each([
    ["is not JSON", "{oops"],
    ["is not an object", "17"],
  ])("a chunk that %s", async (_, chunk) => {
    upstream.script(answer(delta({ content: "a" }), chunk));
    expect((await failure(open())).message).toMatch(/sent a chunk that is not/);
  });

  test("a stream that ends before its end", async () => {
    upstream.script((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(block(delta({ content: "half" })));
    });
    expect((await failure(open())).message).toBe("The model server ended before the response was finished.");
  });

  test("a connection that breaks in mid-stream", async () => {
    upstream.script((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(block(delta({ content: "half" })), () => response.destroy());
    });
    const error = await failure(open());
    expect(error).toMatchObject({ code: "server_error", message: "The model server broke off its answer." });
    expect(upstream.calls).toHaveLength(1);
  });

  test("an error that the server reports in its stream", async () => {
    upstream.script(answer(delta({ content: "a" }), { error: { message: "boom", code: 500 } }));
    const error = await failure(open());
    expect(error.message).toBe("The model server reported an error while it generated: boom.");
  });

  test.each([
    [{ code: 429, message: "sk-secret" }, "rate_limit_exceeded", "try again later", undefined],
    [{ code: "insufficient_quota", message: "x" }, "insufficient_quota", "is used up: x.", undefined],
    [{ type: "rate_limit_error", message: "Please try again in 1.5s." }, "rate_limit_exceeded", "try again in 2s", 2],
    [{ code: "rate_limit_exceeded", message: "Try again in 200ms" }, "rate_limit_exceeded", "try again in 1s", 1],
    [{ code: 400, message: "tool schema is not valid" }, "invalid_prompt", "tool schema is not valid", undefined],
    [{ code: 400, message: "maximum context length is 10" }, "context_length_exceeded", "context window", undefined],
  ])(
    "an error that the server reports in its stream, of a kind that is known: %j",
    async (said, code, words, seconds) => {
      upstream.script(answer(delta({ content: "a" }), { error: said }));
      const error = await failure(open());
      expect(error).toMatchObject({ code });
      expect(error.retryAfter).toBe(seconds);
      expect(error.message).toContain(words);
      expect(error.message).not.toContain("secret");
    },
  );

  test("a server that does not begin to answer", async () => {
    upstream.script(() => undefined);
    const error = await failure(open({ firstByteTimeoutMs: 20 }));
    expect(error.message).toBe("The model server did not begin to answer in time.");
    expect(upstream.calls).toHaveLength(1);
  });

  test("a server that falls silent", async () => {
    upstream.script((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(block(delta({ content: "half" })));
    });
    const error = await failure(open({ silenceTimeoutMs: 20 }));
    expect(error.message).toBe("The model server sent nothing for too long.");
  });

  test("a slow reader is no silent server", async () => {
    upstream.script((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(block(delta({ content: "a" })));
      response.end(block(delta({ content: "b" }, "stop")));
    });
    const settings = parseCreateRequest({ model: "m", input: "hi" });
    const request = { model: "m", parent: null, input: settings.input, settings, session: {}, open: compactions.open };
    const events: BackendEvent[] = [];
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    for await (const batch of open({ silenceTimeoutMs: 1000 }).stream(request, new AbortController().signal)) {
      vi.advanceTimersByTime(3_600_000);
      events.push(...batch);
    }
    vi.useRealTimers();
    expect(events.at(-1)).toEqual(finish("stop"));
  });

  test("a tool that allowed_tools does not allow", async () => {
    const tools = [
      { type: "function", name: "a", parameters: {} },
      { type: "function", name: "b", parameters: {} },
    ];
    const tool_choice = { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "a" }] };
    upstream.script(
      answer(delta({ tool_calls: [{ index: 0, id: "x", function: { name: "b", arguments: "{}" } }] }, "tool_calls")),
    );
    expect((await failure(open(), { fields: { tools, tool_choice } })).message).toContain("'b'");
  });
});

const bodies = () => upstream.calls.map(({ body }) => body.messages);

describe("words of the system", () => {
  const first = { role: "developer", content: "Be brief." };
  const late = { role: "developer", content: "Be kind." };
  const user = { role: "user", content: "hi" };
  const input = [first, user, late];
  const lead = { role: "system", content: "You are a bot.\n\nBe brief." };

  test("that come first are one message with the instructions", async () => {
    upstream.otherwise(text("ok"));
    const backend = open();
    await ask(backend, { fields: { instructions: 'You are a "bot".', input: [first, late, user] } });
    await ask(backend, { fields: { instructions: "", input: [first] } });
    await ask(backend, { fields: { instructions: "Alone.", input: "hi" } });
    expect(bodies()).toEqual([
      [{ role: "system", content: 'You are a "bot".\n\nBe brief.\n\nBe kind.' }, user],
      [{ role: "system", content: "\n\nBe brief." }],
      [{ role: "system", content: "Alone." }, user],
    ]);
  });

  test.each([
    [400, { error: { message: "System message must be at the beginning.", code: 400 } }],
    [500, { error: { message: "Jinja Exception: System message must be at the beginning." } }],
  ])("that come later are the user's for a model that refuses them with %i", async (status, body) => {
    upstream.script(refuse(status, body), text("ok"), text("ok"));
    const backend = open({ retries: 0 });
    const fields = { instructions: "You are a bot.", input };
    await ask(backend, { fields });
    await ask(backend, { fields });
    const asSystem = [lead, user, { role: "system", content: "Be kind." }];
    const asUser = [lead, user, { role: "user", content: "<system>\nBe kind.\n</system>" }];
    expect(bodies()).toEqual([asSystem, asUser, asUser]);
    expect(warnings).toHaveLength(1);
  });

  test("are refused for good by a model that wants something else", async () => {
    upstream.script(refuse(400, { error: { message: "no words of this kind" } }));
    expect(await failure(open(), { fields: { input } })).toMatchObject({ code: "invalid_prompt" });
    expect(upstream.calls).toHaveLength(1);
  });
});

describe("trying again", () => {
  test.each([500, 502, 503, 504, 429, 408, 409, 520, 524, 529])(
    "status %i before the first byte is tried again",
    async (status) => {
      upstream.script(refuse(status, {}), refuse(status, {}), text("third time"));
      expect((await ask(open()))[0]).toEqual({ type: "text.delta", delta: "third time" });
      expect(upstream.calls).toHaveLength(3);
      expect(upstream.calls[2]?.raw).toBe(upstream.calls[0]?.raw);
    },
  );

  test.each([
    [400, { error: { message: "no" } }],
    [402, {}],
    [403, {}],
    [429, { error: { code: "insufficient_quota" } }],
    [500, { error: { message: "Jinja Exception: bad" } }],
    [500, { error: { type: "exceed_context_size_error", message: "x" } }],
    [501, {}],
  ])("a refusal of the request itself is not: %i %j", async (status, body) => {
    upstream.script(refuse(status, body));
    await failure(open());
    expect(upstream.calls).toHaveLength(1);
  });

  test("a server that is loading its model is waited for, as long as it may take to begin to answer", async () => {
    const loading = refuse(503, { error: { message: "Loading model", code: 503 } });
    upstream.script(loading, loading, loading, loading, text("ready"));
    expect((await ask(open({ retries: 0 })))[0]).toEqual({ type: "text.delta", delta: "ready" });
    expect(upstream.calls).toHaveLength(5);
    upstream.otherwise(loading);
    const error = await failure(open({ firstByteTimeoutMs: 100, retryDelayMs: 10 }));
    expect(error.message).toContain("had an error (503): Loading model.");
  });

  test("a server that closes the connection without an answer", async () => {
    const sockets: number[] = [];
    const server: Server = createServer((socket) => {
      sockets.push(1);
      socket.on("error", () => undefined);
      socket.once("data", () => socket.destroy());
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    expect((await failure(open({ url }))).message).toBe("The model server could not be reached.");
    expect(sockets).toHaveLength(3);
    server.close();
  });

  test("a server that asks for a long wait is not asked again, and the client hears how long", async () => {
    upstream.script(refuse(429, {}, { "retry-after": "120" }));
    const error = await failure(open());
    expect(error).toMatchObject({ code: "rate_limit_exceeded", retryAfter: 120 });
    expect(error.message).toContain("try again in 120s");
    expect(upstream.calls).toHaveLength(1);
  });

  test("a client that leaves during the wait ends it", async () => {
    upstream.script(refuse(503, {}));
    const client = new AbortController();
    const failed = failure(open({ retryDelayMs: 600_000 }), { signal: client.signal });
    await expect.poll(() => warnings.length).toBe(1);
    client.abort();
    await failed;
    expect(upstream.calls).toHaveLength(1);
  });
});

describe("connections", () => {
  test("a client that leaves in mid-stream ends the call at the server", async () => {
    const gone = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    upstream.script((response) => {
      response.on("close", () => gone.resolve());
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(block(delta({ content: "a" })));
    });
    const client = new AbortController();
    const settings = parseCreateRequest({ model: "m", input: "hi" });
    const request = { model: "m", parent: null, input: settings.input, settings, session: {}, open: compactions.open };
    const reading = (async () => {
      for await (const _ of open().stream(request, client.signal)) begun.resolve();
    })();
    await begun.promise;
    client.abort();
    await expect(reading).rejects.toBeInstanceOf(ApiError);
    await gone.promise;
  });

  test("turns one after another share a connection", async () => {
    const ports = new Set<unknown>();
    upstream.otherwise((response, call) => {
      ports.add(response.socket?.remotePort);
      return text("x")(response, call);
    });
    const backend = open();
    for (let turn = 0; turn < 10; turn += 1) await ask(backend);
    // Two at most: the end of one answer may still be on its way when the next turn begins.
    expect(ports.size).toBeLessThanOrEqual(2);
  });

  test("a body larger than one write arrives whole", async () => {
    upstream.script(text("x"));
    const long = "é".repeat(300_000);
    await ask(open(), {
      fields: {
        input: [
          { role: "user", content: long },
          { role: "user", content: "end" },
        ],
      },
    });
    expect(upstream.calls[0]?.body.messages).toEqual([
      { role: "user", content: long },
      { role: "user", content: "end" },
    ]);
  });
});

test("what the model does not see is said once per connection", async () => {
  upstream.otherwise(text("x"));
  const backend = open();
  const session = {};
  const fields = {
    tools: [{ type: "web_search" }],
    input: [
      { type: "mcp_list_tools", id: "m" },
      { role: "user", content: "hi" },
    ],
  };
  await ask(backend, { fields, session });
  await ask(backend, { fields, session });
  expect(warnings.map((warning) => warning.fields)).toEqual([{ tools: ["web_search"], items: ["mcp_list_tools"] }]);
  await ask(backend, { fields });
  expect(warnings).toHaveLength(2);
});

test("a warm-up asks for one token of the same context, if it was told to", async () => {
  upstream.otherwise(text("x"));
  const settings = parseCreateRequest({ model: "m", input: "hi", max_output_tokens: 500 });
  const request = { model: "m", parent: null, input: settings.input, settings, session: {}, open: compactions.open };
  await open().prefill(request, new AbortController().signal);
  expect(upstream.calls).toHaveLength(0);
  await open({ prefill: true }).prefill(request, new AbortController().signal);
  expect(upstream.calls[0]?.body).toMatchObject({ max_tokens: 1, messages: [{ role: "user", content: "hi" }] });
  upstream.script(refuse(400, {}));
  await open({ prefill: true }).prefill(request, new AbortController().signal);
  expect(warnings.at(-1)?.message).toContain("could not warm up");
});

test("lists the models of the server", async () => {
  expect(await open().models()).toEqual(["upstream-model"]);
  expect(USAGE.total_tokens).toBe(18);
});
