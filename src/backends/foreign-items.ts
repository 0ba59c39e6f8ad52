import { isItem, isToolCall, isToolOutput, type Item, type Part } from "../protocol/items.ts";
import { callableTools } from "../protocol/tools.ts";
import { chatName } from "./chat-tools.ts";

/**
 * Items of tools that chat knows nothing of, in terms of those that it knows: a conversation that began elsewhere, or with
 * other tools, keeps its sense.
 *
 * | item | stands for |
 * |---|---|
 * | `shell_call` and any other call with a `call_id` | a call of the function `shell` … |
 * | `shell_call_output` and any other output with a `call_id` | its output |
 * | `mcp_call`, `code_interpreter_call`, `file_search_call` with what they gave | a call and its output |
 * | `local_shell_call_output` without a `call_id` | the output of the call that its `id` names |
 * | anything else | nothing |
 */
export function inChatTerms(item: Item): readonly Item[] {
  if (isKnown(item)) return [item];
  const callId = item["call_id"] ?? (item.type === "local_shell_call_output" ? item["id"] : undefined);
  if (typeof callId === "string") {
    if (item.type.endsWith("_output")) return [{ type: "function_call_output", call_id: callId, output: output(item) }];
    if (item.type.endsWith("_call")) return [call(callId, item.type.slice(0, -"_call".length), said(item))];
  }
  const { id } = item;
  if (typeof id !== "string") return [];
  const done = (name: string, given: unknown, got: unknown): readonly Item[] => [
    call(id, name, given),
    { type: "function_call_output", call_id: id, output: text(got) },
  ];
  const { name, arguments: given, error, code, outputs, queries, results } = item;
  switch (item.type) {
    case "mcp_call":
      return typeof name === "string" ? done(name, given, item["output"] ?? error) : [];
    case "code_interpreter_call":
      return Array.isArray(outputs) ? done("code_interpreter", { code }, outputs.map(text).join("\n")) : [];
    case "file_search_call":
      return Array.isArray(results) ? done("file_search", { queries }, results.map(text).join("\n")) : [];
    default:
      return [];
  }
}

function isKnown(item: Item): boolean {
  return isItem(item, "message") || isItem(item, "reasoning") || isToolCall(item) || isToolOutput(item);
}

function call(callId: string, name: string, given: unknown): Item {
  const text = typeof given === "string" ? given : JSON.stringify(given ?? {});
  return { type: "function_call", call_id: callId, name, arguments: text };
}

/** Fields that say something about the item, and nothing to the tool. */
const ENVELOPE = new Set(["type", "id", "call_id", "status", "caller", "created_by", "execution", "environment"]);

function content(item: Item): { readonly [field: string]: unknown } {
  return Object.fromEntries(Object.entries(item).filter(([field]) => !ENVELOPE.has(field)));
}

/** What the model said to the tool, wherever the kind of call has it. */
function said(item: Item): unknown {
  return item["action"] ?? item["operation"] ?? item["arguments"] ?? content(item);
}

/** What the tool answered, as text and images. */
function output(item: Item): string | readonly Part[] {
  if (isItem(item, "tool_search_output")) {
    // The tools themselves come with the request.
    const names = callableTools(item.tools ?? []).map(({ namespace, name }) => chatName(namespace, name));
    return names.length === 0 ? "No tools were found." : `Found, and can be called now: ${names.join(", ")}`;
  }
  const value = item["output"] ?? content(item);
  if (Array.isArray(value)) return value.map(part);
  return imageUrl(value) === undefined ? text(value) : [part(value)];
}

function part(value: unknown): Part {
  const url = imageUrl(value);
  return url === undefined ? { type: "input_text", text: text(value) } : { type: "input_image", image_url: url };
}

function imageUrl(value: unknown): string | undefined {
  const { image_url: url } = (value ?? {}) as { readonly image_url?: unknown };
  return typeof url === "string" ? url : undefined;
}

/** The text that a value holds, in one of the ways in which the API's tools say it; or its JSON. */
function text(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === undefined || value === null) return "";
  const { text: own, logs, stdout, stderr } = value as { readonly [field: string]: unknown };
  const pieces = [own, logs, stdout, stderr].filter((piece) => typeof piece === "string" && piece !== "");
  return pieces.length > 0 ? pieces.join("\n") : JSON.stringify(value);
}
