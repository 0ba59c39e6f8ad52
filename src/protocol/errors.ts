import { ERROR, type ErrorCode, EVENT, SENT_WITHOUT_CODE } from "./table.ts";

type ApiErrorOptions = {
  /** The request field at fault, as a path (`input[0].content`). */
  readonly param?: string | null;
  /** Seconds after which a retry makes sense; sent in every place where clients look for it. */
  readonly retryAfter?: number;
  /** What really happened: for the log, never for the client. */
  readonly cause?: unknown;
};

/** A failure that the client is told about: a code of the table, a sentence for a human, and where it is. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, options: ApiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.param = options.param ?? null;
    this.retryAfter = options.retryAfter;
  }

  /** The HTTP status that goes with the code. */
  get status(): number {
    return ERROR[this.code].status;
  }
}

/** What another server said, word for word. It may quote the request, so a log shows only what was found not to. */
export class Quotation extends Error {
  override readonly name = "Quotation";
  /** The words without what quotes a request or an answer; null until that has been cut. */
  redacted: string | null = null;
}

const STACK_OVERFLOW = "Maximum call stack size exceeded";

/** Anything that was thrown, as something that may be shown: the text of an unexpected error stays on this side. */
export function toApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  // What JSON can be read however deep it is nested cannot always be walked; only a client sends such a thing.
  if (thrown instanceof RangeError && thrown.message === STACK_OVERFLOW) {
    return new ApiError("invalid_value", "The request is nested too deeply.", { cause: thrown });
  }
  return new ApiError("server_error", "The server had an error while processing your request.", { cause: thrown });
}

// OpenAI's own words, in one place.

export function previousResponseNotFound(id: string): ApiError {
  const message = `Previous response with id '${id}' not found.`;
  return new ApiError("previous_response_not_found", message, { param: "previous_response_id" });
}

/** A response that only its connection had, and that did not fit any more. */
export function previousResponseEvicted(id: string): ApiError {
  const message =
    `Previous response with id '${id}' not found: it was evicted, since the memory of this connection, or of its API key, ` +
    "was used up. Send the full input, or use `store: true`.";
  return new ApiError("previous_response_not_found", message, { param: "previous_response_id" });
}

export function responseNotFound(id: string): ApiError {
  return new ApiError("not_found", `Response with id '${id}' not found.`);
}

export function idempotencyKeyReused(): ApiError {
  const message = "This idempotency key was used with another request. Send a new key with a new request.";
  return new ApiError("idempotency_key_reused", message);
}

export function idempotencyKeyInUse(): ApiError {
  const message = "The first request with this idempotency key is still on its way. Send it again in a moment.";
  return new ApiError("idempotency_key_in_use", message, { retryAfter: 1 });
}

/** Why a response has no end of its own. */
export function serverStopped(): ApiError {
  return new ApiError("server_error", "The server stopped while this response was running.");
}

/** What a client is told whose server stood still, so that others took it for stopped. */
export function leaseLost(cause?: unknown): ApiError {
  const message = "The server did not respond for too long while this response was running. Send this request again.";
  return new ApiError("server_error", message, { retryAfter: 1, cause });
}

export function responseDeleted(cause?: unknown): ApiError {
  return new ApiError("not_found", "The response was deleted while it was running.", { cause });
}

export function conversationNotFound(id: string): ApiError {
  return new ApiError("not_found", `Conversation with id '${id}' not found.`, { param: "conversation" });
}

export function conversationItemNotFound(id: string): ApiError {
  return new ApiError("not_found", `Item with id '${id}' not found in this conversation.`);
}

export function conversationFull(most: number): ApiError {
  const message = `A conversation may have at most ${most} items. Begin another one, or delete items of this one.`;
  return new ApiError("conversation_full", message, { param: "conversation" });
}

export function itemAlreadyInConversation(): ApiError {
  return new ApiError("item_already_in_conversation", "Item already in conversation", { param: "items" });
}

export function conversationLocked(): ApiError {
  const message = "Another process is currently operating on this conversation. Please retry in a few seconds.";
  return new ApiError("conversation_locked", message, { param: "conversation" });
}

/** What an error calls a tool call of each type. */
const CALL_NAME = {
  function_call: "function call",
  function_call_output: "function call",
  custom_tool_call: "custom tool call",
  custom_tool_call_output: "custom tool call",
} as const;

