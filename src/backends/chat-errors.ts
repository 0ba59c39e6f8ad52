import type { IncomingHttpHeaders } from "node:http";
import { ApiError, Quotation } from "../protocol/errors.ts";
import { rowsIn } from "./dialect-lessons.ts";
import { overflowIn } from "./overflow.ts";
import { readServerWords, type ServerWords, withoutSecrets } from "./server-words.ts";
import { readWaitHint, readWaitInText } from "./wait-hint.ts";

/**
 * What goes wrong at a model server, as the client is told. The server's own words are passed on, bounded and without
 * secrets (`server-words.ts`); the log has them too, with the status and the URL.
 */

const LONGEST_QUOTE = 2000;
const LONGEST_SHOWN = 300;

/** An answer of a model server with an error status, as far as it was read. */
export type Refusal = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Its beginning, without secrets. */
  readonly body: string;
  readonly words: ServerWords;
  /** The address that was asked, without credentials. */
  readonly url: string;
  /** Seconds to wait that the server asks for. */
  readonly wait: number | undefined;
};

export type RefusalOptions = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The beginning of the body. */
  readonly body: string;
  readonly url: string;
  /** Texts that must not be repeated. */
  readonly secrets?: readonly string[];
};

export function readRefusal({ secrets, ...answer }: RefusalOptions): Refusal {
  const { headers, body, url } = answer;
  const words = readServerWords(body, secrets);
  const wait = readWaitHint(headers, body, Date.now());
  return {
    ...answer,
    body: withoutSecrets(body.slice(0, LONGEST_QUOTE), secrets),
    words,
    url: withoutCredentials(url),
    wait,
  };
}

