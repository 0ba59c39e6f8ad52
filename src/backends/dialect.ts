/**
 * What chat servers and chat templates demand beyond the common form of a request. A dialect is a value: one word for each
 * trait. It is configured, or learned from refusals (`dialect-lessons.ts`).
 */
export type Dialect = {
  /** Where a system message may be; what may not be one is shown as a text of the user. */
  readonly system: "anywhere" | "first" | "none";
  /** Whether neighbouring messages of one role are joined. */
  readonly sameRole: "separate" | "joined";
  /** Whether the first message behind the system's must be the user's. */
  readonly firstMessage: "any" | "user";
  /** Whether the last message may be the assistant's. */
  readonly lastMessage: "any" | "user";
  /** Whether an assistant message is put between a tool's output and a message of the user. */
  readonly afterTool: "any" | "assistant";
  /** Whether calls and outputs have messages of their own, or are told as text. */
  readonly toolMessages: "tool" | "text";
  /** How many calls one assistant message may make; further ones get messages of their own, each behind an output. */
  readonly callsPerMessage: "many" | "one";
  readonly callIds: "any" | "alphanumeric9";
  /** The field of an assistant message that takes reasoning back. */
  readonly reasoning: "reasoning_content" | "reasoning" | "none";
  /** Which assistant messages have that field: those with reasoning, or all of them. */
  readonly reasoningOn: "thoughts" | "all";
  /** The content of an assistant message that makes calls and has no text. */
  readonly emptyContent: "string" | "null" | "words";
  /** What becomes of assistant messages with neither text nor calls, and of outputs without text. */
  readonly emptyMessages: "kept" | "avoided";
  /** Whether the content of a user message may be a list of parts. */
  readonly content: "parts" | "text";
  readonly maxTokens: "max_tokens" | "max_completion_tokens";
  /** The strongest response format that the server knows; what is stronger is asked for in words. */
  readonly responseFormat: "json_schema" | "json_object" | "text";
  /** Whether a choice of one tool is named, or made by offering that tool alone. */
  readonly toolChoice: "named" | "mode";
  /** The words for effort that the server knows; null when it knows all. */
  readonly efforts: readonly string[] | null;
  /** Fields that are left out. */
  readonly omit: readonly OmittableField[];
};

/** Fields whose absence changes nothing that a client can rely on. */
export const OMITTABLE_FIELDS = [
  "stream_options",
  "reasoning_effort",
  "parallel_tool_calls",
  "strict",
  "user",
] as const;
type OmittableField = (typeof OMITTABLE_FIELDS)[number];

export type DialectChange = { readonly [Trait in keyof Dialect]?: Dialect[Trait] | undefined };

/** What OpenAI's own servers and the common ones take. */
export const COMMON_DIALECT: Dialect = {
  system: "anywhere",
  sameRole: "separate",
  firstMessage: "any",
  lastMessage: "any",
  afterTool: "any",
  toolMessages: "tool",
  callsPerMessage: "many",
  callIds: "any",
  reasoning: "reasoning_content",
  reasoningOn: "thoughts",
  emptyContent: "string",
  emptyMessages: "kept",
  content: "parts",
  maxTokens: "max_tokens",
  responseFormat: "json_schema",
  toolChoice: "named",
  efforts: null,
  omit: [],
};

/** The dialect with the change; fields that are left out add up. */
export function changed(dialect: Dialect, change: DialectChange): Dialect {
  const known = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
  const omit = change.omit === undefined ? dialect.omit : [...new Set([...dialect.omit, ...change.omit])];
  return { ...dialect, ...known, omit };
}

/** Whether the dialect has all that the change says. */
export function hasAlready(dialect: Dialect, change: DialectChange): boolean {
  return keyOfDialect(dialect) === keyOfDialect(changed(dialect, change));
}

export function keyOfDialect(dialect: Dialect): string {
  return JSON.stringify({ ...dialect, omit: dialect.omit.toSorted() });
}

/** Traits that say nothing about messages. */
const OF_THE_HEAD = {
  maxTokens: "max_tokens",
  responseFormat: "json_schema",
  toolChoice: "named",
  efforts: null,
  omit: [],
} as const;

/** Names what the messages of a request depend on: equal names, equal bytes. */
export function keyOfMessages(dialect: Dialect): string {
  return JSON.stringify({ ...dialect, ...OF_THE_HEAD });
}

/** How a dialect differs from another, for a log line and for `turnwire doctor`. */
export function differences(dialect: Dialect, from: Dialect = COMMON_DIALECT): DialectChange {
  const traits = (Object.keys(COMMON_DIALECT) as (keyof Dialect)[]).filter(
    (trait) => JSON.stringify(dialect[trait]) !== JSON.stringify(from[trait]),
  );
  return Object.fromEntries(traits.map((trait) => [trait, dialect[trait]]));
}
