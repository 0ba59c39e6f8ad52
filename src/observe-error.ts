/** An error as it is logged: its kind, its text and where it happened, and the same of what caused it. */
export type ErrorLine = {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly errors?: readonly ErrorLine[];
  readonly cause?: ErrorLine;
};

/** An upstream's answer may have got into the text. */
const LONGEST_TEXT = 4096;
const DEEPEST_CAUSE = 5;

/** Takes named fields only: errors of libraries carry requests, headers and bodies, which have no place in a log. */
export function describeError(thrown: unknown, depth = 0): ErrorLine {
  if (!(thrown instanceof Error)) return { type: typeof thrown, message: cut(String(thrown)) };
  const { name, message, stack, cause } = thrown;
  const code = (thrown as NodeJS.ErrnoException).code;
  const goesDeeper = depth < DEEPEST_CAUSE;
  return {
    type: name,
    message: cut(message),
    ...(typeof code === "string" && { code }),
    ...(stack !== undefined && { stack: cut(stack) }),
    ...(thrown instanceof AggregateError &&
      goesDeeper && { errors: thrown.errors.slice(0, 5).map((error: unknown) => describeError(error, depth + 1)) }),
    ...(cause !== undefined && goesDeeper && { cause: describeError(cause, depth + 1) }),
  };
}

function cut(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}… (${text.length} characters)` : text;
}
