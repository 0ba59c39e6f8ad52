// What the micro-benchmarks work on.

import { burstsOf, deltaChunk } from "../../src/bench/script.ts";

const SENTENCE = "What was said, in so many wörds: “yes”, 是的 and 🙂. ";

/** Prose of so many characters, some of them of two, three and four bytes. */
export function textOf(characters: number): string {
  return SENTENCE.repeat(Math.ceil(characters / SENTENCE.length)).slice(0, characters);
}

/** A model server's answer of so many tokens, in bursts of eight. */
export function chatStream(tokens: number): { readonly bytes: Buffer; readonly bursts: readonly Buffer[] } {
  const text = textOf(tokens * 4);
  const call = { type: "function_call", call_id: "call_1", name: "read", arguments: JSON.stringify({ path: text }) };
  const content = { type: "message", role: "assistant", content: text };
  const end = Buffer.from(`${deltaChunk({}, "tool_calls")}data: [DONE]\n\n`);
  const bursts = [...burstsOf([content, call], 8), end];
  return { bytes: Buffer.concat(bursts), bursts };
}

/** The same bytes in pieces of this size. */
export function cut(bytes: Buffer, size: number): readonly Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}
