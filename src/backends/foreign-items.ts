import { isItem, isToolCall, isToolOutput, type Item, type Part, type ToolOutputItem } from "../protocol/items.ts";
import { callableTools } from "../protocol/tools.ts";
import { attachments } from "./chat-parts.ts";
import { chatName } from "./chat-tools.ts";

/**
 * Items of tools that chat knows nothing of, in terms of those that it knows: a conversation that began elsewhere, or with
 * other tools, keeps its sense. What chat takes from the user alone, such as images, is the user's.
 *
 * | item | stands for |
 * |---|---|
 * | `shell_call` and any other call with a `call_id` | a call of the function `shell` … |
 * | `shell_call_output` and any other output | its output |
 * | `mcp_call`, `web_search_call` and any other call that ran elsewhere | a call and its output |
 * | `mcp_approval_request`, `mcp_approval_response` | a call and its output |
 * | `local_shell_call_output` without a `call_id` | the output of the call that its `id` names |
 * | any other item with content | a message of the user that names its type |
 * | anything else | nothing |
 */
export function inChatTerms(item: Item): readonly Item[] {
  if (isItem(item, "message")) return item.role === "user" ? [item] : withAttachments(item, item.content);
  if (isItem(item, "reasoning") || isToolCall(item)) return [item];
  if (isToolOutput(item)) return withAttachments(item, item.output);
  if (item.type === "mcp_approval_response") {
    return [{ type: "function_call_output", call_id: item["approval_request_id"], output: approval(item) }];
  }
  if (item.type.endsWith("_output")) return outputTerms(item);
  const { call_id: callId, id } = item;
  if (item.type === "mcp_approval_request" && typeof id === "string") return [call(id, item.type, content(item))];
  if (item.type.endsWith("_call")) {
    const name = item.type.slice(0, -"_call".length);
    if (typeof callId === "string") return [call(callId, name, said(item))];
    return typeof id === "string" ? hostedTerms(item, id, name) : [];
  }
  return isSomeContent(item["content"]) ? [told(item.type, item["content"])] : [];
}

type Named = { readonly [Field in "name" | "namespace" | "call_id"]?: ToolOutputItem[Field] | undefined };

/** What the model reads that an output is of. */
export function outputName({ name, namespace, call_id: callId }: Named): string {
  const tool = typeof name === "string" && name !== "" ? chatName(namespace, name) : null;
  if (typeof callId !== "string") return tool === null ? "a tool" : `tool ${tool}`;
  return tool === null ? `tool call ${callId}` : `tool ${tool} (call ${callId})`;
}

/** The item, and a message of the user with what of it is no text. */
function withAttachments(item: Item, parts: string | readonly Part[]): readonly Item[] {
  const attached = attachments(parts);
  if (attached.parts.length === 0) return [item];
  const name = `${attached.name.slice(0, 1).toUpperCase()}${attached.name.slice(1)}`;
  const label = isToolOutput(item)
    ? `${name} output of ${outputName(item)}:`
    : `${name} in the message of the ${String(item["role"])}:`;
  const content = [{ type: "input_text", text: label }, ...attached.parts];
  return [item, { type: "message", role: "user", content }];
}

function outputTerms(item: Item): readonly Item[] {
  const callId = item["call_id"] ?? (item.type === "local_shell_call_output" ? item["id"] : undefined);
  const made = output(item);
  const answer = typeof callId === "string" ? { call_id: callId } : { name: item.type.replace(/(_call)?_output$/, "") };
  return withAttachments({ type: "function_call_output", ...answer, output: made }, made);
}

/** A call that ran elsewhere, with what it gave as far as the item has it. */
function hostedTerms(item: Item, id: string, name: string): readonly Item[] {
  const done = (called: string, given: unknown, got: string | readonly Part[]): readonly Item[] => [
    call(id, called, given),
    ...withAttachments({ type: "function_call_output", call_id: id, output: got }, got),
  ];
  const { arguments: given, error, code, outputs, queries, results, result } = item;
  switch (item.type) {
    case "mcp_call":
      return done(typeof item["name"] === "string" ? item["name"] : name, given, text(item["output"] ?? error));
    case "code_interpreter_call":
      return done(name, { code }, Array.isArray(outputs) ? outputs.map(part) : UNSEEN_RESULTS);
    case "file_search_call":
      return done(name, { queries }, Array.isArray(results) ? results.map(text).join("\n") : UNSEEN_RESULTS);
    case "image_generation_call": {
      const { result: _, ...rest } = content(item);
      if (typeof result !== "string") return done(name, rest, UNSEEN_RESULTS);
      const format = typeof item["output_format"] === "string" ? item["output_format"] : "png";
      return done(name, rest, [{ type: "input_image", image_url: `data:image/${format};base64,${result}` }]);
    }
    default:
      return done(name, said(item), Array.isArray(results) ? results.map(text).join("\n") : UNSEEN_RESULTS);
  }
}

const UNSEEN_RESULTS = "[results that cannot be shown here]";

function approval({ approve, reason }: Item): string {
  const answer = approve === true ? "approved" : "denied";
  return typeof reason === "string" && reason !== "" ? `${answer}: ${reason}` : answer;
}

/** An item of a kind that nobody here knows, in the words that it holds. */
function told(type: string, content: string | readonly unknown[]): Item {
  const parts = typeof content === "string" ? [{ type: "input_text", text: content }] : content.map(part);
  return { type: "message", role: "user", content: [{ type: "input_text", text: `[${type}]\n` }, ...parts] };
}

function isSomeContent(content: unknown): content is string | readonly unknown[] {
  return (typeof content === "string" && content !== "") || (Array.isArray(content) && content.length > 0);
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
  const { type } = (value ?? {}) as { readonly type?: unknown };
  if (type === "input_file" || type === "input_audio") return value as Part;
  const url = imageUrl(value);
  return url === undefined ? { type: "input_text", text: text(value) } : { type: "input_image", image_url: url };
}

/** Images that tools give, and those that code has made, have their URL in one of two fields. */
function imageUrl(value: unknown): string | undefined {
  const { type, image_url: image, url } = (value ?? {}) as { readonly [field: string]: unknown };
  if (typeof image === "string") return image;
  return type === "image" && typeof url === "string" ? url : undefined;
}

/** The text that a value holds, in one of the ways in which the API's tools say it; or its JSON. */
function text(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === undefined || value === null) return "";
  const { text: own, logs, stdout, stderr } = value as { readonly [field: string]: unknown };
  const pieces = [own, logs, stdout, stderr].filter((piece) => typeof piece === "string" && piece !== "");
  return pieces.length > 0 ? pieces.join("\n") : JSON.stringify(value);
}
