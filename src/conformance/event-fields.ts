/**
 * The fields that an event of each type has beside `type` and `sequence_number`, as Open Responses and OpenAI's own clients
 * rely on them. Written down here a second time on purpose: a yardstick that took the names from the server's code would
 * agree with its mistakes.
 */
type Kind = "string" | "integer" | "object" | "array" | "boolean";

const OF_ITEM = { item_id: "string", output_index: "integer" } as const;
const OF_PART = { ...OF_ITEM, content_index: "integer" } as const;
const OF_SUMMARY = { ...OF_ITEM, summary_index: "integer" } as const;
const LIFECYCLE = { response: "object" } as const;
const ITEM = { output_index: "integer", item: "object" } as const;

export const EVENT_FIELDS: { readonly [type: string]: { readonly [field: string]: Kind } } = {
  "response.queued": LIFECYCLE,
  "response.created": LIFECYCLE,
  "response.in_progress": LIFECYCLE,
  "response.completed": LIFECYCLE,
  "response.failed": LIFECYCLE,
  "response.incomplete": LIFECYCLE,
  "response.output_item.added": ITEM,
  "response.output_item.done": ITEM,
  "response.content_part.added": { ...OF_PART, part: "object" },
  "response.content_part.done": { ...OF_PART, part: "object" },
  "response.output_text.delta": { ...OF_PART, delta: "string" },
  "response.output_text.done": { ...OF_PART, text: "string" },
  "response.output_text.annotation.added": { ...OF_PART, annotation_index: "integer", annotation: "object" },
  "response.refusal.delta": { ...OF_PART, delta: "string" },
  "response.refusal.done": { ...OF_PART, refusal: "string" },
  "response.reasoning_text.delta": { ...OF_PART, delta: "string" },
  "response.reasoning_text.done": { ...OF_PART, text: "string" },
  "response.reasoning.delta": { ...OF_PART, delta: "string" },
  "response.reasoning.done": { ...OF_PART, text: "string" },
  "response.reasoning_summary_part.added": { ...OF_SUMMARY, part: "object" },
  "response.reasoning_summary_part.done": { ...OF_SUMMARY, part: "object" },
  "response.reasoning_summary_text.delta": { ...OF_SUMMARY, delta: "string" },
  "response.reasoning_summary_text.done": { ...OF_SUMMARY, text: "string" },
  "response.function_call_arguments.delta": { ...OF_ITEM, delta: "string" },
  "response.function_call_arguments.done": { ...OF_ITEM, arguments: "string" },
  "response.custom_tool_call_input.delta": { ...OF_ITEM, delta: "string" },
  "response.custom_tool_call_input.done": { ...OF_ITEM, input: "string" },
  "response.compaction.compacting": OF_ITEM,
  "response.steer.accepted": { steer: "object" },
  "response.steer.pending": { steer: "object", reason: "string", required_input: "array" },
  "response.steer.failed": { steer: "object", error: "object" },
  "response.interrupt.accepted": { response_id: "string" },
  "response.inject.failed": { response_id: "string", error: "object" },
  "response.interrupt.failed": { response_id: "string", error: "object" },
  "response.output_item.interrupted": { response_id: "string", ...OF_ITEM },
  keepalive: {},
};

/** Families of events that belong to hosted tools and that this suite does not look into. */
const OTHER_KNOWN =
  /^response\.(mcp_|file_search_call|web_search_call|code_interpreter_call|image_generation_call|shell_call|audio\.)/;

/** Events with a vendor's prefix (`acme:thing`), which clients may ignore. */
const PREFIXED = /^[a-z][a-z0-9_-]*:/;

export function isKnownEvent(type: string): boolean {
  return type in EVENT_FIELDS || type === "error" || OTHER_KNOWN.test(type) || PREFIXED.test(type);
}

export function isKind(value: unknown, kind: Kind): boolean {
  if (kind === "integer") return Number.isInteger(value);
  if (kind === "array") return Array.isArray(value);
  if (kind === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === kind;
}
