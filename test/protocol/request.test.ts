import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ApiError } from "../../src/protocol/errors.ts";
import { parseExactJson } from "../../src/protocol/exact-json.ts";
import { type CreateRequest, parseCreateRequest } from "../../src/protocol/request.ts";
import { INCLUDE } from "../../src/protocol/table.ts";

const BASE = { model: "m", input: "Hi" };

function parse(fields: object): CreateRequest {
  return parseCreateRequest({ ...BASE, ...fields });
}

/** The code and the param of what refuses a request. */
function refusal(fields: unknown): readonly (string | null)[] {
  try {
    const request = parseCreateRequest(fields);
    throw new Error(`accepted as ${JSON.stringify(request)}`);
  } catch (error) {
    if (error instanceof ApiError) return [error.code, error.param];
    throw error;
  }
}

describe("the smallest request", () => {
  test("gets every default of the API", () => {
    expect(parseCreateRequest(BASE)).toEqual({
      model: "m",
      input: [{ type: "message", role: "user", content: "Hi" }],
      previous_response_id: null,
      conversation: null,
      instructions: null,
      tools: [],
      tool_choice: "auto",
      parallel_tool_calls: null,
      text: { format: { type: "text" }, verbosity: null },
      reasoning: { effort: null, summary: null, context: null, mode: null },
      obfuscated: false,
      echo: null,
      prompt_cache_retention: null,
      max_output_tokens: null,
      max_tool_calls: null,
      temperature: null,
      top_p: null,
      top_logprobs: null,
      logprobs: false,
      sealedReasoning: false,
      presence_penalty: null,
      frequency_penalty: null,
      truncation: "disabled",
      store: true,
      stream: false,
      metadata: {},
      user: null,
      safety_identifier: null,
      prompt_cache_key: null,
      service_tier: null,
      background: false,
      generate: true,
      compaction: null,
      extra: {},
    } satisfies CreateRequest);
  });

  test.each(["conv_1", { id: "conv_1" }])("may leave out its input in a conversation: %j", (conversation) => {
    expect(parseCreateRequest({ model: "m", conversation })).toMatchObject({ conversation: "conv_1", input: [] });
  });

  test.each([7, {}, { id: 7 }, { id: "" }, ""])("names a conversation by its id: %j", (conversation) => {
    expect(refusal({ ...BASE, conversation })?.[1]).toMatch(/^conversation/);
  });

  test("goes on from a response or in a conversation, not both", () => {
    const both = { previous_response_id: "resp_1", conversation: "conv_1" };
    expect(refusal({ ...BASE, ...both })).toEqual(["invalid_value", "conversation"]);
    expect(parse({ ...both, conversation: null }).previous_response_id).toBe("resp_1");
    expect(parse({ ...both, previous_response_id: null }).conversation).toBe("conv_1");
  });

  test("may leave out its input when it continues a response", () => {
    expect(parseCreateRequest({ model: "m", previous_response_id: "resp_1" }).input).toEqual([]);
    expect(parseCreateRequest({ model: "m", previous_response_id: "resp_1", input: null }).input).toEqual([]);
    expect(parseCreateRequest({ model: "m", input: [] }).input).toEqual([]);
  });

  test("must have an input otherwise", () => {
    expect(refusal({ model: "m" })).toEqual(["missing_required_parameter", "input"]);
    expect(refusal({ model: "m", input: null, previous_response_id: null })).toEqual([
      "missing_required_parameter",
      "input",
    ]);
  });
});

test("null is the same as nothing, for every field that has a default", () => {
  const names = Object.keys(parseCreateRequest(BASE)).filter(
    (name) =>
      !["model", "input", "extra", "compaction", "logprobs", "sealedReasoning", "obfuscated", "echo"].includes(name),
  );
  expect(parse(Object.fromEntries(names.map((name) => [name, null])))).toEqual(parseCreateRequest(BASE));
});

