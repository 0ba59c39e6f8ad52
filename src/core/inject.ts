import type { ServerEvent } from "../protocol/events.ts";
import { EVENT, type InjectErrorCode } from "../protocol/table.ts";

/** Input for a response that runs. Only OpenAI's multi-agent mode takes any: here it is given back, to be sent in the next turn. */
export type Inject = { readonly responseId: string; readonly input: unknown };

const MESSAGE: { readonly [Code in InjectErrorCode]: (id: string) => string } = {
  response_not_found: (id) => `Response '${id}' was not found on this connection.`,
  response_already_completed: (id) => `Response '${id}' has already completed.`,
  invalid_input: (id) =>
    `Response '${id}' takes no input while it runs: no tool call is pending on it. Send the input in the next response.create.`,
};

export function injectFailed(
  sequenceNumber: number,
  { responseId, input }: Inject,
  code: InjectErrorCode,
): ServerEvent {
  const error = { code, message: MESSAGE[code](responseId) };
  return { type: EVENT.injectFailed, response_id: responseId, input, error, sequence_number: sequenceNumber };
}
