// Items of the Responses API as the chat messages of the floor.

export type Item = { readonly type?: string; readonly [field: string]: unknown };
type Part = { readonly type?: string; readonly text?: string; readonly image_url?: string };

type Message = {
  role: "assistant";
  content: string | null;
  reasoning_content?: string;
  tool_calls?: object[];
};

/** The messages as JSON, with a comma before each. */
export function appendMessages(items: readonly Item[] | string): string {
  if (typeof items === "string") return `,${JSON.stringify({ role: "user", content: items })}`;
  let json = "";
  let open: Message | null = null;
  const flush = (): void => {
    if (open !== null) json += `,${JSON.stringify(open)}`;
    open = null;
  };
  const assistant = (): Message => (open ??= { role: "assistant", content: null });
  for (const item of items) {
    if (item.type === "function_call") {
      const { call_id: id, name, arguments: text } = item;
      (assistant().tool_calls ??= []).push({ id, type: "function", function: { name, arguments: text } });
    } else if (item.type === "reasoning") {
      assistant().reasoning_content = textOf(item["content"] ?? item["summary"]);
    } else if (item.type === "function_call_output") {
      flush();
      json += `,${JSON.stringify({ role: "tool", tool_call_id: item["call_id"], content: contentOf(item["output"]) })}`;
    } else if (item["role"] === "assistant") {
      if ((assistant().content ?? null) !== null) flush();
      assistant().content = textOf(item["content"]);
    } else {
      flush();
      const role = item["role"] === "developer" ? "system" : item["role"];
      json += `,${JSON.stringify({ role, content: contentOf(item["content"]) })}`;
    }
  }
  flush();
  return json;
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  return ((content ?? []) as readonly Part[]).map(({ text = "" }) => text).join("");
}

function contentOf(content: unknown): unknown {
  if (typeof content === "string") return content;
  const parts = (content ?? []) as readonly Part[];
  if (parts.every(({ type }) => type !== "input_image")) return textOf(content);
  return parts.map(({ type, text, image_url: url }) =>
    type === "input_image" ? { type: "image_url", image_url: { url } } : { type: "text", text },
  );
}