test("what is given is kept", () => {
  const given = {
    previous_response_id: "resp_1",
    instructions: "Be brief.",
    tools: [{ type: "custom", name: "shell", format: { type: "text" } }],
    tool_choice: { type: "custom", name: "shell" },
    parallel_tool_calls: false,
    reasoning: { effort: "low", summary: "auto" },
    prompt_cache_retention: "24h",
    max_output_tokens: 1,
    max_tool_calls: 2,
    temperature: 0,
    top_p: 1,
    top_logprobs: 20,
    presence_penalty: -2,
    frequency_penalty: 2,
    truncation: "auto",
    store: false,
    stream: true,
    metadata: { a: "b" },
    user: "u",
    safety_identifier: "s",
    prompt_cache_key: "k",
    service_tier: "flex",
  } as const;
  const text = { format: { type: "json_object" }, verbosity: "low" };
  expect(parse({ ...given, text })).toMatchObject({ ...given, text });
});

test("half of the reasoning settings is completed", () => {
  expect(parse({ reasoning: {} }).reasoning).toEqual({ effort: null, summary: null, context: null, mode: null });
  const high = { reasoning: { effort: "high", generate_summary: "concise", mode: "pro" } };
  expect(parse(high).reasoning).toEqual({ effort: "high", summary: "concise", context: null, mode: "pro" });
});

const inputOf = (input: unknown): CreateRequest["input"] => parse({ input }).input;

test("multi-agent mode is refused", () => {
  expect(refusal({ ...BASE, multi_agent: { enabled: true } })).toEqual(["unsupported_value", "multi_agent"]);
  for (const multi_agent of [null, {}, { enabled: false }]) expect(parse({ multi_agent }).extra).toEqual({});
});

test.each([
  ["a namespace", { type: "namespace", name: "n", tools: [] }],
  ["a tool that the server runs", { type: "web_search" }],
  ["a tool of the client that has a kind of its own", { type: "shell" }],
  ["a search for tools", { type: "tool_search", execution: "client" }],
])("async is refused where it means nothing: %s", (_, tool) => {
  expect(refusal({ ...BASE, tools: [{ ...tool, async: true }] })).toEqual(["unknown_parameter", "tools[0].async"]);
  const input = [{ type: "additional_tools", tools: [{ ...tool, async: false }] }];
  expect(refusal({ ...BASE, input })).toEqual(["unknown_parameter", "input[0].tools[0].async"]);
});

test("async is a boolean, of functions and custom tools wherever they are", () => {
  const tools = [
    { type: "function", name: "f", async: true },
    { type: "custom", name: "c", async: false },
    { type: "namespace", name: "n", tools: [{ type: "function", name: "g", async: true }] },
  ];
  expect(parse({ tools }).tools.map((tool) => tool["async"])).toEqual([true, false, undefined]);
  const wrong = [{ type: "function", name: "f", async: "yes" }];
  expect(refusal({ ...BASE, tools: wrong })).toEqual(["invalid_type", "tools[0].async"]);
  const inner = [{ type: "namespace", name: "n", tools: [{ type: "web_search", async: true }] }];
  expect(refusal({ ...BASE, tools: inner })).toEqual(["unknown_parameter", "tools[0].tools[0].async"]);
});

describe("a part that nobody knows is refused with its place", () => {
  const text = { type: "input_text", text: "x" };

  test.each([
    ["in a message of the user", { role: "user", content: [text, { type: "input_txt", text: "x" }] }, "content[1]"],
    ["in one of the assistant", { role: "assistant", content: [{ type: "bogus_part" }] }, "content[0]"],
    ["in one of the system", { role: "system", content: [{ type: "bogus_part" }] }, "content[0]"],
    ["in the output of a function", { type: "function_call_output", output: [{ type: "image" }] }, "output[0]"],
    [
      "in the output of a custom tool",
      { type: "custom_tool_call_output", output: [{ type: "__proto__" }] },
      "output[0]",
    ],
    ["in a summary", { type: "reasoning", summary: [{ type: "sumary_text", text: "x" }] }, "summary[0]"],
  ])("%s", (_, item, at) => {
    expect(refusal({ ...BASE, input: [item] })).toEqual(["invalid_value", `input[0].${at}`]);
  });
});

