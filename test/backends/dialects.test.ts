import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ChatCompletionsBackend, type ChatCompletionsOptions } from "../../src/backends/chat-completions.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { ChatUpstream, refuse, text, type UpstreamCall, type UpstreamStep } from "../support/chat-upstream.ts";
import { compactions } from "../support/compactions.ts";

/** Servers that demand something, and refuse everything else in the words of a real one. */

let upstream: ChatUpstream;
const backends: ChatCompletionsBackend[] = [];
const warnings: { readonly learned?: object }[] = [];

beforeEach(async () => {
  upstream = await ChatUpstream.start();
  warnings.length = 0;
});

afterEach(async () => {
  await Promise.all(backends.splice(0).map((backend) => backend.close()));
  await upstream.close();
});

function open(options: Partial<ChatCompletionsOptions> = {}): ChatCompletionsBackend {
  const backend = new ChatCompletionsBackend({
    url: upstream.url,
    key: null,
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
    tokenizer: "o200k_base",
    log: { warn: (fields) => warnings.push(fields) },
    ...options,
  });
  backends.push(backend);
  return backend;
}

async function ask(backend: ChatCompletionsBackend, fields: object = {}): Promise<BackendEvent[]> {
  const settings = parseCreateRequest({ model: "m", input: "hi", ...fields });
  const request = {
    model: settings.model,
    parent: null,
    input: settings.input,
    settings,
    session: {},
    open: compactions.open,
  };
  const events: BackendEvent[] = [];
  for await (const batch of backend.stream(request, new AbortController().signal)) events.push(...batch);
  return events;
}

async function failure(backend: ChatCompletionsBackend, fields: object = {}): Promise<ApiError> {
  const error: unknown = await ask(backend, fields).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ApiError)) throw new Error("should fail with an ApiError", { cause: error });
  return error;
}

type Message = {
  readonly role: string;
  readonly content: unknown;
  readonly tool_calls?: readonly { readonly id: string }[];
  readonly tool_call_id?: string;
  readonly [field: string]: unknown;
};
type Body = UpstreamCall["body"] & { readonly [field: string]: unknown };

/** A demand: what is wrong with a request, in the server's words; null for one that it takes. */
type Demand = (messages: readonly Message[], body: Body) => string | null;

const demanding =
  (...demands: readonly Demand[]): UpstreamStep =>
  (response, call) => {
    const messages = call.body.messages as unknown as readonly Message[];
    const complaint = demands.map((demand) => demand(messages, call.body)).find((words) => words !== null) ?? null;
    return (
      complaint === null
        ? text("well")
        : refuse(500, { error: { message: `Jinja Exception: ${complaint}`, code: 500 } })
    )(response, call);
  };

const spoken = (messages: readonly Message[]): readonly Message[] =>
  messages
    .slice(messages[0]?.role === "system" ? 1 : 0)
    .filter(({ role, tool_calls }) => role !== "tool" && tool_calls === undefined);

const user = (content: unknown) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const thought = { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "hmm" }] };
const call = (id: string) => ({ type: "function_call", call_id: id, name: "now", arguments: "{}" });
const output = (id: string, text = "noon") => ({ type: "function_call_output", call_id: id, output: text });
const TOOLS = [{ type: "function", name: "now", parameters: { type: "object", properties: {} }, strict: true }];
const SCHEMA = { format: { type: "json_schema", name: "n", schema: { type: "object", title: "Point" }, strict: true } };

const alternate: Demand = (messages) =>
  spoken(messages).every(({ role }, index) => (role === "user") === (index % 2 === 0))
    ? null
    : "After the optional system message, conversation roles must alternate user/assistant/user/assistant/...";
const systemFirst: Demand = (messages) =>
  messages.slice(1).some(({ role }) => role === "system")
    ? "Only user, assistant and tool roles are supported, got system."
    : null;
const noSystem: Demand = (messages) =>
  messages.some(({ role }) => role === "system") ? "System role not supported" : null;
