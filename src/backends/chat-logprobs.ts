import type { TokenLogprob } from "../protocol/items.ts";
import { isFields } from "./call-pieces.ts";

/** Adds the token probabilities of a choice, as the Responses API has them. */
export function takeLogprobs(logprobs: unknown, into: TokenLogprob[]): void {
  if (!isFields(logprobs) || !Array.isArray(logprobs["content"])) return;
  for (const chat of logprobs["content"] as readonly unknown[]) {
    const own = logprobOf(chat);
    if (own === undefined) continue;
    const { top_logprobs: top } = chat as { readonly top_logprobs?: unknown };
    into.push({ ...own, top_logprobs: Array.isArray(top) ? top.flatMap((each) => logprobOf(each) ?? []) : [] });
  }
}

function logprobOf(chat: unknown): Omit<TokenLogprob, "top_logprobs"> | undefined {
  if (!isFields(chat)) return undefined;
  const { token, logprob, bytes } = chat;
  if (typeof token !== "string" || typeof logprob !== "number") return undefined;
  return { token, logprob, bytes: Array.isArray(bytes) ? (bytes as number[]) : [...Buffer.from(token)] };
}
