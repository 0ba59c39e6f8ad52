import type { IncomingHttpHeaders } from "node:http";

/**
 * How long a model server asks to be left alone, in seconds, rounded up: `Retry-After` in seconds or as a date,
 * `retry-after-ms`, the words of its error, fields of its body, and the reset headers of rate limits.
 */
export function readWaitHint(headers: IncomingHttpHeaders, body: string, now: number): number | undefined {
  const seconds =
    milliseconds(first(headers, "retry-after-ms")) ??
    retryAfter(first(headers, "retry-after"), now) ??
    waitInText(body) ??
    waitInFields(body) ??
    resetIn(headers, now);
  return seconds === undefined ? undefined : Math.ceil(Math.max(0, seconds));
}

function first(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function number(text: string | undefined): number | undefined {
  if (text === undefined || !/^\s*\d+(\.\d+)?\s*$/.test(text)) return undefined;
  return Number(text);
}

function milliseconds(text: string | undefined): number | undefined {
  const value = number(text);
  return value === undefined ? undefined : value / 1000;
}

function retryAfter(text: string | undefined, now: number): number | undefined {
  return number(text) ?? duration(text) ?? secondsUntil(text, now);
}

function secondsUntil(text: string | undefined, now: number): number | undefined {
  if (text === undefined || !/[a-z]/i.test(text)) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, (at - now) / 1000);
}

const UNIT_SECONDS: { readonly [unit: string]: number } = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };
const PART = String.raw`\d+(?:\.\d+)?\s*(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)\b`;
const DURATION = new RegExp(String.raw`^(?:${PART}|(?:\d+(?:\.\d+)?(?:ms|[smhd]))+)(?:[\s,]*(?:and\s+)?${PART})*`, "i");
const EACH_PART = /(\d+(?:\.\d+)?)\s*(milli|ms|s|m|h|d)/gi;

/** Seconds of a duration such as `7m12s`, `6.5s`, `200ms` or `2 minutes`. */
function duration(text: string | undefined): number | undefined {
  const [whole] = DURATION.exec(text?.trim() ?? "") ?? [];
  if (whole === undefined) return undefined;
  let seconds = 0;
  for (const [, amount = "", unit = ""] of whole.matchAll(EACH_PART)) {
    const name = unit.toLowerCase();
    seconds += Number(amount) * (UNIT_SECONDS[name === "milli" ? "ms" : name] ?? 0);
  }
  return seconds;
}

const WAIT_WORDS =
  /\b(?:try(?:ing)?(?: it)? again|retry(?:ing)?|retry[- ]after|wait|available again|resets?)\s*(?:in|after|for|:)?\s*(?:about |at least )?(?=\d)/gi;

/** The wait in whole seconds that a sentence names, as in OpenAI's "Please try again in 7m12s". */
export function readWaitInText(text: string): number | undefined {
  const seconds = waitInText(text);
  return seconds === undefined ? undefined : Math.ceil(seconds);
}

function waitInText(text: string): number | undefined {
  for (const match of text.matchAll(WAIT_WORDS)) {
    const seconds = duration(text.slice(match.index + match[0].length, match.index + match[0].length + 60));
    if (seconds !== undefined) return seconds;
  }
  return undefined;
}

/** Fields of error bodies: Gemini's `retryDelay`, `retry_after` in seconds, Hugging Face's `estimated_time`. */
function waitInFields(body: string): number | undefined {
  const [, name, value = ""] =
    /"(retryDelay|retry_delay|retry_after|retryAfter|retry_after_ms|retry_after_seconds|estimated_time)"\s*:\s*"?([\d.]+\s*[a-z]*)/.exec(
      body,
    ) ?? [];
  if (name === undefined) return undefined;
  return name.endsWith("_ms") ? milliseconds(value) : (number(value) ?? duration(value));
}

const RESET_HEADER = /^(?:x-|anthropic-)?ratelimit-(?:(?<kind>[\w-]+)-)?reset(?:-(?<after>[\w-]+))?$/;

/** The reset of the limit that is used up; of several the longest, since the shortest may not be the one. */
function resetIn(headers: IncomingHttpHeaders, now: number): number | undefined {
  const resets: { readonly seconds: number; readonly isUsedUp: boolean }[] = [];
  for (const name in headers) {
    const groups = RESET_HEADER.exec(name)?.groups;
    const text = first(headers, name);
    if (groups === undefined || text === undefined) continue;
    const seconds = duration(text) ?? moment(number(text), now) ?? secondsUntil(text, now);
    if (seconds !== undefined) resets.push({ seconds, isUsedUp: isUsedUp(headers, name) });
  }
  const usedUp = resets.filter(({ isUsedUp: used }) => used);
  const counted = usedUp.length > 0 ? usedUp : resets;
  return counted.length === 0 ? undefined : Math.max(...counted.map(({ seconds }) => seconds));
}

function isUsedUp(headers: IncomingHttpHeaders, name: string): boolean {
  return number(first(headers, name.replace("reset", "remaining"))) === 0;
}

/** A number is seconds from now, or a moment in seconds or milliseconds since 1970. */
function moment(value: number | undefined, now: number): number | undefined {
  if (value === undefined || value < 1_000_000_000) return value;
  return Math.max(0, ((value > 100_000_000_000 ? value : value * 1000) - now) / 1000);
}
