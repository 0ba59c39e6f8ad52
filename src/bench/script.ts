import type { Item, Part } from "../protocol/items.ts";

/** Recorded output as a chat-completions server streams it, token by token. */

/** Characters of a token, on average, in every model's vocabulary that is in use. */
export const TOKEN_CHARACTERS = 4;

const TOKEN = new RegExp(`[^]{1,${TOKEN_CHARACTERS}}`, "gu");

function tokensOf(text: string): readonly string[] {
  return text.match(TOKEN) ?? [];
}

/** The deltas of an output: reasoning, text and calls, in their order. */
function deltasOf(output: readonly Item[]): readonly object[] {
  let calls = 0;
  return output.flatMap((item): readonly object[] => {
    if (item.type === "function_call" || item.type === "custom_tool_call") {
      const index = calls++;
      const { arguments: given, input } = item;
      const text = typeof given === "string" ? given : JSON.stringify({ input });
      const head = { index, id: item["call_id"], type: "function", function: { name: item["name"], arguments: "" } };
      const pieces = tokensOf(text).map((piece) => ({ index, function: { arguments: piece } }));
      return [head, ...pieces].map((call) => ({ tool_calls: [call] }));
    }
    const field = item.type === "reasoning" ? "reasoning_content" : "content";
    return tokensOf(textOf(item)).map((text) => ({ [field]: text }));
  });
}

/** What an item of text says, wherever it has it. */
function textOf({ content, summary }: Item): string {
  if (typeof content === "string") return content;
  const parts = (Array.isArray(content) && content.length > 0 ? content : (summary ?? [])) as readonly Part[];
  return parts.map(({ text }) => (typeof text === "string" ? text : "")).join("");
}

/** One server-sent event with a chat-completions chunk. */
export function chunk(fields: object): string {
  return `data: ${JSON.stringify({ id: "chatcmpl-bench", object: "chat.completion.chunk", created: 1, model: "bench", ...fields })}\n\n`;
}

export function deltaChunk(delta: object, finish: string | null = null): string {
  return chunk({ choices: [{ index: 0, delta, finish_reason: finish }] });
}

/** An answer in bursts of so many tokens, each to be written at once; without its end, which knows the usage. */
export function burstsOf(output: readonly Item[], burst: number): readonly Buffer[] {
  const deltas = deltasOf(output).map((delta) => deltaChunk(delta));
  const bursts: Buffer[] = [];
  for (let start = 0; start < deltas.length; start += burst) {
    bursts.push(Buffer.from(deltas.slice(start, start + burst).join("")));
  }
  return bursts;
}

export function hasCalls(output: readonly Item[]): boolean {
  return output.some(({ type }) => type === "function_call" || type === "custom_tool_call");
}