function withoutCredentials(url: string): string {
  return url.replace(/^(\w+:\/\/)[^/@]*@/, "$1").replace(/[?#].*$/, "");
}

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

/** Statuses below 500 that say nothing against the request: the same one may be taken later. */
const PASSING = new Set([408, 409, 425]);

/** What the client is told of an answer with an error status. */
export function refusedByServer(refusal: Refusal): ApiError {
  const { status, words, wait, url, body } = refusal;
  const said = new Error(`the model server answered ${status} (${url})`, { cause: quote(body) });
  const cause = Object.assign(said, { status });
  const known = knownKind({ status, words, wait, cause });
  if (known !== null) return known;
  const { text } = words;
  if (isQuota(words, status)) return outOfQuota(text, cause);
  if (status >= 300 && status < 400) return redirected(refusal, cause);
  if (status === 404 || status === 405) return notThere(refusal, cause);
  if (status === 401 || status === 403) return notAllowed(status, text, cause);
  if (status === 429) return rateLimited(wait, text, cause);
  if ((status < 500 && !PASSING.has(status)) || isPermanentError(status, text)) {
    return new ApiError("invalid_prompt", text ?? `The model server refused the request (${status}).`, { cause });
  }
  const message = `The model server had an error (${status})${saying(text)}`;
  return new ApiError("server_error", message, wait === undefined ? { cause } : { cause, retryAfter: wait });
}

/** An error that the server reports inside its stream. */
export function reportedByServer(error: unknown): ApiError {
  const body = JSON.stringify({ error });
  const cause = new Error("the model server reported an error in its stream", { cause: quote(body) });
  const words = readServerWords(body);
  const known = knownKind({ status: null, words, wait: readWaitInText(words.text ?? ""), cause });
  if (known !== null) return known;
  const { text, codes } = words;
  if (isQuota(words, null)) return outOfQuota(text, cause);
  // The status that the server would have answered with, had it known before it began.
  if (codes.has("400") || codes.has("422") || isPermanentError(null, text)) {
    return new ApiError("invalid_prompt", text ?? "The model server refused the request.", { cause });
  }
  return brokenStream(`reported an error while it generated${saying(text).replace(/\.$/, "")}`, cause);
}

type Known = {
  readonly status: number | null;
  readonly words: ServerWords;
  readonly wait: number | undefined;
  readonly cause: Error;
};

/** The kinds that are told alike before an answer and inside of one. */
function knownKind({ status, words, wait, cause }: Known): ApiError | null {
  const { text, codes } = words;
  switch (overflowIn({ status, text, codes })) {
    case "context":
      return contextLengthExceeded(cause);
    case "output":
      return outputTooLarge(text, cause);
    case null:
  }
  if (isQuota(words, status)) return null;
  if (saysRateLimit(words) && (status === null || status === 413 || status === 503 || status === 400)) {
    return rateLimited(wait, text, cause);
  }
  return null;
}

function saysRateLimit({ codes }: ServerWords): boolean {
  return [...codes].some((code) => code === "429" || /^rate_?limit|^too_many_requests|^resource_exhausted$/.test(code));
}

const QUOTA_CODES = /^(?:insufficient_quota|quota_exceeded|billing_hard_limit_reached|insufficient_balance|402)$/;
const QUOTA_WORDS =
  /\b(?:insufficient|not enough|no|low|out of|exhausted) (?:account )?(?:balance|credits?|funds|quota)\b|\bexceeded your current quota\b|\bbilling\b|\b(?:credit|account) balance\b|\b(?:requires|add|purchase|buy) more credits\b|余额不足|欠费/i;

/** Whether the account has nothing left: waiting a moment does not mend that. */
function isQuota({ codes, text }: ServerWords, status: number | null): boolean {
  if (status === 402 || [...codes].some((code) => QUOTA_CODES.test(code))) return true;
  return (status === null || status === 429 || status === 403 || status === 400) && QUOTA_WORDS.test(text ?? "");
}

/** Whether another try would be refused alike: a server error that names the request as its cause. */
export function isPermanentError(status: number | null, text: string | null): boolean {
  if (status !== null && (status < 500 || status === 501 || status === 505)) return status === 501 || status === 505;
  return (status === null || status === 500) && text !== null && (PERMANENT.test(text) || rowsIn(text).length > 0);
}

/** Templates that raise, values that do not parse, and what the model cannot do: llama.cpp tells all of it as 500. */
const PERMANENT =
  /\bjinja\b|\braise_exception\b|\bchat[ _-]?template|\btemplate\b[^.]{0,40}\b(?:error|exception|render|fail)|\broles? must alternate|\bnot supported\b|\bunsupported\b|\bdoes(?: not|n't) support\b|\bonly (?:user|system|text|support)\w*\b.*\b(?:roles?|supported|single)\b|\b(?:invalid|unknown|unexpected|unrecognized|illegal)\b[^.]{0,40}\b(?:role|message|type|param\w*|field|argument|value|schema|grammar|content|tool\w*|request|json|format)\b|\bjson\.exception\b|\bfailed to (?:parse|initialize samplers)\b|\bmust (?:be|have|contain|begin|start|alternate|not)\b|\bextra inputs\b|\bno user query\b/i;

/** Whether the account or the server may be asked again after a while. */
export function isQuotaRefusal({ words, status }: Refusal): boolean {
  return isQuota(words, status);
}

export function quote(text: string): Quotation {
  return new Quotation(withoutSecrets(text.slice(0, LONGEST_QUOTE)));
}

function saying(text: string | null): string {
  return text === null ? "." : `: ${text}${/[.!?…]$/.test(text) ? "" : "."}`;
}

/** The words from which clients take the time to wait, where they get no header: `try again in 3s`. */
function rateLimited(seconds: number | undefined, text: string | null, cause: Error): ApiError {
  const when = seconds === undefined ? "later" : `in ${seconds}s`;
  const said = text === null ? "" : ` It says: ${text}`;
  const message = `The model server's rate limit is reached. Please try again ${when}.${said}`;
  return new ApiError(
    "rate_limit_exceeded",
    message,
    seconds === undefined ? { cause } : { cause, retryAfter: seconds },
  );
}

function outOfQuota(text: string | null, cause: Error): ApiError {
  const message = `The quota or the balance of this server's account at the model server is used up${saying(text)}`;
  return new ApiError("insufficient_quota", message, { cause });
}

/** Says which model is meant; the code is kept for servers that say so themselves. */
function notThere({ status, words, url }: Refusal, cause: Error): ApiError {
  const { text, codes } = words;
  if (status === 404 && isUnknownModel(text, codes)) {
    return new ApiError("model_not_found", `The model server does not know this model${saying(text)}`, {
      param: "model",
      cause,
    });
  }
  if (text !== null && !NOTHING_THERE.test(text)) {
    return new ApiError("invalid_prompt", `The model server refused the request (${status})${saying(text)}`, { cause });
  }
  const message = `The model server has nothing at ${url} (${status}${text === null ? "" : `, ${text}`}). Does the base URL of --backend end in /v1?`;
  return new ApiError("invalid_prompt", message, { cause });
}

/** Words of routers and web servers, which know paths and no models. */
const NOTHING_THERE =
  /^(?:\W*\d{3}\W*)?(?:page |path |file |route |url |resource |endpoint |the requested (?:url|resource|page) )?(?:was )?not[ _]?found\b|\bpage not found\b|\bno (?:such )?(?:route|endpoint at|handler)\b|\b(?:cannot|unknown|invalid|unsupported) (?:post|get|url|path|route|endpoint)\b|\bmethod not allowed\b|\bnot found\b.*\b(?:nginx|apache|server|url|path)\b|\bnot_?found_?error\b.*\bpath\b|\bunexpected endpoint or method\b/i;

const UNKNOWN_MODEL =
  /\bmodels?\b[^.]{0,160}\b(?:(?:is |was |could |can)?\s?not (?:be )?(?:found|exist\w*|available|supported|loaded|valid|recognized)|does(?: no|n')t exist|do not exist|unknown|no longer available|not_found)\b|\b(?:unknown|invalid|no such|unsupported|unrecognized) model\b|\bno model(?:s)? (?:named|called|loaded|found|matches)\b|\bnot a valid model\b|\bollama pull\b/i;

function isUnknownModel(text: string | null, codes: ReadonlySet<string>): boolean {
  return [...codes].some((code) => /^(?:model_not_found|invalid_model)$/.test(code)) || UNKNOWN_MODEL.test(text ?? "");
}

function redirected({ status, headers, url }: Refusal, cause: Error): ApiError {
  const { location } = headers;
  const target = location === undefined ? "elsewhere" : `to ${withoutCredentials(location)}`;
  const message = `The model server redirects ${url} ${target} (${status}). Redirects are not followed; set --backend to the final address.`;
  return new ApiError("invalid_prompt", message, { cause });
}

const ABOUT_KEY =
  /\bapi[ _-]?keys?\b|\bauth\w*|\bcredentials?\b|\btoken\b|\bunauthori[sz]ed\b|\bpermissions?\b|\bbearer\b|\bforbidden\b|\baccess denied\b/i;

function notAllowed(status: number, text: string | null, cause: Error): ApiError {
  const isAboutKey = status === 401 || text === null || ABOUT_KEY.test(text);
  const message = isAboutKey
    ? `The model server does not accept this server's key (${status})${saying(text)}`
    : `The model server refused the request (${status})${saying(text)}`;
  return new ApiError("invalid_prompt", message, { cause });
}

function outputTooLarge(text: string | null, cause: unknown): ApiError {
  const message = `'max_output_tokens' is too large for this model${saying(text)}`;
  return new ApiError("invalid_value", message, { param: "max_output_tokens", cause });
}

export function contextLengthExceeded(cause: unknown): ApiError {
  const message = "Your input exceeds the context window of this model. Please adjust your input and try again.";
  return new ApiError("context_length_exceeded", message, { param: "input", cause });
}

/** The other server's words that an error was made from. */
export function quotationIn(error: unknown): Quotation | null {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth += 1) {
    if (cause instanceof Quotation) return cause;
  }
  return null;
}
