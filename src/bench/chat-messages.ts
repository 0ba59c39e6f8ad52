import type { Item, Part } from "../protocol/items.ts";

/** Items and tools of the Responses API as a client of chat completions writes them. */

type ChatMessage = {
  role: string;
  content: unknown;
  reasoning_content?: string;
  tool_call_id?: unknown;
  tool_calls?: object[];
};

/** What the model says in a row is one message: its reasoning, its text and its calls. */
export function chatMessages(items: readonly Item[]): readonly ChatMessage[] {
  const messages: ChatMessage[] = [];
  let open: ChatMessage | null = null;
  const assistant = (): ChatMessage => {
    if (open === null) messages.push((open = { role: "assistant", content: null }));
    return open;
  };
  for (const item of items) {
    if (item.type === "function_call" || item.type === "custom_tool_call") {
      const { call_id: id, name, arguments: given, input } = item;
      const text = typeof given === "string" ? given : JSON.stringify({ input });
      (assistant().tool_calls ??= []).push({ id, type: "function", function: { name, arguments: text } });
    } else if (item.type === "reasoning") {
      assistant().reasoning_content = textOf(item["content"] ?? item["summary"]);
    } else if (item.type === "function_call_output" || item.type === "custom_tool_call_output") {
      open = null;
      messages.push({ role: "tool", tool_call_id: item["call_id"], content: contentOf(item["output"]) });
    } else if (item["role"] === "assistant") {
      if (assistant().content !== null) open = null;
      assistant().content = textOf(item["content"]);
    } else {
      open = null;
      const role = typeof item["role"] === "string" ? item["role"] : "user";
      messages.push({ role: role === "developer" ? "system" : role, content: contentOf(item["content"]) });
    }
  }
  return messages;
}

/** Tools as functions, those of a namespace by themselves; what the provider runs is left out: a model cannot. */
export function chatTools(tools: readonly object[]): readonly object[] {
  return (
    tools as readonly { readonly type?: string; readonly strict?: boolean; readonly tools?: readonly object[] }[]
  ).flatMap((tool) => {
    const { type, tools: inner = [], strict, ...fields } = tool;
    // Chat completions are not strict unless they are told to be.
    const declared = strict === true ? { ...fields, strict } : fields;
    if (type === "namespace") return chatTools(inner);
    if (type === "custom") return [{ type: "function", function: { ...declared, parameters: FREE_TEXT } }];
    return type === "function" ? [{ type, function: declared }] : [];
  });
}

const FREE_TEXT = { type: "object", properties: { input: { type: "string" } }, required: ["input"] };

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  return ((content ?? []) as readonly Part[]).map(({ text }) => (typeof text === "string" ? text : "")).join("");
}

function contentOf(content: unknown): unknown {
  if (typeof content === "string") return content;
  const parts = (content ?? []) as readonly Part[];
  if (parts.every(({ type }) => type !== "input_image")) return textOf(content);
  return parts.map((part) =>
    part.type === "input_image"
      ? { type: "image_url", image_url: { url: part["image_url"] } }
      : { type: "text", text: part["text"] },
  );
}
