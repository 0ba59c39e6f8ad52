import type { OutputItem, TextFormat } from "./items.ts";
import type { ErrorCode, IncompleteReason } from "./table.ts";
import type { Tool, ToolChoice } from "./tools.ts";

export type ResponseStatus = "queued" | "cancelled" | "in_progress" | "completed" | "failed" | "incomplete";

/** Tokens, as the model server counted them. */
export type Usage = {
  readonly input_tokens: number;
  readonly input_tokens_details: { readonly cached_tokens: number };
  readonly output_tokens: number;
  readonly output_tokens_details: { readonly reasoning_tokens: number };
  readonly total_tokens: number;
};

/** Of what no model has worked on. */
export const NO_USAGE: Usage = Object.freeze({
  input_tokens: 0,
  input_tokens_details: Object.freeze({ cached_tokens: 0 }),
  output_tokens: 0,
  output_tokens_details: Object.freeze({ reasoning_tokens: 0 }),
  total_tokens: 0,
});

type ResponseError = { readonly code: ErrorCode; readonly message: string };

/**
 * A response, as every snapshot shows it. All 31 keys that Open Responses demands are always present; where it forbids
 * null and the request named no value, the API's default stands.
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
  readonly reasoning: { readonly effort: string | null; readonly summary: string | null } | null;
  readonly usage: Usage | null;
  readonly max_output_tokens: number | null;
  readonly max_tool_calls: number | null;
  readonly store: boolean;
  readonly background: boolean;
  readonly service_tier: string;
  readonly metadata: { readonly [key: string]: string };
  readonly safety_identifier: string | null;
  readonly prompt_cache_key: string | null;
};