const oneCall: Demand = (messages) =>
  messages.some(({ tool_calls = [] }) => tool_calls.length > 1)
    ? "This model only supports single tool-calls at once!"
    : null;
const shortIds: Demand = (messages) =>
  messages.some(({ tool_calls = [], tool_call_id }) =>
    [...tool_calls.map(({ id }) => id), ...(tool_call_id === undefined ? [] : [tool_call_id])].some(
      (id) => !/^[a-zA-Z0-9]{9}$/.test(id),
    ),
  )
    ? "Tool call IDs should be alphanumeric strings with length 9!"
    : null;
const answered: Demand = (messages) =>
  messages.every(({ tool_calls = [] }, at) =>
    tool_calls.every(({ id }, index) => messages[at + 1 + index]?.tool_call_id === id),
  )
    ? null
    : "each call must be followed by its output";
const without =
  (field: string): Demand =>
  (_, body) =>
    JSON.stringify(body).includes(`"${field}":`) ? `Unrecognized request argument supplied: ${field}` : null;
const on =
  (role: string, isWrong: (message: Message) => boolean, words: string): Demand =>
  (messages) =>
    messages.some((message) => message.role === role && isWrong(message)) ? words : null;

const CASES: readonly (readonly [string, readonly Demand[], object, number])[] = [
  ["two messages of the user", [alternate], { input: [user("<environment/>"), user("hi")] }, 1],
  ["a context that begins with the assistant", [alternate], { input: [assistant("well"), user("hi")] }, 1],
  ["a user behind an output", [alternate], { input: [user("a"), call("c"), output("c"), user("b")] }, 1],
  [
    "an image in an output",
    [alternate],
    { input: [user("a"), call("c"), { ...output("c"), output: [{ type: "input_image", image_url: "data:," }] }] },
    1,
  ],
  [
    "a late system message",
    [systemFirst],
    { instructions: "Be.", input: [user("a"), { role: "developer", content: "b" }] },
    1,
  ],
  [
    "any system message",
    [noSystem],
    { instructions: "Be.", input: [{ role: "developer", content: "b" }, user("a")] },
    1,
  ],
  [
    "any system message, with an image behind it",
    [noSystem],
    { instructions: "Be.", input: [user([{ type: "input_image", image_url: "data:," }])] },
    1,
  ],
  [
    "two calls at once",
    [oneCall, answered],
    { input: [user("a"), call("c"), call("d"), output("d", "2"), output("c", "1")] },
    1,
  ],
  ["ids of another kind", [shortIds, answered], { input: [user("a"), call("call_1"), output("call_1")] }, 1],
  [
    "four things at once",
    [systemFirst, alternate, oneCall, shortIds, answered],
    {
      instructions: "Be.",
      input: [
        user("a"),
        { role: "system", content: "s" },
        user("b"),
        call("c"),
        call("d"),
        output("c"),
        output("d"),
        user("e"),
      ],
    },
    4,
  ],
  [
    "no system and alternation",
    [noSystem, alternate],
    { instructions: "Be.", input: [user("a"), { role: "system", content: "s" }] },
    2,
  ],
  [
    "reasoning at all",
    [on("assistant", (message) => "reasoning_content" in message, "property 'reasoning_content' is unsupported")],
    { input: [user("a"), thought, assistant("b"), user("c")] },
    1,
  ],
  [
    "an answer without reasoning",
    [
      on(
        "assistant",
        (message) => !("reasoning_content" in message),
        "The reasoning_content in the thinking mode must be passed back to the API.",
      ),
    ],
    { input: [user("a"), assistant("b"), user("c")] },
    1,
  ],
  [
    "empty content beside calls",
    [on("assistant", ({ content }) => content === "", "messages: text content blocks must be non-empty")],
    { input: [user("a"), call("c"), output("c")] },
    1,
  ],
  [
    "a message of the assistant without text",
    [
      on(
        "assistant",
        ({ content }) => content === "",
        "the message at position 1 with role 'assistant' must not be empty",
      ),
    ],
    { input: [user("a"), thought, user("c")] },
    1,
  ],
  [
    "parts",
    [on("user", ({ content }) => typeof content !== "string", "messages.0.content: Input should be a valid string")],
    {
      input: [
        user([
          { type: "input_text", text: "a" },
          { type: "input_image", image_url: "data:," },
        ]),
      ],
    },
    1,
  ],
  [
    "max_tokens",
    [
      (_, body) =>
        "max_tokens" in body ? "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead." : null,
    ],
    { max_output_tokens: 5 },
    1,
  ],
  ["stream_options", [without("stream_options")], {}, 1],
  ["effort", [without("reasoning_effort")], { reasoning: { effort: "high" } }, 1],
  [
    "a word for effort",
    [
      (_, { reasoning_effort: effort }) =>
        effort === "xhigh" ? "reasoning_effort must be one of 'low', 'medium', 'high'" : null,
    ],
    { reasoning: { effort: "xhigh" } },
    1,
  ],
  ["parallel_tool_calls", [without("parallel_tool_calls")], { tools: TOOLS, parallel_tool_calls: true }, 1],
  ["strict", [without("strict")], { tools: TOOLS, text: SCHEMA }, 1],
  [
    "a schema",
    [
      (_, body) =>
        (body["response_format"] as { type?: unknown } | undefined)?.type === "json_schema"
          ? "response_format.type must be one of 'text', 'json_object'"
          : null,
    ],
    { text: SCHEMA },
    1,
  ],
  ["any response format", [without("response_format")], { text: SCHEMA }, 1],
  [
    "a choice by name",
    [
      (_, { tool_choice: choice }) =>
        typeof choice === "object" ? "tool_choice must be one of auto, none, required" : null,
    ],
    { tools: TOOLS, tool_choice: { type: "function", name: "now" } },
    1,
  ],
  [
    "a context that ends with the assistant",
    [
      (messages) =>
        messages.at(-1)?.role === "assistant" ? "Expected last role User or Tool but got assistant" : null,
    ],
    { input: [user("a"), assistant("b")] },
    1,
  ],
];

