import { ApiError, Quotation } from "../protocol/errors.ts";

/**
 * What goes wrong at a model server, as the client may hear of it. A request that the server refuses is the client's to
 * mend, so the server's own words are passed on; of everything else only the kind is told, and the rest is for the log.
 */

const CONTEXT_LENGTH = /context[ _](length|window|size)|maximum context|too many tokens|exceed\w* .*context/i;

const RATE_LIMIT = /^rate_?limit/i;

const LONGEST_QUOTE = 2000;
const LONGEST_SHOWN = 300;

export function unreachable(cause: unknown): ApiError {
  return new ApiError("server_error", "The model server could not be reached.", { cause });
}

export function brokenStream(what: string, cause: unknown = new Error(`the model server ${what}`)): ApiError {
  return new ApiError("server_error", `The model server ${what}.`, { cause });
}

/** An answer in which something cannot be understood. The client is shown it; the log is not, since it may be content. */
export function unreadable(what: string, words: string): ApiError {
  const shown = words.length > LONGEST_SHOWN ? `${words.slice(0, LONGEST_SHOWN)}…` : words;
  return new ApiError("server_error", `The model server ${what}: ${shown}`, {
    cause: new Error(`the model server ${what}`),
  });
}

/** An answer with an error status. `body` is its beginning. */
export function refusedByServer(status: number, retryAfter: string | undefined, body: string): ApiError {
  const { message, code } = readError(body);
  const words = `the model server answered ${status}`;
  const cause = Object.assign(new Error(words, { cause: quote(body) }), { status });
  if (code === "context_length_exceeded" || (status === 400 && message !== null && CONTEXT_LENGTH.test(message))) {
    return contextLengthExceeded(cause);
  }
  switch (status) {
    case 400:
    case 413:
    case 422:
      return new ApiError("invalid_prompt", message ?? `The model server refused the request (${status}).`, { cause });
    case 404:
      return new ApiError("model_not_found", "The model server does not know this model.", { param: "model", cause });
    case 401:
    case 403:
      return new ApiError("server_error", "The model server does not accept this server's key.", { cause });
    case 429:
      return rateLimited(parseRetryAfter(retryAfter) ?? secondsIn(message), cause);
    default:
      return new ApiError("server_error", `The model server had an error (${status}).`, { cause });
  }
}

/** An error that the server reports inside its stream. */
export function reportedByServer(error: unknown): ApiError {
  const cause = new Error("the model server reported an error in its stream", { cause: quote(JSON.stringify(error)) });
  const { message, code, type } = readError(JSON.stringify({ error }));
  if (code === "context_length_exceeded" || (message !== null && CONTEXT_LENGTH.test(message))) {
    return contextLengthExceeded(cause);
  }
  if (code === "429" || RATE_LIMIT.test(code ?? "") || RATE_LIMIT.test(type ?? "")) {
    return rateLimited(secondsIn(message), cause);
  }
  // The status that the server would have answered with, had it known before it began.
  if (code === "400" || code === "422") {
    return new ApiError("invalid_prompt", message ?? `The model server refused the request (${code}).`, { cause });
  }
  return brokenStream("reported an error while it generated", cause);
}

export function quote(text: string): Quotation {
  return new Quotation(text.slice(0, LONGEST_QUOTE));
}

/** The words from which clients take the time to wait, where they get no header: `try again in 3s`. */
function rateLimited(seconds: number | undefined, cause: Error): ApiError {
  const when = seconds === undefined ? "later" : `in ${seconds}s`;
  const message = `The model server's rate limit is reached. Please try again ${when}.`;
  return new ApiError(
    "rate_limit_exceeded",
    message,
    seconds === undefined ? { cause } : { cause, retryAfter: seconds },
  );
}

/** The seconds that an error names in OpenAI's words, rounded up. */
function secondsIn(message: string | null): number | undefined {
  const [, amount, unit] = /try again in\s*(\d+(?:\.\d+)?)\s*(ms|s\b|second)/i.exec(message ?? "") ?? [];
  return amount === undefined ? undefined : Math.ceil(Number(amount) / (unit === "ms" ? 1000 : 1));
}

export function contextLengthExceeded(cause: unknown): ApiError {
  const message = "Your input exceeds the context window of this model. Please adjust your input and try again.";
  return new ApiError("context_length_exceeded", message, { param: "input", cause });
}

type ReportedError = { readonly message: string | null; readonly code: string | null; readonly type: string | null };

/** `{"error":{"message","code"}}`, or the variants that servers have: a string, or `message` and `detail` at the top. */
function readError(body: string): ReportedError {
  try {
    const value = JSON.parse(body) as { error?: unknown; message?: unknown; detail?: unknown } | null;
    const error = value?.error ?? value;
    if (typeof error === "string") return { message: error, code: null, type: null };
    const { message, detail, code, type } = (error ?? {}) as { readonly [field: string]: unknown };
    const text = message ?? detail;
    return {
      message: typeof text === "string" ? text : null,
      code: typeof code === "string" || typeof code === "number" ? String(code) : null,
      type: typeof type === "string" ? type : null,
    };
  } catch {
    return { message: null, code: null, type: null };
  }
}

/** The other server's words that an error was made from. */
export function quotationIn(error: unknown): Quotation | null {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth += 1) {
    if (cause instanceof Quotation) return cause;
  }
  return null;
}

/** Seconds of a Retry-After header that names seconds. */
export function parseRetryAfter(value: string | undefined): number | undefined {
  const seconds = Number(value);
  return value === undefined || !Number.isFinite(seconds) || seconds < 0 ? undefined : Math.ceil(seconds);
}

/** Templates of Qwen, MiniMax and others raise this, in about these words. */
const SYSTEM_FIRST =
  /system message (must be|should be|is only allowed|can only be) (at|in|as)?\s*(the )?(beginning|first|start)/i;

/** Whether the server has refused a request since words of the system do not come first in it. */
export function wantsSystemFirst(error: unknown): boolean {
  const { cause } = (error instanceof ApiError && error.cause instanceof Error && error.cause) || {};
  return cause instanceof Quotation && SYSTEM_FIRST.test(cause.message);
}