describe("input", () => {
  test("as a string is one user message", () => {
    expect(inputOf("")).toEqual([{ type: "message", role: "user", content: "" }]);
  });

  test.each([{ id: "msg_1" }, { id: "msg_1", type: null }])("may leave out the type of a reference: %j", (item) => {
    expect(parse({ input: [item] }).input).toEqual([{ type: "item_reference", id: "msg_1" }]);
  });

  test("may leave out the type of a message", () => {
    expect(inputOf([{ role: "developer", content: [{ type: "input_text", text: "a" }], phase: "x" }])).toEqual([
      { type: "message", role: "developer", content: [{ type: "input_text", text: "a" }], phase: "x" },
    ]);
  });

  test.each([
    [
      {
        type: "message",
        role: "assistant",
        content: [
          { type: "output_text", text: "a" },
          { type: "refusal", refusal: "b" },
        ],
        id: "msg_1",
        status: "completed",
      },
    ],
    [
      {
        type: "message",
        role: "user",
        content: [
          { type: "input_image", image_url: "data:," },
          { type: "input_image", file_id: "f", detail: null },
        ],
      },
    ],
    [{ type: "message", role: "system", content: "s" }],
    [{ type: "function_call", call_id: "c", name: "f", arguments: "not even JSON" }],
    [{ type: "function_call_output", call_id: "c", output: "done" }],
    [{ type: "function_call_output", call_id: "c", output: [{ type: "input_text", text: "a" }] }],
    [{ type: "custom_tool_call", call_id: "c", name: "f", input: "" }],
    [{ type: "custom_tool_call_output", call_id: "c", output: "" }],
    [{ type: "reasoning" }],
    [
      {
        type: "reasoning",
        id: "rs_1",
        summary: [{ type: "summary_text", text: "s" }],
        content: [{ type: "reasoning_text", text: "t" }],
        encrypted_content: "…",
      },
    ],
    [{ type: "reasoning", summary: [], content: null, encrypted_content: null }],
    [{ type: "item_reference", id: "msg_1" }],
    [{ type: "function_call_output", output: "" }],
    [{ type: "custom_tool_call_output", call_id: null, name: "f", namespace: "n", output: [] }],
    [{ type: "from_the_future", content: 5, output: [null] }],
  ])("%j passes as it is", (item) => {
    expect(inputOf([item])).toEqual([item]);
  });

  test.each([
    [5, "invalid_type", "input"],
    [{}, "invalid_type", "input"],
    [[5], "invalid_type", "input[0]"],
    [["Hi"], "invalid_type", "input[0]"],
    [[null], "invalid_type", "input[0]"],
    [[[]], "invalid_type", "input[0]"],
    [[{}], "missing_required_parameter", "input[0].type"],
    [[{ content: "Hi" }], "missing_required_parameter", "input[0].type"],
    [[{ type: 5 }], "invalid_type", "input[0].type"],
    [[{ type: null, role: "user", content: "" }], "invalid_type", "input[0].type"],
    [[{ role: "user" }], "missing_required_parameter", "input[0].content"],
    [[{ role: "robot", content: "" }], "invalid_value", "input[0].role"],
    [[{ role: null, content: "" }], "invalid_type", "input[0].role"],
    [[{ type: "message", content: "" }], "missing_required_parameter", "input[0].role"],
    [[{ role: "user", content: null }], "invalid_type", "input[0].content"],
    [[{ role: "user", content: {} }], "invalid_type", "input[0].content"],
    [[{ role: "user", content: ["Hi"] }], "invalid_type", "input[0].content[0]"],
    [[{ role: "user", content: [{ text: "Hi" }] }], "missing_required_parameter", "input[0].content[0].type"],
    [[{ role: "user", content: [{ type: "input_text" }] }], "missing_required_parameter", "input[0].content[0].text"],
    [
      [{ role: "user", content: [{ type: "input_image", image_url: 5 }] }],
      "invalid_type",
      "input[0].content[0].image_url",
    ],
    [
      [{ role: "assistant", content: [{ type: "refusal" }] }],
      "missing_required_parameter",
      "input[0].content[0].refusal",
    ],
    [[{ type: "function_call", call_id: "c", name: "f" }], "missing_required_parameter", "input[0].arguments"],
    [[{ type: "function_call", call_id: "c", name: "f", arguments: {} }], "invalid_type", "input[0].arguments"],
    [[{ type: "function_call_output", call_id: 5, output: "" }], "invalid_type", "input[0].call_id"],
    [[{ type: "function_call_output", call_id: "c", output: 5 }], "invalid_type", "input[0].output"],
    [
      [{ type: "function_call_output", call_id: "c", output: [{ type: "input_text" }] }],
      "missing_required_parameter",
      "input[0].output[0].text",
    ],
    [[{ type: "custom_tool_call", call_id: "c", name: "f" }], "missing_required_parameter", "input[0].input"],
    [[{ type: "custom_tool_call_output", call_id: "c" }], "missing_required_parameter", "input[0].output"],
    [[{ type: "additional_tools", role: "developer" }], "missing_required_parameter", "input[0].tools"],
    [
      [{ type: "additional_tools", tools: [{ type: "function" }] }],
      "missing_required_parameter",
      "input[0].tools[0].name",
    ],
    [[{ type: "configuration_update", reasoning: { effort: 5 } }], "invalid_type", "input[0].reasoning.effort"],
    [[{ type: "configuration_update", text: {} }], "missing_required_parameter", "input[0].text.format"],
    [
      [{ type: "configuration_update", text: { format: { type: "json_schema", name: "s" } } }],
      "missing_required_parameter",
      "input[0].text.format.schema",
    ],
    [
      [{ type: "reasoning", summary: [{ type: "summary_text" }] }],
      "missing_required_parameter",
      "input[0].summary[0].text",
    ],
    [[{ type: "reasoning", encrypted_content: 5 }], "invalid_type", "input[0].encrypted_content"],
    [[{ role: "user", content: "Hi" }, { type: "item_reference" }], "missing_required_parameter", "input[1].id"],
  ])("%j is refused", (input, code, param) => {
    expect(refusal({ model: "m", input })).toEqual([code, param]);
  });
});

