import { describe, expect, test } from "vitest";
import { chatHead, type ChatRequestOptions } from "../../src/backends/chat-request.ts";
import { changed, COMMON_DIALECT, type DialectChange } from "../../src/backends/dialect.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { open } from "../support/compactions.ts";

const OPTIONS: ChatRequestOptions = { strictTools: false, extraBody: {} };
const weather = { type: "function", name: "weather", parameters: { type: "object", properties: {} } };
const time = { type: "function", name: "time", description: "Tells it", parameters: null, strict: true };

function head(fields: object, options: Partial<ChatRequestOptions> = {}, dialect: DialectChange = {}) {
  const settings = parseCreateRequest({ model: "m", input: "hi", ...fields });
  const made = chatHead(
    { model: "upstream", parent: null, input: settings.input, settings, session: {}, open },
    { ...OPTIONS, ...options },
    changed(COMMON_DIALECT, dialect),
  );
  return { ...made, body: JSON.parse(`${made.json}]}`) as Record<string, unknown> };
}

function refusal(fields: object, options: Partial<ChatRequestOptions> = {}): ApiError {
  try {
    head(fields, options);
  } catch (error) {
    if (error instanceof ApiError) return error;
  }
  throw new Error("was not refused");
}

test("a bare request asks for a stream with usage and nothing else", () => {
  expect(head({}).body).toEqual({
    model: "upstream",
    stream: true,
    stream_options: { include_usage: true },
    messages: [],
  });
});

test("settings go by the names of chat", () => {
  const { body, ...made } = head({
    instructions: "Be brief.",
    temperature: 0.5,
    top_p: 0.9,
    max_output_tokens: 50,
    presence_penalty: 1,
    frequency_penalty: -1,
    reasoning: { effort: "high" },
    user: "u1",
    tools: [weather],
    parallel_tool_calls: false,
    tool_choice: "required",
    store: false,
    metadata: { a: "b" },
    client_metadata: { secret: "x" },
    prompt_cache_key: "k",
  });
  expect(body).toEqual({
    model: "upstream",
    stream: true,
    stream_options: { include_usage: true },
    temperature: 0.5,
    top_p: 0.9,
    max_tokens: 50,
    presence_penalty: 1,
    frequency_penalty: -1,
    reasoning_effort: "high",
    user: "u1",
    tools: [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }],
    parallel_tool_calls: false,
    tool_choice: "required",
    messages: [],
  });
  expect(made.instructions).toBe("Be brief.");
  expect(head({ max_output_tokens: 50 }, {}, { maxTokens: "max_completion_tokens" }).body).toMatchObject({
    max_completion_tokens: 50,
  });
});

test("log probabilities are asked for where they are to be shown", () => {
  const include = ["message.output_text.logprobs"];
  expect(head({ include, top_logprobs: 2 }).body).toMatchObject({ logprobs: true, top_logprobs: 2 });
  expect(head({ include }).body).not.toHaveProperty("top_logprobs");
  expect(head({ top_logprobs: 2 }).body).not.toHaveProperty("logprobs");
  expect(head({ top_logprobs: 2 }).body).not.toHaveProperty("top_logprobs");
});

test("fields that the API does not know pass through, except those that would break the answer", () => {
  const { body } = head(
    { top_k: 40, n: 3, messages: [1], chat_template_kwargs: { thinking: true } },
    { extraBody: { seed: 7 } },
  );
  expect(body).toMatchObject({ top_k: 40, seed: 7, chat_template_kwargs: { thinking: true }, messages: [] });
  expect(body).not.toHaveProperty("n");
});

test("the configuration's own fields stand where the client says nothing", () => {
  const extraBody = { temperature: 0.2, max_tokens: 99, stop: ["x"] };
  expect(head({}, { extraBody }).body).toMatchObject(extraBody);
  expect(head({ temperature: 1, stop: ["y"] }, { extraBody }).body).toMatchObject({ temperature: 1, stop: ["y"] });
});

test("text formats become response formats", () => {
  expect(head({ text: { format: { type: "json_object" } } }).body["response_format"]).toEqual({ type: "json_object" });
  const format = { type: "json_schema", name: "answer", strict: true, schema: { type: "object" } };
  expect(head({ text: { format } }).body["response_format"]).toEqual({
    type: "json_schema",
    json_schema: { name: "answer", strict: true, schema: { type: "object" } },
  });
});