describe("servers that refuse", () => {
  test.each(CASES)("a refusal costs one request for each trait, once: %s", async (_, demands, fields, lessons) => {
    upstream.otherwise(demanding(...demands));
    const backend = open();
    expect((await ask(backend, fields))[0]).toEqual({ type: "text.delta", delta: "well" });
    expect(upstream.calls).toHaveLength(1 + lessons);
    await ask(backend, fields);
    expect(upstream.calls).toHaveLength(2 + lessons);
    expect(upstream.calls.at(-1)?.raw).toBe(upstream.calls.at(-2)?.raw);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]?.learned).not.toEqual({});
  });

  test("what one model wants is not asked of another", async () => {
    upstream.otherwise((response, call) =>
      (call.body.model === "m" ? demanding(without("stream_options")) : text("x"))(response, call),
    );
    const backend = open();
    await ask(backend);
    await ask(backend, { model: "other" });
    expect(upstream.calls.map(({ body }) => "stream_options" in body)).toEqual([true, false, true]);
  });

  test("what is configured costs no refusal", async () => {
    upstream.otherwise(demanding(alternate, noSystem));
    const models = { m: { system: "none" } } as const;
    await ask(open({ dialects: { sameRole: "joined", models } }), {
      instructions: "Be.",
      input: [user("a"), user("b")],
    });
    expect(upstream.calls).toHaveLength(1);
    expect(upstream.calls[0]?.body.messages).toEqual([user("<system>\nBe.\n</system>\n\na\n\nb")]);
  });

  test("when nothing helps, the original refusal is told, and nothing is remembered", async () => {
    let refusals = 0;
    upstream.otherwise((response, sent) =>
      refuse(400, { error: { message: `roles must alternate (${(refusals += 1)})` } })(response, sent),
    );
    const backend = open();
    const error = await failure(backend, { input: [user("a"), user("b")] });
    expect(error).toMatchObject({ code: "invalid_prompt", message: "roles must alternate (1)" });
    expect(upstream.calls.length).toBeLessThan(5);
    expect(warnings).toEqual([]);
  });

  test("a lesson that changes nothing in the request is not tried", async () => {
    upstream.otherwise(refuse(400, { error: { message: "This model only supports single tool-calls at once!" } }));
    expect(await failure(open(), {})).toMatchObject({ code: "invalid_prompt" });
    expect(upstream.calls).toHaveLength(1);
  });

  test("what has helped is kept when the server then refuses for another reason", async () => {
    upstream.otherwise(demanding(without("stream_options"), () => "no tools at all, never"));
    const backend = open();
    expect((await failure(backend)).message).toContain("no tools at all");
    await failure(backend);
    expect(upstream.calls).toHaveLength(3);
  });

  test("a server that always wants the opposite is not asked for ever", async () => {
    upstream.otherwise((response, { body, ...sent }) => {
      const field = "max_tokens" in body ? "max_tokens" : "max_completion_tokens";
      return refuse(400, { error: { message: `${field} is not supported` } })(response, { body, ...sent });
    });
    const error = await failure(open(), { max_output_tokens: 5 });
    expect(error.message).toBe("max_tokens is not supported");
    expect(upstream.calls.length).toBeLessThanOrEqual(9);
  });
});

