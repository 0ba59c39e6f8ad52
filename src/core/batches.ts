import { ApiError } from "../protocol/errors.ts";
import { type CompactionEvent, isTooLong } from "./compaction.ts";
import type { BackendEvent, Runtime } from "./ports.ts";

/** What a turn hears of its backend, batch by batch, and of a compaction before that. */
export type Batches = AsyncIterator<readonly (BackendEvent | CompactionEvent)[], unknown>;

export type Batch = ReturnType<Batches["next"]>;

/** The first batch. It may fail before anybody waits for it, which is no failure of its own. */
export function pull(batches: Batches): Batch {
  let next: Batch;
  try {
    next = batches.next();
  } catch (thrown) {
    next = Promise.reject(thrown);
  }
  next.catch(() => undefined);
  return next;
}

/**
 * Waits until the backend has accepted the request, at most this long, so that a refusal is an error that clients retry. A
 * backend accepts with its first batch; a refusal after the wait ends the turn as failed. With no time to wait, the
 * request leaves before the client is told anything, so that telling costs no time.
 * @throws ApiError when the backend refuses the request in time
 */
export async function accepted(
  first: Batch,
  runtime: Pick<Runtime, "every" | "pause">,
  milliseconds: number,
): Promise<void> {
  if (milliseconds === 0) return runtime.pause();
  const late = Promise.withResolvers<void>();
  const stop = runtime.every(milliseconds, late.resolve);
  try {
    await Promise.race([first, late.promise]);
  } catch (error) {
    // Agents know a context that is too long from `response.failed`, and compact it then.
    if (!isTooLong(error)) throw retriable(error);
  } finally {
    stop();
  }
}

/** Seconds after which a client may retry where the model server does not say. */
const RETRY_AFTER = 1;

/** A refusal that another try may mend says when: Codex ends its turn at a 429 that does not. */
function retriable(error: unknown): unknown {
  if (!(error instanceof ApiError) || error.retryAfter !== undefined) return error;
  if (error.status !== 429 && error.status < 500) return error;
  const { code, message, param, cause } = error;
  return new ApiError(code, message, { param, cause, retryAfter: RETRY_AFTER });
}

/** Ends a backend that is left in the middle. */
export async function leave(batches: Batches): Promise<void> {
  await batches.return?.();
}
