import type { Backend, BackendEvent, BackendRequest } from "../core/ports.ts";
import { appendJoined } from "./join-deltas.ts";

type Batches = AsyncIterator<readonly BackendEvent[]>;
type Outcome = IteratorResult<readonly BackendEvent[]> | { readonly error: unknown };

/** A time that passes; `cancel` ends the wait for it. */
export type Pause = { readonly over: Promise<undefined>; readonly cancel: () => void };

/**
 * Joins the deltas that a backend says within a few milliseconds into one. Every event costs a client and the server the
 * same, however little it says, so this is for slow links and for many streams at once; text comes that much later. The
 * first output and whatever is no delta never wait.
 */
export class CoalescingBackend implements Backend {
  readonly #inner: Backend;
  readonly #pause: () => Pause;

  constructor(inner: Backend, milliseconds: number, pause: (milliseconds: number) => Pause = pauseFor) {
    this.#inner = inner;
    this.#pause = () => pause(milliseconds);
  }

  stream(request: BackendRequest, signal: AbortSignal): AsyncIterable<readonly BackendEvent[]> {
    return coalesced(this.#inner.stream(request, signal)[Symbol.asyncIterator](), this.#pause);
  }

  models(): Promise<readonly string[]> {
    return this.#inner.models();
  }

  prefill(request: BackendRequest, signal: AbortSignal): Promise<void> {
    return this.#inner.prefill(request, signal);
  }

  count(request: BackendRequest, signal: AbortSignal): Promise<number> {
    return this.#inner.count(request, signal);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

async function* coalesced(inner: Batches, pause: () => Pause): AsyncGenerator<readonly BackendEvent[]> {
  let coming = pull(inner);
  let isFirst = true;
  try {
    for (;;) {
      const outcome = await coming;
      if ("error" in outcome) throw outcome.error;
      if (outcome.done) return;
      const events: BackendEvent[] = [];
      let mayWait = join(events, outcome.value) && !isFirst;
      // An empty batch only says that the request was accepted.
      isFirst &&= outcome.value.length === 0;
      coming = pull(inner);
      if (mayWait) {
        const { over, cancel } = pause();
        while (mayWait) {
          const arrived = await Promise.race([coming, over]);
          // What has not come in time, and the end in whatever way, is not for this batch.
          if (arrived === undefined || "error" in arrived || arrived.done) break;
          mayWait = join(events, arrived.value);
          coming = pull(inner);
        }
        cancel();
      }
      yield events;
    }
  } finally {
    await inner.return?.();
  }
}

/** The next batch, or why there is none; it may wait to be looked at. */
async function pull(inner: Batches): Promise<Outcome> {
  try {
    return await inner.next();
  } catch (error) {
    return { error };
  }
}

/** Puts events behind others, joined where they say more of the same. False when any of them is no delta. */
function join(events: BackendEvent[], more: readonly BackendEvent[]): boolean {
  for (const event of more) appendJoined(events, event);
  return more.every((event) => "delta" in event);
}

function pauseFor(milliseconds: number): Pause {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, milliseconds, undefined);
  return { over: promise, cancel: () => clearTimeout(timer) };
}
