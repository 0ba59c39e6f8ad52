import type { FinishReason } from "../core/ports.ts";
import { brokenStream, contextLengthExceeded } from "./chat-errors.ts";

/**
 * Why an answer ended, in the words of chat-completions servers. A reason that is not here fails the turn: an answer that
 * ended for an unknown reason must not pass for a complete one.
 */
const REASONS: { readonly [Reason in FinishReason | "failed" | "too_long"]: readonly string[] } = {
  stop: [
    "stop",
    "end",
    "eos",
    "eos_token",
    "end_turn",
    "end_of_turn",
    "stop_sequence",
    "stop_token",
    "stop_word",
    "stop_words",
    "stop_string",
    "finish_reason_stop",
    "finished",
    "complete",
    "completed",
    "done",
    "success",
    "normal",
    "tool_calls",
    "tool_call",
    "tool_use",
    "function_call",
    "function_calls",
    "pause_turn",
  ],
  max_output_tokens: [
    "length",
    "max_tokens",
    "max_token",
    "max_new_tokens",
    "max_output_tokens",
    "max_completion_tokens",
    "max_length",
    "model_length",
    "token_limit",
    "finish_reason_length",
    "finish_reason_max_tokens",
  ],
  content_filter: [
    "content_filter",
    "content_filtered",
    "content-filter",
    "content_policy",
    "content_policy_violation",
    "filtered",
    "sensitive",
    "safety",
    "refusal",
    "moderation",
    "flagged",
    "blocked",
    "blocklist",
    "prohibited_content",
    "spii",
    "recitation",
    "language",
    "image_safety",
    "guardrail",
    "guardrail_intervened",
    "guardrails",
    "contentfilter",
  ],
  too_long: ["model_context_window_exceeded", "context_window_exceeded", "context_length"],
  failed: [
    "error",
    "failed",
    "failure",
    "abort",
    "aborted",
    "cancel",
    "cancelled",
    "canceled",
    "interrupted",
    "timeout",
    "network_error",
    "connection_error",
    "internal_error",
    "engine_error",
    "insufficient_system_resource",
    "overloaded",
    "malformed_function_call",
    "malformed_tool_call",
    "unexpected_tool_call",
    "too_many_tool_calls",
    "malformed_response",
    "missing_thought_signature",
    "other",
    "unknown",
  ],
};

type Meaning = keyof typeof REASONS;

const MEANINGS = new Map<string, Meaning>();
for (const [meaning, words] of Object.entries(REASONS))
  for (const word of words) MEANINGS.set(word, meaning as Meaning);

/** Reads `finish_reason`: null where the server has not finished yet. @throws ApiError for an end that is none */
export function readFinish(reason: unknown, native: unknown): FinishReason | null {
  if (reason === undefined || reason === null || reason === "" || reason === false) return null;
  const said = typeof reason === "string" ? reason : JSON.stringify(reason);
  const key = said.trim().toLowerCase();
  // Some servers write the word for nothing.
  if (key === "" || key === "null" || key === "none") return null;
  const meaning = MEANINGS.get(key);
  if (meaning === undefined) throw brokenStream(`ended its answer for an unknown reason: '${said.slice(0, 100)}'`);
  // Gateways say "stop" for ends that they have no word of OpenAI's for, and tell the server's own beside it.
  const own = typeof native === "string" ? MEANINGS.get(native.trim().toLowerCase()) : undefined;
  const told = meaning === "stop" && own !== undefined && own !== "stop" ? own : meaning;
  if (told === "too_long") {
    throw contextLengthExceeded(new Error(`the model server ended its answer with '${said.slice(0, 100)}'`));
  }
  if (told === "failed") {
    const words = told === meaning ? said : String(native);
    throw brokenStream(`ended its answer with '${words.slice(0, 100)}'`);
  }
  return told;
}
