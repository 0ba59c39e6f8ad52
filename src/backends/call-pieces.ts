import { unreadable } from "./chat-errors.ts";

/** One piece of a tool call, as a chunk brings it, without the differences between servers. */
export type CallPiece = {
  /** Null where the server gives none. */
  readonly index: number | null;
  readonly id: string | null;
  /** The name, or a part of it; empty when the piece has none. */
  readonly name: string;
  /** JSON text, or a part of it; empty when the piece has none. */
  readonly text: string;
  /** What the server wants to see again beside the call. */
  readonly extra: Fields | null;
};

export type Fields = { readonly [field: string]: unknown };

/** The fields of a message or delta in which servers put tool calls. */
export type CallFields = { readonly tool_calls?: unknown; readonly function_call?: unknown };

const NONE: readonly never[] = [];

/** @throws ApiError when a call has a form in which nothing can be found */
export function callPieces({ tool_calls: calls, function_call: legacy }: CallFields): readonly CallPiece[] {
  if (!isGiven(calls) && !isGiven(legacy)) return NONE;
  const listed = isGiven(calls) ? entriesOf(calls) : NONE;
  // Before there were tools, a message had one call, without an id.
  const entries = listed.length === 0 && isGiven(legacy) ? [{ function: legacy }] : listed;
  return entries.filter(isGiven).map(pieceOf);
}

/** A list of calls; some servers send the one call itself, or an object with the indexes as its keys. */
function entriesOf(calls: unknown): readonly unknown[] {
  if (Array.isArray(calls)) return calls as readonly unknown[];
  if (!isFields(calls)) throw strange(calls);
  if (["function", "custom", "id", "name", "type", "index"].some((field) => field in calls)) return [calls];
  return Object.values(calls);
}

function pieceOf(entry: unknown): CallPiece {
  if (!isFields(entry)) throw strange(entry);
  const { index, id, extra_content: extra } = entry;
  // Most servers wrap the name and the arguments, a few do not.
  const inner = entry["function"] ?? entry["custom"] ?? entry;
  if (!isFields(inner)) throw strange(entry);
  const { name = entry["name"] } = inner;
  if (isGiven(name) && typeof name !== "string") throw strange(entry);
  return {
    index: indexOf(index),
    id: idOf(id),
    name: typeof name === "string" ? name : "",
    text: argumentsText(inner["arguments"] ?? inner["input"] ?? inner["parameters"] ?? entry["arguments"]),
    extra: isFields(extra) ? { extra_content: extra } : null,
  };
}

/** Some servers write indexes as texts. */
function indexOf(index: unknown): number | null {
  const number = typeof index === "string" && index.trim() !== "" ? Number(index) : index;
  return typeof number === "number" && Number.isInteger(number) ? number : null;
}

function idOf(id: unknown): string | null {
  if (typeof id === "number") return String(id);
  return typeof id === "string" && id.trim() !== "" ? id : null;
}

/** Most servers stream JSON text; a few send the value. */
function argumentsText(value: unknown): string {
  if (typeof value === "string") return value;
  return isGiven(value) ? JSON.stringify(value) : "";
}

function strange(value: unknown): Error {
  return unreadable("made a tool call that cannot be read", JSON.stringify(value));
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}
