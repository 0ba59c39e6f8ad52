import { isPermanentError, isQuotaRefusal, type Refusal } from "./chat-errors.ts";
import { overflowIn } from "./overflow.ts";

/**
 * Which answers of a model server are worth another try. `again`: a few times, as the settings allow; `loading`: the server
 * says that it will be ready soon, so as long as it may take to begin to answer; `never`: the same would come again.
 */
export type Retry = "again" | "loading" | "never";

export function retryOf(refusal: Refusal): Retry {
  const { status, headers, words } = refusal;
  if (isQuotaRefusal(refusal) || isPermanentError(status, words.text)) return "never";
  if (overflowIn({ status, text: words.text, codes: words.codes }) !== null) return "never";
  if (status === 503 && LOADING.test(words.text ?? "")) return "loading";
  const asked = headers["x-should-retry"];
  if (asked === "false") return "never";
  return asked === "true" || TRANSIENT.has(status) || (status >= 520 && status <= 529) ? "again" : "never";
}

const TRANSIENT = new Set([408, 409, 425, 429, 500, 502, 503, 504]);

const LOADING =
  /\bloading\b|\bbeing loaded\b|\bstarting(?: up)?\b|\bwarming\b|\binitiali[sz]ing\b|\bnot (?:yet )?(?:ready|loaded)\b/i;

/** Milliseconds from one look at a loading server to the next. */
const LOADING_WAIT_MS = 1000;
/** A server that asks for a longer wait than this is left to the client's own patience. */
const LONGEST_WAIT_SECONDS = 10;

export type RetryOptions = {
  /** How often a request is sent again that failed before the first byte of its answer. */
  readonly retries: number;
  /** The wait before the first retry; it doubles with each. */
  readonly retryDelayMs: number;
  /** How long a loading server may take in all. */
  readonly loadingMs: number;
};

type Failure = {
  readonly retry: Retry;
  /** Seconds to wait that the server asks for. */
  readonly wait: number | undefined;
  /** How many tries there were before, and for how long. */
  readonly attempt: number;
  readonly elapsedMs: number;
};

/** Milliseconds to wait before the next try; null when there is none. */
export function nextTry({ retry, wait, attempt, elapsedMs }: Failure, options: RetryOptions): number | null {
  if (retry === "never") return null;
  // The jitter keeps clients that failed together from coming back together.
  const jitter = 0.5 + Math.random();
  if (retry === "loading") {
    const pause = Math.min(options.retryDelayMs * 2 ** Math.min(attempt, 10), LOADING_WAIT_MS) * jitter;
    return elapsedMs + pause < options.loadingMs ? pause : null;
  }
  if (attempt >= options.retries || (wait ?? 0) > LONGEST_WAIT_SECONDS) return null;
  return Math.max((wait ?? 0) * 1000, options.retryDelayMs * 2 ** attempt * jitter);
}
