import type { CompactionEvent } from "./compaction.ts";
import type { BackendEvent } from "./ports.ts";

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

/** Ends a backend that is left in the middle. */
export async function leave(batches: Batches): Promise<void> {
  await batches.return?.();
}