describe("tools", () => {
  test("a custom tool is a function with one string, and its grammar is told", () => {
    const format = { type: "grammar", syntax: "lark", definition: "start: /x/" };
    const { body, tools } = head({ tools: [{ type: "custom", name: "patch", description: "Patches.", format }] });
    const [tool] = body["tools"] as [{ function: { description: string; parameters: object } }];
    expect(tool.function.description).toBe("Patches.\n\nThe input must match this lark grammar:\nstart: /x/");
    expect(tool.function.parameters).toMatchObject({ required: ["input"], properties: { input: { type: "string" } } });
    expect(tools.behind.get("patch")).toMatchObject({ kind: "custom", name: "patch", namespace: null });
  });

  test("hosted tools are left out, and refused by a strict server", () => {
    const tools = [weather, { type: "web_search" }];
    expect(head({ tools }).body["tools"]).toHaveLength(1);
    expect(head({ tools }).tools.omitted).toEqual(["web_search"]);
    expect(head({ tools: [{ type: "web_search" }], tool_choice: "auto" }).body).not.toHaveProperty("tools");
    const error = refusal({ tools }, { strictTools: true });
    expect(error).toMatchObject({ code: "unsupported_tool", param: "tools" });
    expect(error.message).toContain("'web_search'");
  });

  test("tool_choice names a function in chat's way", () => {
    const { body } = head({ tools: [weather, time], tool_choice: { type: "function", name: "time" } });
    expect(body["tool_choice"]).toEqual({ type: "function", function: { name: "time" } });
    expect(body["tools"]).toHaveLength(2);
  });

  test("tool_choice of a hosted tool leaves the choice to the model, unless the server is strict", () => {
    const tools = [weather, { type: "web_search" }];
    const { body } = head({ tools, tool_choice: { type: "web_search" } });
    expect(body["tools"]).toHaveLength(1);
    expect(body).not.toHaveProperty("tool_choice");
    const allowed = { type: "allowed_tools", mode: "required", tools: [{ type: "web_search" }] };
    const left = head({ tools, tool_choice: allowed });
    expect(left.body).not.toHaveProperty("tools");
    expect(left.body).not.toHaveProperty("tool_choice");
    const strict = refusal({ tools, tool_choice: { type: "web_search" } }, { strictTools: true });
    expect(strict).toMatchObject({ code: "unsupported_tool" });
  });

  test("tool_choice of a tool that is not there is refused by name", () => {
    const hosted = refusal({ tools: [weather], tool_choice: { type: "web_search" } });
    expect(hosted).toMatchObject({ code: "unsupported_tool", param: "tool_choice" });
    expect(hosted.message).toContain("'web_search'");
    const absent = refusal({ tools: [weather], tool_choice: { type: "function", name: "nope" } });
    expect(absent).toMatchObject({ code: "invalid_value", param: "tool_choice" });
    expect(absent.message).toContain("'nope'");
  });

  test("tool_choice and allowed_tools find the tools of namespaces", () => {
    const tools = [time, { type: "namespace", name: "home", description: "", tools: [weather, time] }];
    const choice = (tool_choice: object) => head({ tools, tool_choice }).body["tool_choice"];
    expect(choice({ type: "function", name: "time" })).toEqual({ type: "function", function: { name: "time" } });
    expect(choice({ type: "function", name: "time", namespace: "home" })).toMatchObject({
      function: { name: "home__time" },
    });
    expect(choice({ type: "function", name: "weather" })).toMatchObject({ function: { name: "home__weather" } });
    const allowed = { type: "allowed_tools", mode: "auto", tools: [{ type: "namespace", name: "home" }] };
    expect(head({ tools, tool_choice: allowed }).allowed).toEqual(new Set(["home__weather", "home__time"]));
  });

  test("allowed_tools leaves the model only those", () => {
    const allowed = { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "time" }] };
    const made = head({ tools: [weather, time], tool_choice: allowed });
    expect(made.body["tools"]).toEqual([
      {
        type: "function",
        function: {
          name: "time",
          description: "Tells it",
          parameters: { type: "object", properties: {} },
          strict: true,
        },
      },
    ]);
    expect(made.body["tool_choice"]).toBe("required");
    expect(made.allowed).toEqual(new Set(["time"]));
  });
});
