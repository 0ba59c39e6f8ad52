import Type from "typebox";
import { type Tool, ToolSchema } from "./tools.ts";
import { nullable, oneOf } from "./validation.ts";

/**
 * Items and content parts. Each known type has a schema that checks what the server relies on and nothing more; unknown
 * types, and unknown fields of known types, pass through unchanged.
 */

const Text = Type.String();
const Namespace = nullable(Type.String());
/** Whether the tool is async, so that the call need not be answered. */
const Async = nullable(Type.Boolean());
/** What an output answers: a call, or only a tool by its name. */
const Answering = { call_id: nullable(Text), name: nullable(Text), namespace: Namespace };
const Status = Type.Optional(Type.Union([Type.String(), Type.Null()]));

const Given = nullable(Type.String());

/** Content parts by type: OpenAI's, and those of chat that clients send as they are. There are no others. */
export const PART_SCHEMAS = {
  input_text: Type.Object({ type: Type.Literal("input_text"), text: Text }),
  output_text: Type.Object({ type: Type.Literal("output_text"), text: Text }),
  refusal: Type.Object({ type: Type.Literal("refusal"), refusal: Text }),
  reasoning_text: Type.Object({ type: Type.Literal("reasoning_text"), text: Text }),
  summary_text: Type.Object({ type: Type.Literal("summary_text"), text: Text }),
  input_image: Type.Object({
    type: Type.Literal("input_image"),
    image_url: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    file_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    detail: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  }),
  input_file: Type.Object({
    type: Type.Literal("input_file"),
    file_data: Given,
    file_id: Given,
    file_url: Given,
    filename: Given,
  }),
  input_audio: Type.Object({ type: Type.Literal("input_audio") }),
  computer_screenshot: Type.Object({ type: Type.Literal("computer_screenshot") }),
  encrypted_content: Type.Object({ type: Type.Literal("encrypted_content") }),
  text: Type.Object({ type: Type.Literal("text"), text: Text }),
  image_url: Type.Object({ type: Type.Literal("image_url") }),
  audio_url: Type.Object({ type: Type.Literal("audio_url") }),
  video_url: Type.Object({ type: Type.Literal("video_url") }),
  file: Type.Object({ type: Type.Literal("file") }),
} as const;

/** A content part of any type. */
const PartSchema = Type.Object({ type: Type.String() });
const Parts = Type.Array(PartSchema);
const Output = Type.Union([Type.String(), Parts]);

/** How the model's text is to be formed. */
export type TextFormat = { readonly type: string; readonly [field: string]: unknown };
export const TextFormatSchema = Type.Object({ type: oneOf("text", "json_object", "json_schema") });

/** Input items by type. An item of another type passes through. */
export const ITEM_SCHEMAS = {
  message: Type.Object({
    type: Type.Literal("message"),
    role: oneOf("user", "assistant", "system", "developer"),
    content: Type.Union([Type.String(), Parts]),
    status: Status,
  }),
  function_call: Type.Object({
    type: Type.Literal("function_call"),
    call_id: Text,
    name: Text,
    namespace: Namespace,
    arguments: Text,
    async: Async,
    status: Status,
  }),
  function_call_output: Type.Object({
    type: Type.Literal("function_call_output"),
    ...Answering,
    output: Output,
    status: Status,
  }),
  custom_tool_call: Type.Object({
    type: Type.Literal("custom_tool_call"),
    call_id: Text,
    name: Text,
    namespace: Namespace,
    input: Text,
    async: Async,
  }),
  custom_tool_call_output: Type.Object({
    type: Type.Literal("custom_tool_call_output"),
    ...Answering,
    output: Output,
  }),
  reasoning: Type.Object({
    type: Type.Literal("reasoning"),
    summary: Type.Optional(Parts),
    content: Type.Optional(Type.Union([Parts, Type.Null()])),
    encrypted_content: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  }),
  compaction: Type.Object({ type: Type.Literal("compaction"), encrypted_content: Text }),
  item_reference: Type.Object({ type: Type.Literal("item_reference"), id: Text }),
  additional_tools: Type.Object({ type: Type.Literal("additional_tools"), tools: Type.Array(ToolSchema) }),
  tool_search_output: Type.Object({
    type: Type.Literal("tool_search_output"),
    tools: Type.Optional(Type.Array(ToolSchema)),
  }),
  configuration_update: Type.Object({
    type: Type.Literal("configuration_update"),
    reasoning: nullable(Type.Object({ effort: nullable(Type.String()) })),
    text: nullable(Type.Object({ format: TextFormatSchema })),
  }),
} as const;

export type ItemStatus = "in_progress" | "completed" | "incomplete";

export type OutputTextPart = {
  readonly type: "output_text";
  readonly text: string;
  readonly annotations: readonly Annotation[];
  readonly logprobs: readonly TokenLogprob[];
};
/** A source that the text names. */
export type Annotation = {
  readonly type: "url_citation";
  readonly url: string;
  readonly title: string;
  /** The characters of the text that rest on it. */
  readonly start_index: number;
  readonly end_index: number;
};
/** How likely the model took a token for, and others in its place. */
export type TokenLogprob = LogprobOf & { readonly top_logprobs: readonly LogprobOf[] };
type LogprobOf = { readonly token: string; readonly logprob: number; readonly bytes: readonly number[] };
export type RefusalPart = { readonly type: "refusal"; readonly refusal: string };
export type ReasoningTextPart = { readonly type: "reasoning_text"; readonly text: string };
export type SummaryTextPart = { readonly type: "summary_text"; readonly text: string };
/** A content part as it arrived: known types have been checked, others are carried as they are. */
export type Part = { readonly type: string; readonly [field: string]: unknown };

