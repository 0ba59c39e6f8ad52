import { ID_PREFIX, type ItemSide, itemId } from "./ids.ts";
import type { Item } from "./items.ts";

/** An item as a list shows it: with an id, and its content in parts. */
export type ListedItem = Item & { readonly id: string };

/** The prefixes of ids by type of item; an item of any other type has `item`. */
const PREFIX: { readonly [type: string]: string | undefined } = {
  message: ID_PREFIX.message,
  function_call: ID_PREFIX.functionCall,
  function_call_output: "fco",
  custom_tool_call: ID_PREFIX.customToolCall,
  custom_tool_call_output: "ctco",
  reasoning: ID_PREFIX.reasoning,
  shell_call: "sh",
  local_shell_call: "lsh",
  apply_patch_call: "apc",
  tool_search_call: "tsc",
  compaction: "cmp",
};

/** Types of which a list says how far they came. */
const WITH_STATUS: readonly string[] = ["message", "function_call", "function_call_output"];

/**
 * An item of a response, as a list shows it. One without an id has that of its place in the response, so it
 * is the same whenever it is asked for; a client's own id stays.
 */
export function listedItem(item: Item, responseId: string, side: ItemSide, index: number): ListedItem {
  const { type, id: _, ...rest } = item;
  return {
    type,
    id: listedId(item, responseId, side, index),
    ...rest,
    ...(WITH_STATUS.includes(type) && { status: rest["status"] ?? "completed" }),
    ...(type === "message" && { content: parts(rest["content"], rest["role"]) }),
  };
}

export function listedId({ type, id }: Item, responseId: string, side: ItemSide, index: number): string {
  if (typeof id === "string" && id !== "") return id;
  return itemId(Object.hasOwn(PREFIX, type) ? (PREFIX[type] ?? "item") : "item", responseId, side, index);
}

function parts(content: unknown, role: unknown): unknown {
  if (typeof content !== "string") return content;
  return role === "assistant"
    ? [{ type: "output_text", text: content, annotations: [], logprobs: [] }]
    : [{ type: "input_text", text: content }];
}
