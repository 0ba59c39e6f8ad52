import type { CreateRequest } from "../protocol/request.ts";
import { NO_TOOL_USAGE, type Response } from "../protocol/response.ts";
import type { Runtime } from "./ports.ts";

/** What time and chance have to do with a response. */
export type Chance = Pick<Runtime, "now" | "newId">;

/** What stays the same in every snapshot of the response. */
export type ResponseFrame = Omit<
  Response,
  "status" | "completed_at" | "incomplete_details" | "output" | "error" | "usage"
>;

/** The frame of a new response. */
export function responseFrame(request: CreateRequest, runtime: Chance, id?: string): ResponseFrame {
  const { format, verbosity } = request.text;
  return {
    id: id ?? runtime.newId("response"),
    object: "response" as const,
    created_at: Math.floor(runtime.now() / 1000),
    model: request.model,
    previous_response_id: request.previous_response_id,
    ...(request.conversation !== null && { conversation: Object.freeze({ id: request.conversation }) }),
    instructions: request.instructions,
    tools: request.tools,
    tool_choice: request.tool_choice,
    truncation: request.truncation,
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    text: verbosity === null ? { format } : { format, verbosity },
    top_p: request.top_p ?? 1,
    presence_penalty: request.presence_penalty ?? 0,
    frequency_penalty: request.frequency_penalty ?? 0,
    top_logprobs: request.top_logprobs ?? 0,
    temperature: request.temperature ?? 1,
    reasoning: request.reasoning,
    max_output_tokens: request.max_output_tokens,
    max_tool_calls: request.max_tool_calls,
    store: request.store,
    background: request.background,
    service_tier: request.service_tier === null || request.service_tier === "auto" ? "default" : request.service_tier,
    metadata: request.metadata,
    safety_identifier: request.safety_identifier,
    prompt_cache_key: request.prompt_cache_key,
    prompt_cache_retention: request.prompt_cache_retention,
    user: request.user,
    access_programs: null,
    moderation: null,
    tool_usage: NO_TOOL_USAGE,
  };
}