describe("what the API does not know", () => {
  const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);
  const fields = fc.dictionary(fc.string({ maxLength: 12 }), json, { maxKeys: 5 });
  const oddName = fc.constantFrom("__proto__", "constructor", "toString", "__defineGetter__", "hasOwnProperty");
  const KNOWN = [
    "message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
    "item_reference",
  ];

  test("an item of any other type passes unchanged, whatever it holds", () => {
    const type = fc.oneof(oddName, fc.string({ maxLength: 20 })).filter((name) => !KNOWN.includes(name));
    fc.assert(
      fc.property(fields, type, (held, name) => {
        const item = { ...held, type: name };
        expect(parse({ input: [item] }).input).toEqual([item]);
      }),
    );
  });

  test("other fields of a known item, and of its parts, pass unchanged", () => {
    const type = fc.constantFrom("encrypted_content", "input_audio", "video_url");
    fc.assert(
      fc.property(fields, fields, type, (ofItem, ofPart, name) => {
        const item = {
          ...ofItem,
          type: "message",
          role: "user",
          status: "completed",
          content: [{ ...ofPart, type: name }],
        };
        expect(JSON.stringify(parse({ input: [item] }).input)).toBe(JSON.stringify([item]));
      }),
    );
  });

  test("other fields of the request are kept for the model server, as they came", () => {
    fc.assert(
      fc.property(fields, (given) => {
        const extra = Object.fromEntries(Object.entries(given).map(([name, value]) => [`x_${name}`, value]));
        expect(parse(extra).extra).toEqual(extra);
      }),
    );
    const body: unknown = JSON.parse('{"model":"m","input":"Hi","__proto__":{"polluted":true},"top_k":4}');
    const { extra } = parseCreateRequest(body);
    expect(JSON.stringify(extra)).toBe('{"__proto__":{"polluted":true},"top_k":4}');
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  test("a tool of another type passes unchanged", () => {
    const tools = [{ type: "web_search", filters: { a: 1 } }, { type: "__proto__" }, { type: "constructor", name: 5 }];
    expect(parse({ tools }).tools).toEqual(tools);
  });

  test("fields that are for OpenAI's own servers are read and reach no model", () => {
    const own = {
      access_programs: { cyber: null },
      background_options: { completion_window: "2h" },
      client_metadata: { turn: "1" },
      context_management: [],
      generate: true,
      image: {},
      include: ["file_search_call.results"],
      moderation: null,
      multi_agent: { enabled: false },
      prompt_cache_options: { mode: "implicit" },
      stream_options: { include_obfuscation: false },
      type: "response.create",
    };
    expect(parse(own)).toEqual(parseCreateRequest(BASE));
  });
});

test("what may be included is known by name, and of it the log probabilities of text are shown", () => {
  expect(parse({ include: [...INCLUDE] }).logprobs).toBe(true);
  expect(parse({ include: INCLUDE.filter((name) => !name.endsWith("logprobs")) }).logprobs).toBe(false);
});

describe("tools", () => {
  test("of the kind function are shown with all of their fields", () => {
    const [bare, full] = parse({
      tools: [
        { type: "function", name: "f" },
        { type: "function", name: "g", description: "d", parameters: { type: "object" }, strict: true, x: 1 },
      ],
    }).tools;
    expect(bare).toEqual({ type: "function", name: "f", description: null, parameters: null, strict: null });
    expect(full).toEqual({
      type: "function",
      name: "g",
      description: "d",
      parameters: { type: "object" },
      strict: true,
      x: 1,
    });
  });

  test.each([
    [{}, "invalid_type", "tools"],
    [[5], "invalid_type", "tools[0]"],
    [[{}], "missing_required_parameter", "tools[0].type"],
    [[{ type: "function" }], "missing_required_parameter", "tools[0].name"],
    [[{ type: "function", function: { name: "f" } }], "missing_required_parameter", "tools[0].name"],
    [[{ type: "function", name: "" }], "invalid_value", "tools[0].name"],
    [[{ type: "function", name: "f", parameters: [] }], "invalid_type", "tools[0].parameters"],
    [[{ type: "function", name: "f", strict: "yes" }], "invalid_type", "tools[0].strict"],
    [[{ type: "function", name: "f" }, { type: "custom" }], "missing_required_parameter", "tools[1].name"],
    [[{ type: "namespace", name: "n" }], "missing_required_parameter", "tools[0].tools"],
    [[{ type: "namespace", tools: [] }], "missing_required_parameter", "tools[0].name"],
    [
      [{ type: "namespace", name: "n", tools: [{ type: "function" }] }],
      "missing_required_parameter",
      "tools[0].tools[0].name",
    ],
    [
      [{ type: "namespace", name: "n", tools: [{ type: "namespace", name: "m", tools: [] }] }],
      "invalid_value",
      "tools[0].tools[0].type",
    ],
  ])("%j are refused", (tools, code, param) => {
    expect(refusal({ ...BASE, tools })).toEqual([code, param]);
  });

  test.each([
    ["auto"],
    ["none"],
    ["required"],
    [{ type: "function", name: "f" }],
    [{ type: "custom", name: "f" }],
    [{ type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "f" }] }],
    [{ type: "web_search" }],
    [{ type: "__proto__" }],
  ])("%j is a choice of them", (choice) => {
    expect(parse({ tool_choice: choice }).tool_choice).toEqual(choice);
  });

  test.each([
    ["maybe", "invalid_value", "tool_choice"],
    [5, "invalid_type", "tool_choice"],
    [{}, "missing_required_parameter", "tool_choice.type"],
    [{ type: "function" }, "missing_required_parameter", "tool_choice.name"],
    [{ type: "custom", name: "" }, "invalid_value", "tool_choice.name"],
    [{ type: "allowed_tools", mode: "none", tools: [] }, "invalid_value", "tool_choice.mode"],
    [{ type: "allowed_tools", mode: "auto" }, "missing_required_parameter", "tool_choice.tools"],
    [{ type: "allowed_tools", mode: "auto", tools: [{}] }, "missing_required_parameter", "tool_choice.tools[0].type"],
  ])("%j is no choice of them", (choice, code, param) => {
    expect(refusal({ ...BASE, tool_choice: choice })).toEqual([code, param]);
  });
});

