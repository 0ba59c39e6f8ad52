/**
 * What a model server says in the body of an error answer, in whatever shape it says it: OpenAI's envelope, an array of
 * them (Gemini), FastAPI's list of details, Cloudflare's `errors`, an answer wrapped in an answer (OpenRouter, LiteLLM),
 * plain text, or a page of HTML.
 */

export type ServerWords = {
  /** The sentence or sentences for a person, bounded and without secrets; null when the body says nothing. */
  readonly text: string | null;
  /** Every `code`, `type` and `status` found in the body, in lower case. */
  readonly codes: ReadonlySet<string>;
};

const LONGEST_TEXT = 1000;
const LONGEST_PAGE_TEXT = 200;
const LONGEST_UNKNOWN = 300;
const DEEPEST = 6;
const MOST_SENTENCES = 8;

/** Fields that hold what a person should read, in the order in which they are shown. */
const TEXT_FIELDS = [
  "error",
  "errors",
  "message",
  "msg",
  "error_message",
  "error_msg",
  "err_msg",
  "errmsg",
  "errorMessage",
  "status_msg",
  "base_resp",
  "detail",
  "details",
  "reason",
  "reasons",
  "description",
  "title",
  "raw",
  "metadata",
  "cause",
  "innererror",
] as const;

const CODE_FIELDS = ["code", "type", "status", "error_type", "error_code", "status_code"] as const;

type Found = { readonly sentences: string[]; readonly codes: Set<string> };

/** @param secrets texts that must not be repeated, such as the key of this server */
export function readServerWords(body: string, secrets: readonly string[] = []): ServerWords {
  const found: Found = { sentences: [], codes: new Set() };
  const value = parse(body);
  if (value === undefined) found.sentences.push(...pageText(body));
  else collect(value, found, 0);
  const sentences = distinct(found.sentences);
  const said = sentences.length > 0 ? sentences.join(": ") : unknownShape(value);
  return { text: said === null ? null : bounded(withoutSecrets(said, secrets), LONGEST_TEXT), codes: found.codes };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function collect(value: unknown, found: Found, depth: number): void {
  if (depth > DEEPEST || found.sentences.length >= MOST_SENTENCES || value === null) return;
  if (typeof value === "string") return collectText(value, found, depth);
  if (Array.isArray(value)) {
    for (const entry of value) collect(entry, found, depth + 1);
    return;
  }
  if (typeof value !== "object") return;
  const fields = value as { readonly [field: string]: unknown };
  for (const name of CODE_FIELDS) {
    const code = fields[name];
    if (typeof code === "string" || typeof code === "number") found.codes.add(String(code).toLowerCase());
  }
  const { loc, msg } = fields;
  if (Array.isArray(loc) && typeof msg === "string") {
    found.sentences.push(`${pathOf(loc)}: ${msg}`);
    return;
  }
  for (const name of TEXT_FIELDS) if (fields[name] !== undefined) collect(fields[name], found, depth + 1);
}

/** A text may hold an answer of a server behind this one as JSON. */
function collectText(text: string, found: Found, depth: number): void {
  const trimmed = text.trim();
  if (trimmed === "") return;
  const inner = /^[[{]/.test(trimmed) ? parse(trimmed) : undefined;
  if (typeof inner === "object" && inner !== null) {
    const before = found.sentences.length;
    collect(inner, found, depth + 1);
    if (found.sentences.length > before) return;
  }
  found.sentences.push(looksLikePage(trimmed) ? (pageText(trimmed)[0] ?? "") : trimmed);
}

/** FastAPI names the place of a fault as a list. */
function pathOf(place: readonly unknown[]): string {
  const [first, ...rest] = place;
  return (first === "body" ? rest : place).join(".");
}

/** Texts that another one repeats add nothing. */
function distinct(sentences: readonly string[]): readonly string[] {
  return sentences.filter(
    (text, index) =>
      text !== "" &&
      !sentences.some((other, at) =>
        at < index ? other.includes(text) : at > index && other !== text && other.includes(text),
      ),
  );
}

function unknownShape(value: unknown): string | null {
  if (typeof value !== "object" || value === null)
    return value === undefined || value === null ? null : JSON.stringify(value);
  const json = JSON.stringify(value);
  return json === "{}" || json === "[]" || Object.keys(value).join() === "error"
    ? null
    : bounded(json, LONGEST_UNKNOWN);
}

function looksLikePage(text: string): boolean {
  return /^\s*(<!doctype|<html|<head|<body|<\?xml)/i.test(text);
}

/** The text of an answer that is not JSON: of a page what it shows, shortened. */
function pageText(body: string): readonly string[] {
  const text = body.trim();
  if (text === "") return [];
  if (!looksLikePage(text)) return [text];
  const shown = text
    .replaceAll(/<(script|style)\b[\s\S]*?<\/\1\s*>/gi, " ")
    .replaceAll(/<[^>]*>/g, " ")
    .replaceAll(/&nbsp;/g, " ")
    .replaceAll(/\s+/g, " ")
    .trim();
  return shown === "" ? [] : [bounded(shown, LONGEST_PAGE_TEXT)];
}

/** What keys look like, whole or shortened by the server that repeats them. */
const SECRETS: readonly RegExp[] = [
  /\b(bearer|basic)\s+[\w+/=.*~-]{6,}/gi,
  /\b(sk|pk|gsk|hf|xai|csk|nvapi|fw|tgp|key|r8)[-_][\w*.…-]{3,}[\w*]/g,
  /\bAIza[\w-]{8,}/g,
  /\beyJ[\w-]{8,}(\.[\w-]+)*/g,
  /((?:api[-_ ]?key|authorization|token|password|secret)["']?\s*[:=]\s*["']?)[^\s"',;&)}]{6,}/gi,
  /(:\/\/)[^/\s@]+@/g,
];

/** A text without anything that looks like a key, and without the given ones. */
export function withoutSecrets(text: string, secrets: readonly string[] = []): string {
  let clean = text;
  for (const secret of secrets) if (secret.length >= 4) clean = clean.replaceAll(secret, "[hidden]");
  for (const [index, pattern] of SECRETS.entries()) {
    const keeps = index >= SECRETS.length - 2;
    clean = clean.replaceAll(pattern, (_match, first: string) => {
      if (!keeps) return "[hidden]";
      return first === "://" ? first : `${first}[hidden]`;
    });
  }
  return clean;
}

function bounded(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}
