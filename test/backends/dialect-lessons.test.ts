import { expect, test } from "vitest";
import { changed, COMMON_DIALECT, type DialectChange } from "../../src/backends/dialect.ts";
import { lessonsIn, rowsIn } from "../../src/backends/dialect-lessons.ts";

const ALTERNATE: DialectChange = { sameRole: "joined", firstMessage: "user", afterTool: "assistant" };

/** Words of real servers and templates, and what is tried first. */
const WORDINGS: readonly (readonly [string, DialectChange])[] = [
  ["After the optional system message, conversation roles must alternate user/assistant/user/assistant/...", ALTERNATE],
  [
    "Jinja Exception: After the optional system message, conversation roles must alternate user and assistant roles except for tool calls and results.",
    ALTERNATE,
  ],
  ["Please ensure that multiturn requests alternate between user and model.", ALTERNATE],
  [
    'messages: roles must alternate between "user" and "assistant", but found multiple "user" roles in a row',
    ALTERNATE,
  ],
  ["Unexpected role 'user' after role 'user'", ALTERNATE],
  ["Unexpected role 'user' after role 'tool'", { afterTool: "assistant" }],
  ["System role not supported", { system: "none" }],
  ["Developer instruction is not enabled for models/gemma-3-27b-it", { system: "none" }],
  ["This model does not support system messages", { system: "none" }],
  ["System message must be at the beginning.", { system: "first" }],
  ["Only user, assistant and tool roles are supported, got system.", { system: "first" }],
  ["Unexpected role 'system' after role 'user'", { system: "first" }],
  ["Invalid message role", { system: "first" }],
  [
    "Only user and assistant roles are supported, with the exception of an initial optional system message!",
    { system: "first" },
  ],
  ["Cannot put tools in the first user message when there's no first user message!", { firstMessage: "user" }],
  ["No user query found in messages.", { firstMessage: "user" }],
  [
    "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
    { lastMessage: "user" },
  ],
  ["This model only supports single tool-calls at once!", { callsPerMessage: "one" }],
  ["Tool call IDs should be alphanumeric strings with length 9!", { callIds: "alphanumeric9" }],
  ["Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.", { callIds: "alphanumeric9" }],
  [
    "Invalid 'messages[2].tool_calls[0].id': string too long. Expected a string with maximum length 40",
    { callIds: "alphanumeric9" },
  ],
  ["messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", { callIds: "alphanumeric9" }],
  ["property 'reasoning_content' is unsupported", { reasoning: "none", reasoningOn: "thoughts" }],
  ["messages.1.reasoning_content: Extra inputs are not permitted", { reasoning: "none", reasoningOn: "thoughts" }],
  [
    "The reasoning_content in the thinking mode must be passed back to the API.",
    { reasoning: "reasoning_content", reasoningOn: "all" },
  ],
  [
    "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
    { reasoning: "reasoning_content", reasoningOn: "all" },
  ],
  [
    "Missing `reasoning_content` field in the assistant message at message index 6.",
    { reasoning: "reasoning_content", reasoningOn: "all" },
  ],
  ["messages: text content blocks must be non-empty", { emptyMessages: "avoided" }],
  ["Invalid request: the message at position 1 with role 'assistant' must not be empty", { emptyMessages: "avoided" }],
  [
    "Assistant message must have a string or a list of chunks in content or a list of tool calls.",
    { emptyMessages: "avoided" },
  ],
  ["The text field in the ContentBlock object is blank.", { emptyMessages: "avoided" }],
  ["messages.1.content: Input should be a valid string", { content: "text" }],
  ["invalid type: sequence, expected a string at line 1 column 2", { content: "text" }],
  [
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    { maxTokens: "max_completion_tokens" },
  ],
  ["stream_options: Extra inputs are not permitted", { omit: ["stream_options"] }],
  ["Unrecognized request argument supplied: stream_options", { omit: ["stream_options"] }],
  ["Unknown parameter: 'parallel_tool_calls'", { omit: ["parallel_tool_calls"] }],
  ["Unrecognized request argument supplied: reasoning_effort", { omit: ["reasoning_effort"] }],
  ["reasoning_effort: Extra inputs are not permitted", { omit: ["reasoning_effort"] }],
  [
    "Unsupported value: 'xhigh'. `reasoning_effort` must be one of: 'low', 'medium', 'high'",
    { efforts: ["low", "medium", "high"] },
  ],
  ["tools.0.function.strict: Extra inputs are not permitted", { omit: ["strict"] }],
  [
    "Invalid JSON payload received. Unknown name \"strict\" at 'tools[0].function': Cannot find field.",
    { omit: ["strict"] },
  ],
  ["This response_format type is unavailable now", { responseFormat: "json_object" }],
  ["'response_format.type' must be one of 'text', 'json_object'", { responseFormat: "json_object" }],
  ["response_format is not supported", { responseFormat: "text" }],
  ["tool_choice: invalid value, expected one of auto, none, required", { toolChoice: "mode" }],
];

test.each(WORDINGS)("%s: %s", (text, change) => {
  expect(lessonsIn(text, COMMON_DIALECT)[0]?.change).toEqual(change);
});

test.each([
  "tools are not supported by this model",
  "Invalid schema for function 'read': too many properties",
  "Invalid schema for response_format 'x': 'additionalProperties' is required to be supplied and to be false.",
  "The model `x` does not exist",
  "max_tokens must be at least 1, got -5.",
  "temperature must be between 0 and 2",
  "Internal Server Error",
  "CUDA out of memory",
  "overloaded",
])("teaches nothing: %s", (text) => {
  expect(rowsIn(text)).toEqual([]);
});

test("offers the next way when the first one is known already", () => {
  const text = "Only user, assistant and tool roles are supported, got system.";
  const next = lessonsIn(text, changed(COMMON_DIALECT, { system: "first" }));
  expect(next[0]?.change).toEqual({ system: "none" });
  const asObject = changed(COMMON_DIALECT, { responseFormat: "json_object" });
  expect(lessonsIn("response_format json_object is not supported", asObject)[0]?.change).toEqual({
    responseFormat: "text",
  });
});