describe("a text format", () => {
  test("with a schema has a name for it", () => {
    const format = { type: "json_schema", name: "n", schema: { type: "object" }, strict: true };
    expect(parse({ text: { format } }).text.format).toEqual(format);
  });

  test.each([
    [[], "invalid_type", "text"],
    [{ format: "text" }, "invalid_type", "text.format"],
    [{ format: {} }, "missing_required_parameter", "text.format.type"],
    [{ format: { type: "xml" } }, "invalid_value", "text.format.type"],
    [{ format: { type: "json_schema", schema: {} } }, "missing_required_parameter", "text.format.name"],
    [{ format: { type: "json_schema", name: "n" } }, "missing_required_parameter", "text.format.schema"],
    [{ format: { type: "json_schema", name: "n", schema: [] } }, "invalid_type", "text.format.schema"],
  ])("%j is refused", (text, code, param) => {
    expect(refusal({ ...BASE, text })).toEqual([code, param]);
  });
});

describe("a setting out of its bounds is refused", () => {
  test.each([
    [{ model: "" }, "invalid_value", "model"],
    [{ model: 5 }, "invalid_type", "model"],
    [{ previous_response_id: 5 }, "invalid_type", "previous_response_id"],
    [{ instructions: ["Be brief."] }, "invalid_type", "instructions"],
    [{ parallel_tool_calls: "no" }, "invalid_type", "parallel_tool_calls"],
    [{ reasoning: "high" }, "invalid_type", "reasoning"],
    [{ reasoning: { effort: 5 } }, "invalid_type", "reasoning.effort"],
    [{ max_output_tokens: 0 }, "integer_below_min_value", "max_output_tokens"],
    [{ max_output_tokens: 1.5 }, "invalid_type", "max_output_tokens"],
    [{ max_tool_calls: 0 }, "integer_below_min_value", "max_tool_calls"],
    [{ temperature: 2.1 }, "decimal_above_max_value", "temperature"],
    [{ temperature: "1" }, "invalid_type", "temperature"],
    [{ top_p: -0.1 }, "decimal_below_min_value", "top_p"],
    [{ top_logprobs: 21 }, "integer_above_max_value", "top_logprobs"],
    [{ presence_penalty: 3 }, "decimal_above_max_value", "presence_penalty"],
    [{ frequency_penalty: -3 }, "decimal_below_min_value", "frequency_penalty"],
    [{ truncation: "yes" }, "invalid_value", "truncation"],
    [{ include: "all" }, "invalid_type", "include"],
    [{ include: ["all"] }, "invalid_value", "include[0]"],
    [{ store: "no" }, "invalid_type", "store"],
    [{ stream: 1 }, "invalid_type", "stream"],
    [{ background: "yes" }, "invalid_type", "background"],
    [{ user: 5 }, "invalid_type", "user"],
    [{ safety_identifier: 5 }, "invalid_type", "safety_identifier"],
    [{ prompt_cache_key: 5 }, "invalid_type", "prompt_cache_key"],
    [{ service_tier: 5 }, "invalid_type", "service_tier"],
    [{ metadata: { a: 1 } }, "invalid_type", "metadata.a"],
    [{ metadata: { a: "x".repeat(513) } }, "invalid_value", "metadata.a"],
    [
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`k${index}`, ""])) },
      "invalid_value",
      "metadata",
    ],
  ])("%j", (fields, code, param) => {
    // As JSON, which has no undefined.
    expect(refusal(JSON.parse(JSON.stringify({ ...BASE, ...fields })))).toEqual([code, param]);
  });

  test("as is a metadata key of more than 64 characters", () => {
    const key = "k".repeat(65);
    expect(refusal({ ...BASE, metadata: { [key]: "" } })).toEqual(["invalid_value", `metadata.${key}`]);
    expect(parse({ metadata: { [key.slice(1)]: "x".repeat(512) } }).metadata).toHaveProperty(key.slice(1));
  });
});

