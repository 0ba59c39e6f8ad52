import { ApiError } from "../protocol/errors.ts";
import type { Database } from "./database.ts";
import { StoreError } from "./store-error.ts";

/**
 * A database that answers in time or not at all: a call that takes longer, and one that fails because the database is away,
 * is `store_unavailable`; a full disk is `server_storage_exceeded`. What it was is one sentence for the log.
 */
export function guarded(database: Database, timeoutMs: number): Database {
  return new Proxy(database, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name, target);
      if (typeof method !== "function") return method;
      const call = (...args: readonly unknown[]) => method.apply(target, args) as Promise<unknown>;
      // The process is about to end, and what does not answer cannot be closed any better later.
      if (name === "close") return () => inTime(call(), timeoutMs).catch(() => undefined);
      return async (...args: readonly unknown[]) => {
        try {
          return await inTime(call(...args), timeoutMs);
        } catch (error) {
          const failure = explainFailure(error);
          if (failure === null) throw error;
          throw unavailable(failure);
        }
      };
    },
  });
}

/** What SQLite and PostgreSQL say when there is no room. */
const FULL = /disk is full|no space left on device/i;
/** Seconds after which a client may ask again. */
const RETRY_AFTER = 2;

function unavailable(cause: StoreError): ApiError {
  if (FULL.test(cause.message)) {
    const message = "The disk of the server's store is full. Delete responses or conversations, or use `store: false`.";
    return new ApiError("server_storage_exceeded", message, { cause });
  }
  const message = "The server's store does not answer at the moment. Please retry in a few seconds.";
  return new ApiError("store_unavailable", message, { retryAfter: RETRY_AFTER, cause });
}

async function inTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new StoreError(`the database did not answer within ${timeoutMs / 1000} s`));
  }, timeoutMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
    // It may still fail, when nobody waits for it any more.
    work.catch(() => undefined);
  }
}

/**
 * Connection failures of the system, and classes of PostgreSQL: connection, resources, operator's intervention, system; and a
 * transaction that stood still, and a lock that another server holds, for too long.
 */
const AWAY = /^(?:E[A-Z_]+|08...|53...|57...|58...|25P03|55P03)$/;
/** What drivers say without a code, and SQLite, whose errors lose theirs on the way from its thread. */
const AWAY_WORDS =
  /timeout|connection (?:terminated|ended)|client (?:has|was) (?:encountered|closed)|server closed|database or disk is full|database is locked|disk i\/o error|readonly database|unable to open database|disk image is malformed|the store is closed|cannot use a pool after/i;

/** Why the database cannot be used, in one sentence; null for an error of another kind. */
export function explainFailure(error: unknown): StoreError | null {
  if (error instanceof StoreError) return error;
  if (error instanceof AggregateError) return explainFailure(error.errors[0]);
  if (!(error instanceof Error)) return null;
  const { code } = error as { readonly code?: unknown };
  const isAway =
    (typeof code === "string" && AWAY.test(code) && !code.startsWith("ERR_")) || AWAY_WORDS.test(error.message);
  return isAway ? new StoreError(`the database cannot be used: ${error.message.split("\n", 1)[0]}`) : null;
}
