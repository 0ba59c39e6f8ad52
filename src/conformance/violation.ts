import { isDeepStrictEqual } from "node:util";

/** A broken rule: what was wrong, in words for somebody who has never seen this suite. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly expected: string | null;
  readonly got: string | null;

  constructor(message: string, facts: Facts = {}) {
    super(message);
    this.expected = "expected" in facts ? show(facts.expected) : null;
    this.got = "got" in facts ? show(facts.got) : null;
  }
}

/** A rule that cannot be tested here, and why. */
export class Skip extends Error {
  override readonly name = "Skip";
}

/** The server could not be reached at all. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

/** The suite was asked for something that cannot be. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export type Facts = { readonly expected?: unknown; readonly got?: unknown };

/** Demands that something is so. The message is what is wrong when it is not. */
export function demand(isSo: boolean, message: string, facts: Facts = {}): asserts isSo {
  if (!isSo) throw new Violation(message, facts);
}

/** Demands that a value is deeply equal to another. */
export function same(got: unknown, expected: unknown, what: string): void {
  demand(isDeepStrictEqual(got, expected), `${what} is not what it should be.`, { expected, got });
}

export function skip(reason: string): never {
  throw new Skip(reason);
}

const LONGEST = 400;

/** A value as it stands in a message: text as it is, all else as JSON, both cut when long. */
export function show(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
  return shorten(text, LONGEST);
}

export function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}… (${text.length} characters)`;
}