export type MessageItem = {
  readonly type: "message";
  readonly role: "user" | "assistant" | "system" | "developer";
  readonly content: string | readonly Part[];
};
type FunctionCallItem = {
  readonly type: "function_call";
  readonly call_id: string;
  readonly name: string;
  readonly namespace?: string | null;
  readonly arguments: string;
  readonly async?: boolean | null;
};
type CustomToolCallItem = {
  readonly type: "custom_tool_call";
  readonly call_id: string;
  readonly name: string;
  readonly namespace?: string | null;
  readonly input: string;
  readonly async?: boolean | null;
};
export type ToolOutputItem = {
  readonly type: "function_call_output" | "custom_tool_call_output";
  /** The call that it answers; an output of its own has none. */
  readonly call_id?: string | null;
  readonly name?: string | null;
  readonly namespace?: string | null;
  readonly output: string | readonly Part[];
};
type ReasoningItem = {
  readonly type: "reasoning";
  readonly summary?: readonly Part[];
  readonly content?: readonly Part[] | null;
  readonly encrypted_content?: string | null;
};
/** Tools that can be called from this item on. */
type AdditionalTools = { readonly type: "additional_tools"; readonly tools: readonly Tool[] };
/** Tools that a search has found: they can be called from this item on. */
type ToolSearchOutput = { readonly type: "tool_search_output"; readonly tools?: readonly Tool[] };
/** Settings that are in force from this item on. */
type ConfigurationUpdate = {
  readonly type: "configuration_update";
  readonly reasoning?: { readonly effort?: string | null } | null;
  readonly text?: { readonly format: TextFormat } | null;
};
/** What stands in the place of earlier items; only the server that made it can read it. */
export type CompactionItem = { readonly type: "compaction"; readonly encrypted_content: string };
type ItemReference = { readonly type: "item_reference"; readonly id: string };

/** One element of a context, as it arrived or as the model made it. Narrow it with the guards below. */
export type Item = { readonly type: string; readonly [field: string]: unknown };

type KnownItem = {
  message: MessageItem;
  function_call: FunctionCallItem;
  custom_tool_call: CustomToolCallItem;
  function_call_output: ToolOutputItem;
  custom_tool_call_output: ToolOutputItem;
  reasoning: ReasoningItem;
  compaction: CompactionItem;
  item_reference: ItemReference;
  additional_tools: AdditionalTools;
  tool_search_output: ToolSearchOutput;
  configuration_update: ConfigurationUpdate;
};

/** Narrows an item to a known type; sound because items are checked by `parseItems` before anything else sees them. */
export function isItem<T extends keyof KnownItem>(item: Item, type: T): item is Item & KnownItem[T] {
  return item.type === type;
}

export type ToolCallItem = FunctionCallItem | CustomToolCallItem;

/** Whether the item asks the client to run a tool. */
export function isToolCall(item: Item): item is Item & ToolCallItem {
  return item.type === "function_call" || item.type === "custom_tool_call";
}

/** Whether the call is of an async tool: the conversation goes on before its output comes, and without it. */
export function isAsyncCall(call: ToolCallItem): boolean {
  return call.async === true;
}

/** Whether the item is a call that needs an output before the conversation can go on. */
export function awaitsOutput(item: Item): item is Item & ToolCallItem {
  return isToolCall(item) && !isAsyncCall(item);
}

/** Whether the item answers a tool call. */
export function isToolOutput(item: Item): item is Item & ToolOutputItem {
  return item.type === "function_call_output" || item.type === "custom_tool_call_output";
}

/** Asks, as the last item of an input, for nothing but a compaction of what is before it. */
export const COMPACTION_TRIGGER: Item = Object.freeze({ type: "compaction_trigger" });

export function isCompactionTrigger(item: Item | undefined): boolean {
  return item?.type === COMPACTION_TRIGGER.type;
}

/** The types of output items that the assembler makes itself. */
export type OutputMessage = {
  readonly type: "message";
  readonly id: string;
  readonly status: ItemStatus;
  readonly role: "assistant";
  readonly content: readonly (OutputTextPart | RefusalPart)[];
  /** What the message is to the turn; absent while that is not known. */
  readonly phase?: MessagePhase;
};
/** Text before tool calls, or the answer that ends the turn. */
export type MessagePhase = "commentary" | "final_answer";
type OutputCall = {
  readonly id: string;
  readonly status: ItemStatus;
  readonly namespace?: string;
  readonly async?: true;
};
export type OutputFunctionCall = FunctionCallItem & OutputCall;
export type OutputCustomToolCall = CustomToolCallItem & OutputCall;
export type OutputReasoning = {
  readonly type: "reasoning";
  readonly id: string;
  readonly summary: readonly SummaryTextPart[];
  readonly content?: readonly ReasoningTextPart[];
  readonly encrypted_content?: string;
};
export type OutputCompaction = CompactionItem & { readonly id: string };
export type OutputItem =
  | OutputMessage
  | OutputFunctionCall
  | OutputCustomToolCall
  | OutputReasoning
  | OutputCompaction
  | Item;
