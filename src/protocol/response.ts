import type { RawInteger } from "./exact-json.ts";
import type { OutputItem, TextFormat } from "./items.ts";
import type { ErrorCode, IncompleteReason } from "./table.ts";
import type { Tool, ToolChoice } from "./tools.ts";

export type ResponseStatus = "queued" | "cancelled" | "in_progress" | "completed" | "failed" | "incomplete";

/** Tokens, as the model server counted them. */
export type Usage = {
  readonly input_tokens: number;
  readonly input_tokens_details: { readonly cached_tokens: number; readonly cache_write_tokens: number };
  readonly output_tokens: number;
  readonly output_tokens_details: { readonly reasoning_tokens: number };
  readonly total_tokens: number;
};

/** Of what no model has worked on. */
export const NO_USAGE: Usage = Object.freeze({
  input_tokens: 0,
  input_tokens_details: Object.freeze({ cached_tokens: 0, cache_write_tokens: 0 }),
  output_tokens: 0,
  output_tokens_details: Object.freeze({ reasoning_tokens: 0 }),
  total_tokens: 0,
});

type ResponseError = { readonly code: ErrorCode; readonly message: string };

/** What ran for the response besides the model; this server runs no hosted tools, so all counts are zero. */
export type ToolUsage = {
  readonly image_gen: {
    readonly input_tokens: number;
    readonly input_tokens_details: { readonly image_tokens: number; readonly text_tokens: number };
    readonly output_tokens: number;
    readonly output_tokens_details: { readonly image_tokens: number; readonly text_tokens: number };
    readonly total_tokens: number;
  };
  readonly web_search: { readonly num_requests: number };
};

const NO_IMAGE_TOKENS = Object.freeze({ image_tokens: 0, text_tokens: 0 });

export const NO_TOOL_USAGE: ToolUsage = Object.freeze({
  image_gen: Object.freeze({
    input_tokens: 0,
    input_tokens_details: NO_IMAGE_TOKENS,
    output_tokens: 0,
    output_tokens_details: NO_IMAGE_TOKENS,
    total_tokens: 0,
  }),
  web_search: Object.freeze({ num_requests: 0 }),
});

/** The reasoning settings of a request; fields that the request left out are null. */
export type ReasoningSettings = {
  readonly effort: string | null;
  readonly summary: string | null;
  readonly context: string | null;
  readonly mode: string | null;
};

/**
 * A response, as every snapshot shows it: the 31 keys that Open Responses demands, and the five that OpenAI's snapshots
 * have besides. Where Open Responses forbids null and the request named no value, the API's default is shown.
 */
export type Response = {
  readonly id: string;
  readonly object: "response";
  /** Seconds since 1970. */
  readonly created_at: number;
  readonly completed_at: number | null;
  readonly status: ResponseStatus;
  readonly incomplete_details: { readonly reason: IncompleteReason } | null;
  readonly model: string;
  readonly previous_response_id: string | null;
  /** The conversation that it belongs to; absent where it belongs to none. */
  readonly conversation?: { readonly id: string };
  readonly instructions: string | null;
  readonly output: readonly OutputItem[];
  readonly error: ResponseError | null;
  readonly tools: readonly Tool[];
  readonly tool_choice: ToolChoice;
  readonly truncation: "auto" | "disabled";
  readonly parallel_tool_calls: boolean;
  readonly text: { readonly format: TextFormat; readonly verbosity?: string };
  readonly top_p: number;
  readonly presence_penalty: number;
  readonly frequency_penalty: number;
  readonly top_logprobs: number;
  readonly temperature: number;
  readonly reasoning: ReasoningSettings;
  readonly usage: Usage | null;
  readonly max_output_tokens: number | null;
  readonly max_tool_calls: number | RawInteger | null;
  readonly store: boolean;
  readonly background: boolean;
  readonly service_tier: string;
  readonly metadata: { readonly [key: string]: string };
  readonly safety_identifier: string | null;
  readonly prompt_cache_key: string | null;
  readonly prompt_cache_retention: string | null;
  readonly user: string | null;
  /** Always null: this server grants no access programs and moderates nothing. */
  readonly access_programs: null;
  readonly moderation: null;
  readonly tool_usage: ToolUsage;
};
