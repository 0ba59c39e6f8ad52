import type { CompactionEvent } from "./compaction.ts";
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
 * Waits until the backend has accepted the request, at most this long. A backend accepts with its first batch, which may
 * be empty for that purpose; a refusal after the wait ends the turn as failed.
 * @throws ApiError when the backend refuses the request in time
 */
export async function accepted(first: Batch, runtime: Pick<Runtime, "every">, milliseconds: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const stop = runtime.every(milliseconds, resolve);
  try {
    await Promise.race([first, late]);
  } finally {
    stop();
  }
}

/** Ends a backend that is left in the middle. */
export async function leave(batches: Batches): Promise<void> {
  await batches.return?.();
}