export function toolCallNotFound(type: keyof typeof CALL_NAME, callId: string): ApiError {
  const message = `No tool call found for ${CALL_NAME[type]} output with call_id ${callId}.`;
  return new ApiError("tool_call_not_found", message, { param: "input" });
}

export function toolOutputMissing(type: keyof typeof CALL_NAME, callId: string): ApiError {
  const message = `No tool output found for ${CALL_NAME[type]} ${callId}.`;
  return new ApiError("tool_output_missing", message, { param: "input" });
}

export function duplicateItem(id: string): ApiError {
  const message = `Duplicate item found with id ${id}. Remove duplicate items from your input and try again.`;
  return new ApiError("duplicate_item", message, { param: "input" });
}

export function itemNotFound(id: string): ApiError {
  const message =
    `Item with id '${id}' not found. Items are not persisted when \`store\` is set to false. ` +
    "Try again with `store` set to true, or remove this item from your input.";
  return new ApiError("item_not_found", message, { param: "input" });
}

export function compactionUnreadable(param: string): ApiError {
  const message =
    "The encrypted content of a compaction item could not be verified: it was not made by this server, not for this key, or " +
    "has been changed since.";
  return new ApiError("invalid_value", message, { param });
}

export function reasoningUnreadable(param: string): ApiError {
  return new ApiError("invalid_value", "The encrypted content of this item is not that of reasoning.", { param });
}

export function modelNotFound(model: string): ApiError {
  return new ApiError("model_not_found", `The requested model '${model}' does not exist.`, { param: "model" });
}

export function unknownParameter(param: string): ApiError {
  return new ApiError("unknown_parameter", `Unknown parameter: '${param}'.`, { param });
}

/** A choice that demands a call where there is nothing to call. */
export function nothingToChoose(): ApiError {
  const message =
    "Tool choice 'required' must be specified with 'tools' parameter: there is no tool here that can be called.";
  return new ApiError("invalid_value", message, { param: "tool_choice" });
}

export function unknownToolChoice(name: string): ApiError {
  const message = `Tool choice '${name}' not found in 'tools' parameter.`;
  return new ApiError("invalid_value", message, { param: "tool_choice" });
}

export function unsupportedTool(type: string, param: string): ApiError {
  const message = `The tool type '${type}' is not supported by this server: it runs no hosted tools, only the client's own.`;
  return new ApiError("unsupported_tool", message, { param });
}

export type ErrorObject = {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
  readonly headers?: { readonly [name: string]: string };
};

function errorObject(error: ApiError): ErrorObject {
  const code = SENT_WITHOUT_CODE.has(error.code) ? null : error.code;
  return { message: error.message, type: ERROR[error.code].type, param: error.param, code };
}

/** The headers that tell a client when to come back. */
export function retryHeaders(error: ApiError): { readonly [name: string]: string } | undefined {
  return error.retryAfter === undefined ? undefined : { "retry-after": String(error.retryAfter) };
}

/** The body of an HTTP error answer. */
export type ErrorBody = { readonly error: ErrorObject };

export function errorBody(error: ApiError): ErrorBody {
  return { error: errorObject(error) };
}

/** A WebSocket error frame: nested, with `status`, and with the headers in both places where clients look. */
export type ErrorFrame = {
  readonly type: typeof EVENT.error;
  readonly status: number;
  readonly error: ErrorObject;
  readonly headers?: { readonly [name: string]: string };
};

export function errorFrame(error: ApiError): ErrorFrame {
  const headers = retryHeaders(error);
  // Open Responses demands a code of every frame.
  const nested = { ...errorObject(error), code: error.code };
  if (headers === undefined) return { type: EVENT.error, status: error.status, error: nested };
  return { type: EVENT.error, status: error.status, error: { ...nested, headers }, headers };
}

/** An SSE `error` event: flat for OpenAI's clients and nested for Open Responses, in one object. */
export type ErrorEvent = {
  readonly type: typeof EVENT.error;
  readonly sequence_number: number;
  readonly code: string | null;
  readonly message: string;
  readonly param: string | null;
  readonly error: ErrorObject;
};

export function errorEvent(error: ApiError, sequenceNumber: number): ErrorEvent {
  const nested = errorObject(error);
  return {
    type: EVENT.error,
    sequence_number: sequenceNumber,
    code: nested.code,
    message: nested.message,
    param: nested.param,
    error: nested,
  };
}
