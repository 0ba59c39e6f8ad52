import type { Item } from "../../protocol/items.ts";

/** Items as clients of the Responses API write them. */

export function userMessage(content: string | readonly object[]): Item {
  const parts = typeof content === "string" ? [{ type: "input_text", text: content }] : content;
  return { type: "message", role: "user", content: parts };
}

export function assistantMessage(text: string): Item {
  return { type: "message", role: "assistant", content: [{ type: "output_text", text }] };
}

export function reasoning(text: string, signature?: string): Item {
  const encrypted = signature === undefined ? {} : { encrypted_content: signature };
  return { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text }], ...encrypted };
}

export function functionCall(id: string, name: string, args: unknown): Item {
  const text = typeof args === "string" ? args : JSON.stringify(args ?? {});
  return { type: "function_call", call_id: id, name, arguments: text };
}

export function functionOutput(id: string, output: string | readonly object[]): Item {
  return { type: "function_call_output", call_id: id, output };
}

export function image(url: string): object {
  return { type: "input_image", image_url: url };
}

export function inputText(text: string): object {
  return { type: "input_text", text };
}
