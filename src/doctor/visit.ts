import type { Target } from "./target.ts";

/** Everything that the checks of one examination share. */
export type Visit = {
  readonly target: Target;
  readonly key: string | null;
  /** The model to ask for; null for the first that the server lists. */
  readonly model: string | null;
  /** Where proxies are looked for. */
  readonly environment: NodeJS.ProcessEnv;
  /** For anything that needs no model. */
  readonly timeoutMs: number;
  /** For one turn of the model. */
  readonly turnMs: number;
  /** How long sockets are left alone. */
  readonly idleMs: number;
  /** The largest message that is tried, in bytes. */
  readonly largestBytes: number;
  /** A certificate to trust besides the usual ones (PEM). */
  readonly ca?: string;
};

/** Rejects when something takes too long. `what` completes "no … in 10 s". */
export async function inTime<T>(promise: Promise<T>, milliseconds: number, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no ${what} in ${formatSeconds(milliseconds)}`)), milliseconds);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export function formatSeconds(milliseconds: number): string {
  return `${milliseconds < 10_000 ? Number((milliseconds / 1000).toFixed(1)) : Math.round(milliseconds / 1000)} s`;
}

export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ] as const) {
    if (bytes >= size) return `${Number((bytes / size).toFixed(1))} ${unit}`;
  }
  return `${bytes} bytes`;
}

/** What went wrong, in as few words as a person needs. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  const { code, message, reason } = error as NodeJS.ErrnoException & { readonly reason?: unknown };
  if (code === "ECONNRESET" || code === "EPIPE") return "the connection was cut";
  // The TLS library's own message names its source files.
  return typeof reason === "string" ? reason : (message.split("\n", 1)[0] ?? "");
}