describe("what this server does not offer is refused, never ignored", () => {
  test.each([["prompt", { id: "pmpt_1" }]])("%s: %j", (field, value) => {
    expect(refusal({ ...BASE, [field]: value })).toEqual(["unsupported_parameter", field]);
  });

  test("a background response that is not to be stored", () => {
    expect(refusal({ ...BASE, background: true, store: false })).toEqual(["invalid_value", "background"]);
    expect(parse({ background: true, store: true }).background).toBe(true);
  });

  test("but not where the value says what happens anyway", () => {
    const request = parse({ background: false, prompt: null });
    expect(request).toEqual(parseCreateRequest(BASE));
  });
});

test.each([[null], [undefined], ["Hi"], [5], [[]], [[BASE]]])("%j is no request", (body) => {
  expect(refusal(body)).toEqual(["invalid_type", null]);
});

test("an integer beyond 2^53 is shown and passed on with all of its digits", () => {
  const largest = "9223372036854775807";
  const tool = `{"type":"function","name":"f","parameters":{"type":"object","maximum":${largest}}}`;
  const text = `{"model":"m","input":"x","max_tool_calls":${largest},"seed":${largest}0,"tools":[${tool}]}`;
  const request = parseCreateRequest(parseExactJson(text));
  expect(JSON.stringify(request.max_tool_calls)).toBe(largest);
  expect(JSON.stringify(request.extra)).toBe(`{"seed":${largest}0}`);
  expect(JSON.stringify(request.tools[0]?.["parameters"])).toContain(largest);
});

test.each([
  ["max_tool_calls", "0", "integer_below_min_value", /Expected a value >= 1, but got 0 instead/],
  [
    "max_tool_calls",
    "9223372036854775808",
    "integer_above_max_value",
    /<= 9223372036854775807, but got 9223372036854775808/,
  ],
  ["max_output_tokens", "-9223372036854775808", "integer_below_min_value", /below minimum value/],
  ["max_tool_calls", "2.5", "invalid_type", /expected an integer, but got a decimal number instead/],
  ["temperature", "2.5", "decimal_above_max_value", /decimal above maximum value. Expected a value <= 2, but got 2.5/],
  ["top_p", "-0.5", "decimal_below_min_value", /Expected a value >= 0/],
  ["temperature", "90071992547409930", "decimal_above_max_value", /above maximum value/],
])("%s of %s is refused in OpenAI's words", (field, value, code, message) => {
  const refused = () => parseCreateRequest(parseExactJson(`{"model":"m","input":"x","${field}":${value}}`));
  expect(refused).toThrow(expect.objectContaining({ code, param: field, message: expect.stringMatching(message) }));
});
