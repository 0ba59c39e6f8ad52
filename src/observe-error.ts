import { Quotation } from "./protocol/errors.ts";

/** An error as it is logged: its kind, its text and where it happened, and the same of what caused it. */
export type ErrorLine = {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  /** The status that another server answered with. */
  readonly status?: number;
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
 * others said is left out where it has not been compared with the content, and of texts that are not JSON the snippet.
 */
export function describeError(thrown: unknown, depth = 0): ErrorLine {
  if (!(thrown instanceof Error)) {
    const line = { type: typeof thrown, message: cut(String(thrown)) };
    described.add(line);
    return line;
  }
  const { name, cause } = thrown;
  const { message, stack } = withoutSnippet(thrown);
  const { status } = thrown as { readonly status?: unknown };
  const code = (thrown as NodeJS.ErrnoException).code;
  const goesDeeper = depth < DEEPEST_CAUSE;
  const line: ErrorLine = {
    type: name,
    message: cut(message),
    ...(typeof code === "string" && { code }),
    ...(typeof status === "number" && { status }),
    ...(stack !== undefined && { stack: cut(stack) }),
    ...(thrown instanceof AggregateError &&
      goesDeeper && {
        errors: thrown.errors.slice(0, 5).map((error: unknown) => describeError(error, depth + 1)),
      }),
    ...(cause !== undefined && goesDeeper && isTold(cause) && { cause: describeError(cause, depth + 1) }),
  };
  described.add(line);
  return line;
}

function isTold(cause: unknown): boolean {
  return !(cause instanceof Quotation) || cause.redacted !== null;
}

type Told = { readonly message: string; readonly stack?: string | undefined };

/** What an error says, without words of a request: parsers of JSON quote the text that they could not read. */
function withoutSnippet(error: Error): Told {
  if (error instanceof Quotation) return { message: error.redacted ?? "" };
  const { message, stack } = error;
  // A sentence for the operator: where in the code it was found says nothing more.
  if (error.name === "StoreError") return { message };
  if (!(error instanceof SyntaxError)) return { message, stack };
  const told = NO_SNIPPET.exec(message)?.[0] ?? "The text is not valid JSON";
  const places = stack?.split("\n").filter((line) => /^ {4}at /.test(line));
  return { message: told, ...(places && { stack: [`${error.name}: ${told}`, ...places].join("\n") }) };
}

/** Messages of V8 that say where the text breaks off and nothing of it. */
const NO_SNIPPET =
  /^(?:Unexpected end of JSON input|(?:Unterminated string|Bad control character in string literal|Bad Unicode escape|Bad escaped character|Unterminated fractional number|Exponent part is missing a number|No number after minus sign|Unexpected non-whitespace character after JSON|Expected property name or '}'|Expected double-quoted property name|Expected ':' after property name|Expected ',' or '[}\]]' after (?:property value|array element))(?: in JSON)?(?: at position \d+)?(?: \(line \d+ column \d+\))?)$/;

/**
 * Why another server refused a request, in a line without a stack: its status and its words, as far as they are its own.
 * Undefined for an error of another kind.
 */
export function describeRefusal(thrown: unknown): ErrorLine | undefined {
  if (!(thrown instanceof Error) || !(thrown.cause instanceof Quotation)) return undefined;
  const { stack: _, ...line } = describeError(thrown);
  described.add(line);
  return line;
}

function cut(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}… (${text.length} characters)` : text;
}
