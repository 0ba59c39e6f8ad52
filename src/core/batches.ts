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
    if (!isTooLong(error)) throw error;
  } finally {
    stop();
  }
}

/** Ends a backend that is left in the middle. */
export async function leave(batches: Batches): Promise<void> {
  await batches.return?.();
}
