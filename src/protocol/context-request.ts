import { ApiError } from "./errors.ts";
import { COMPACTION_TRIGGER } from "./items.ts";
import { type CreateRequest, createRequestInSteps } from "./request.ts";
import type { OutputItem } from "./items.ts";
import type { Usage } from "./response.ts";

/** Requests about a context that ask for no response: how large it is, and to make it smaller. */

/** What a count is called on the wire. */
export const INPUT_TOKENS_OBJECT = "response.input_tokens";

/** What `POST /v1/responses/input_tokens` answers. */
export type InputTokens = { readonly object: typeof INPUT_TOKENS_OBJECT; readonly input_tokens: number };

/** What a compaction is called on the wire. */
export const COMPACTION_OBJECT = "response.compaction";

/** What `POST /v1/responses/compact` answers: the items to begin the next request with. */
export type CompactedContext = {
  readonly id: string;
  readonly object: typeof COMPACTION_OBJECT;
  /** Seconds since 1970. */
  readonly created_at: number;
  readonly output: readonly OutputItem[];
  readonly usage: Usage;
};

/**
 * The body of `POST /v1/responses/input_tokens`: that of a create request of which only what the model would read counts.
 * It may leave out its input.
 * @throws ApiError as `createRequestInSteps` does
 */
export function* countRequestInSteps(value: unknown): Generator<void, CreateRequest> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return yield* createRequestInSteps(value);
  const { input, ...body } = value as { readonly input?: unknown };
  return yield* createRequestInSteps({ ...body, input: input ?? [] });
}

/**
 * The body of `POST /v1/responses/compact`, as the turn that it asks for: one whose output is a compaction and that nothing
 * is kept of. It names its model, as OpenAI demands it here.
 * @throws ApiError as `createRequestInSteps` does
 */
export function* compactRequestInSteps(value: unknown): Generator<void, CreateRequest> {
  const request = yield* createRequestInSteps(value);
  if (request.model === "") {
    throw new ApiError("missing_required_parameter", "Missing required parameter: 'model'.", { param: "model" });
  }
  const input = [...request.input, COMPACTION_TRIGGER];
  return { ...request, input, store: false, stream: false, generate: true, compaction: null };
}
