import type { CompactionEvent } from "./compaction.ts";
import type { BackendEvent } from "./ports.ts";

/** What a turn hears of its backend, batch by batch, and of a compaction before that. */
export type Batches = AsyncIterator<readonly (BackendEvent | CompactionEvent)[], unknown>;

/** The next batch. It may fail before anybody waits for it, which is no failure of its own. */
export function pull(batches: Batches): ReturnType<Batches["next"]> {
  let next: ReturnType<Batches["next"]>;
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