const last = () => upstream.calls.at(-1)?.body as unknown as Body & { readonly messages: readonly Message[] };

const asked = (id: string) => [{ id, type: "function", function: { name: "now", arguments: "{}" } }];

describe("the form of the request", () => {
  test("calls get messages of their own, each behind an output", async () => {
    upstream.otherwise(text("x"));
    const input = [user("a"), thought, call("call_1"), call("call_2"), output("call_2", "2"), output("call_1", "1")];
    await ask(open({ dialects: { callsPerMessage: "one" } }), { input });
    expect(last().messages).toEqual([
      user("a"),
      { role: "assistant", content: "", reasoning_content: "hmm", tool_calls: asked("call_1") },
      { role: "tool", tool_call_id: "call_1", content: "1" },
      { role: "assistant", content: "", tool_calls: asked("call_2") },
      { role: "tool", tool_call_id: "call_2", content: "2" },
    ]);
  });

  test("a schema that the server does not know is asked for in words", async () => {
    upstream.otherwise(text("x"));
    await ask(open({ dialects: { responseFormat: "json_object" } }), { instructions: "Be.", text: SCHEMA });
    expect(last()["response_format"]).toEqual({ type: "json_object" });
    expect(last().messages[0]?.content).toMatch(
      /^Be\.\n\nAnswer with one JSON object.*\n\{"type":"object","title":"Point"\}$/s,
    );
    await ask(open({ dialects: { responseFormat: "text" } }), { text: SCHEMA });
    expect(last()).not.toHaveProperty("response_format");
    expect(last().messages[0]).toMatchObject({ role: "system", content: expect.stringContaining("Point") });
  });

  test("a choice by mode offers nothing but what is chosen", async () => {
    upstream.otherwise(text("x"));
    const tools = [...TOOLS, { type: "function", name: "later", parameters: {} }];
    const backend = open({ dialects: { toolChoice: "mode" } });
    await ask(backend, { tools, tool_choice: { type: "function", name: "later" } });
    expect(last()).toMatchObject({ tool_choice: "required", tools: [{ function: { name: "later" } }] });
    expect(last()["tools"]).toHaveLength(1);
    await ask(backend, { tools, tool_choice: "none" });
    expect(last()).not.toHaveProperty("tools");
    expect(last()).not.toHaveProperty("tool_choice");
  });
});
