import { describe, expect, test } from "vitest";
import { chatHead, type ChatRequestOptions } from "../../src/backends/chat-request.ts";
import { changed, COMMON_DIALECT, type DialectChange } from "../../src/backends/dialect.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { open } from "../support/compactions.ts";

const OPTIONS: ChatRequestOptions = {
  strictTools: false,
  mcpTools: "refuse",
  extraBody: {},
  defaultBody: {},
  allowFields: [],
};
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

test("fields of sampling pass through", () => {
  const sampling = {
    top_k: 40,
    min_p: 0.1,
    repetition_penalty: 1.1,
    stop: ["x"],
    seed: 7,
    logit_bias: { 5: -1 },
    chat_template_kwargs: { enable_thinking: false, thinking_budget: 5 },
  };
  const { body, dropped } = head(sampling);
  expect(body).toMatchObject(sampling);
  expect(dropped).toEqual([]);
});

/** What engines and routers take besides, by what it does there. */
const CONTROLS = [
  "priority",
  "cache_salt",
  "extra_key",
  "session_id",
  "session_params",
  "id_slot",
  "rid",
  "request_id",
  "kv_transfer_params",
  "vllm_xargs",
  "extra_args",
  "custom_logit_processor",
  "logits_processors",
  "custom_params",
  "bootstrap_host",
  "bootstrap_port",
  "bootstrap_room",
  "data_parallel_rank",
  "routed_dp_rank",
  "nvext",
  "return_token_ids",
  "return_hidden_states",
  "prompt_logprobs",
  "echo",
  "ignore_eos",
  "use_beam_search",
  "chat_template",
  "documents",
  "mm_processor_kwargs",
  "guided_regex",
  "structured_outputs",
  "grammar",
  "provider",
  "transforms",
  "keep_alive",
  "options",
  "web_search_options",
  "cache_prompt",
  "stream_interval",
  "a_field_of_tomorrow",
  "Top_K",
  "top_k ",
  "__proto__",
];

/** Fields that choose a model, however they are written. */
const CHOICES = [
  "models",
  "Models",
  "model_id",
  "fallbacks",
  "fallback_models",
  "route",
  "router",
  "preset",
  "plugins",
  "lora",
  "lora_path",
  "lora_request",
  "adapter_id",
  "draft_model",
  "extra_body",
  "extra_args",
  "extra_headers",
];

test.each([...CONTROLS, ...CHOICES])("a field that controls the engine does not pass: %s", (field) => {
  const given = JSON.parse(`{${JSON.stringify(field)}: "x"}`) as object;
  const { body, dropped } = head(given);
  expect(Object.keys(body)).toEqual(Object.keys(head({}).body));
  expect(dropped).toHaveLength(1);
});

test.each(["messages", "n", "best_of", "functions", "function_call"])(
  "a field that would break the answer never passes: %s",
  (field) => {
    const { body } = head({ [field]: 3 }, { allowFields: ["*", field], extraBody: { [field]: 3 } });
    expect(body).toEqual(head({}).body);
  },
);

test("fields that the operator allows pass, and those that choose a model still do not", () => {
  const given = { priority: -1, provider: { order: ["x"] }, models: ["other"], lora_path: "x" };
  expect(head(given, { allowFields: ["priority", "models"] }).body).toMatchObject({ priority: -1 });
  for (const allowFields of [["priority", "provider", "models", "lora_path"], ["*"]]) {
    const { body } = head(given, { allowFields });
    expect(body).toMatchObject({ model: "upstream", priority: -1, provider: { order: ["x"] } });
    expect(body).not.toHaveProperty("models");
    expect(body).not.toHaveProperty("lora_path");
  }
});

test("switches of a template bring no template, and no arguments of what renders it", () => {
  const switches = {
    enable_thinking: true,
    chat_template: "{{ x }}",
    tokenize: true,
    messages: [],
    tools: [],
    add_generation_prompt: false,
    nested: { a: 1 },
  };
  expect(head({ chat_template_kwargs: switches }).body["chat_template_kwargs"]).toEqual({ enable_thinking: true });
  const allowFields = ["chat_template_kwargs"];
  expect(head({ chat_template_kwargs: switches }, { allowFields }).body["chat_template_kwargs"]).toEqual(switches);
});

test("what the operator sets is above what the client says, and defaults are below it", () => {
  const fields = { temperature: 0.2, max_tokens: 99, stop: ["x"], top_k: 5, priority: 7 };
  const client = { temperature: 1, stop: ["y"], max_output_tokens: 3, top_k: 1, priority: 1 };
  expect(head({}, { extraBody: fields }).body).toMatchObject(fields);
  expect(head(client, { extraBody: fields, allowFields: ["*"] }).body).toMatchObject(fields);
  expect(head({}, { defaultBody: fields }).body).toMatchObject(fields);
  expect(head(client, { defaultBody: fields, allowFields: ["*"] }).body).toMatchObject({
    temperature: 1,
    stop: ["y"],
    max_tokens: 3,
    top_k: 1,
    priority: 1,
  });
  expect(head(client, { defaultBody: { top_k: 2 }, extraBody: { top_k: 3 } }).body).toMatchObject({ top_k: 3 });
});

test("names of dropped fields are logged only where they are not the client's own words", () => {
  expect(head({ priority: 1, my_secret: 2, another_secret: 3 }).dropped).toEqual(["priority", "(another)"]);
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
    const allowed = { type: "allowed_tools", mode: "auto", tools: [{ type: "web_search" }] };
    const left = head({ tools, tool_choice: allowed });
    expect(left.body).not.toHaveProperty("tools");
    expect(left.body).not.toHaveProperty("tool_choice");
    const strict = refusal({ tools, tool_choice: { type: "web_search" } }, { strictTools: true });
    expect(strict).toMatchObject({ code: "unsupported_tool" });
  });

  test.each([
    { tool_choice: "required" },
    { tools: [{ type: "web_search" }], tool_choice: "required" },
    { tools: [{ type: "web_search" }], tool_choice: { type: "web_search" } },
    {
      tools: [weather, { type: "web_search" }],
      tool_choice: { type: "allowed_tools", mode: "required", tools: [{ type: "web_search" }] },
    },
  ])("tool_choice that demands a call is refused where nothing is left to call: %j", (fields) => {
    expect(refusal(fields)).toMatchObject({ code: "invalid_value", param: "tool_choice" });
  });

  test("a tool for an MCP server is refused with its place, unless it is to be left out", () => {
    const tools = [weather, { type: "mcp", server_label: "s", server_url: "https://a.test" }];
    expect(refusal({ tools })).toMatchObject({ code: "unsupported_tool", param: "tools[1]" });
    expect(head({ tools }, { mcpTools: "omit" }).body["tools"]).toHaveLength(1);
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
