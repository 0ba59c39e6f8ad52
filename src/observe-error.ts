import { Quotation } from "./protocol/errors.ts";

/** An error as it is logged: its kind, its text and where it happened, and the same of what caused it. */
export type ErrorLine = {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly errors?: readonly ErrorLine[];
  readonly cause?: ErrorLine;
};

const described = new WeakSet<object>();

/** For the log: an error as a line, unless it is one already. */
export function errorLine(thrown: unknown): ErrorLine {
  return typeof thrown === "object" && thrown !== null && described.has(thrown)
    ? (thrown as ErrorLine)
    : describeError(thrown);
}

/** An upstream's answer may have got into the text. */
const LONGEST_TEXT = 4096;
const DEEPEST_CAUSE = 5;

/**
 * Takes named fields only: errors of libraries carry requests, headers and bodies, which have no place in a log. What
 * others said word for word is left out, unless `quotes` allows it.
 */
export function describeError(thrown: unknown, quotes = false, depth = 0): ErrorLine {
  if (!(thrown instanceof Error)) {
    const line = { type: typeof thrown, message: cut(String(thrown)) };
    described.add(line);
    return line;
  }
  const { name, message, stack, cause } = thrown;
  const code = (thrown as NodeJS.ErrnoException).code;
  const goesDeeper = depth < DEEPEST_CAUSE;
  const line: ErrorLine = {
    type: name,
    message: cut(message),
    ...(typeof code === "string" && { code }),
    ...(stack !== undefined && { stack: cut(stack) }),
    ...(thrown instanceof AggregateError &&
      goesDeeper && {
        errors: thrown.errors.slice(0, 5).map((error: unknown) => describeError(error, quotes, depth + 1)),
      }),
    ...(cause !== undefined &&
      goesDeeper &&
      isTold(cause, quotes) && { cause: describeError(cause, quotes, depth + 1) }),
  };
  described.add(line);
  return line;
}

function isTold(cause: unknown, quotes: boolean): boolean {
  return quotes || !(cause instanceof Quotation);
}

function cut(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}… (${text.length} characters)` : text;
}
