import Type from "typebox";

/** The configuration's form of what a model server demands: one word for each trait, for all models or under a model's name. */

const words = <const T extends readonly string[]>(...values: T) =>
  Type.Optional(Type.Unsafe<T[number]>(Type.Union(values.map((value) => Type.Literal(value)))));

const TRAITS = {
  system: words("anywhere", "first", "none"),
  sameRole: words("separate", "joined"),
  firstMessage: words("any", "user"),
  lastMessage: words("any", "user"),
  afterTool: words("any", "assistant"),
  toolMessages: words("tool", "text"),
  callsPerMessage: words("many", "one"),
  callIds: words("any", "alphanumeric9"),
  reasoning: words("reasoning_content", "reasoning", "none"),
  reasoningOn: words("thoughts", "all"),
  emptyContent: words("string", "null", "words"),
  emptyMessages: words("kept", "avoided"),
  content: words("parts", "text"),
  maxTokens: words("max_tokens", "max_completion_tokens"),
  responseFormat: words("json_schema", "json_object", "text"),
  toolChoice: words("named", "mode"),
  efforts: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
  omit: Type.Optional(
    Type.Array(
      Type.Unsafe<"stream_options" | "reasoning_effort" | "parallel_tool_calls" | "strict" | "user">(
        Type.Union(
          ["stream_options", "reasoning_effort", "parallel_tool_calls", "strict", "user"].map((name) =>
            Type.Literal(name),
          ),
        ),
      ),
    ),
  ),
};

const strict = { additionalProperties: false };

export const dialect = (description: string) =>
  ({
    schema: Type.Object(
      { ...TRAITS, models: Type.Optional(Type.Record(Type.String(), Type.Object(TRAITS, strict))) },
      { ...strict, default: {}, description },
    ),
    expects: "an object of traits as in docs/model-servers.md",
    fromText: (given: string): unknown => JSON.parse(given),
    value: "<json>",
  }) as const;
