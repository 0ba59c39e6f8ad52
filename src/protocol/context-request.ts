import { type CreateRequest, parseCreateRequest } from "./request.ts";

/** What a count is called on the wire. */
export const INPUT_TOKENS_OBJECT = "response.input_tokens";

/**
 * The body of `POST /v1/responses/input_tokens`: that of a create request of which only what the model would read counts.
 * It may leave out its input.
 * @throws ApiError as `parseCreateRequest` does
 */
export function parseCountRequest(value: unknown): CreateRequest {
  return parseCreateRequest(withInput(value));
}

function withInput(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const { input, ...body } = value as { readonly input?: unknown };
  return { ...body, input: input ?? [] };
}
