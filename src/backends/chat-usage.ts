import type { Usage } from "../protocol/response.ts";
import { type Fields, isFields } from "./call-pieces.ts";

/** The token counts of a chunk, wherever the server puts them; null where it has none that can be believed. */
export function chunkUsage(chunk: Fields, choice: Fields | undefined): Usage | null {
  // Groq repeats them in a field of its own, Moonshot puts them into the choice.
  const { usage, x_groq: groq } = chunk;
  for (const counts of [usage, isFields(groq) ? groq["usage"] : null, choice?.["usage"]]) {
    const read = isFields(counts) ? readUsage(counts) : null;
    if (read !== null) return read;
  }
  return null;
}

/** Names of OpenAI's chat and of its Responses API and Anthropic's. */
function readUsage(usage: Fields): Usage | null {
  const saidInput = usage["prompt_tokens"] ?? usage["input_tokens"];
  const saidOutput = usage["completion_tokens"] ?? usage["output_tokens"];
  const input = count(saidInput ?? 0);
  const output = count(saidOutput ?? 0);
  if (input === null || output === null || (saidInput ?? saidOutput ?? null) === null) return null;
  const prompt = detailsOf(usage["prompt_tokens_details"] ?? usage["input_tokens_details"]);
  const completion = detailsOf(usage["completion_tokens_details"] ?? usage["output_tokens_details"]);
  const cached = prompt["cached_tokens"] ?? usage["prompt_cache_hit_tokens"] ?? usage["cached_tokens"];
  const total = count(usage["total_tokens"]);
  const sum = input + output;
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: count(cached ?? usage["cache_read_input_tokens"]) ?? 0,
      cache_write_tokens: count(prompt["cache_write_tokens"] ?? usage["cache_creation_input_tokens"]) ?? 0,
    },
    output_tokens: output,
    output_tokens_details: {
      reasoning_tokens: count(completion["reasoning_tokens"] ?? usage["reasoning_tokens"]) ?? 0,
    },
    total_tokens: total === null || total < sum ? sum : total,
  };
}

function detailsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}

/** A whole number that is not negative; some servers write texts. */
function count(value: unknown): number | null {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) && number >= 0 ? number : null;
}
