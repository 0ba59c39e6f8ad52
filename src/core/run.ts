import type { ApiError } from "../protocol/errors.ts";
import { isTerminal, type ServerEvent } from "../protocol/events.ts";
import type { Response } from "../protocol/response.ts";
import type { Tenant } from "./ports.ts";
import type { Move } from "./recording.ts";
import { Replay, SLICE } from "./replay.ts";
import type { TurnEnd } from "./turn.ts";

/** Events of a response that can be read from the start, as often as anybody likes, each reader at its own pace. */
export type Followed = {
  readonly responseId: string;
  /** The response, when it has ended; null while it runs. */
  readonly final: Response | null;
  readonly events: () => AsyncIterable<readonly ServerEvent[]>;
};

/**
 * A turn that outlives its client. Nobody is waited for: whoever follows it reads what was recorded, and then what comes,
 * so a slow reader holds up only itself.
 */
export class Run implements Followed {
  readonly responseId: string;
  readonly tenant: Tenant;
  readonly isBackground: boolean;
  /** What its events are made from, so far. */
  readonly moves: Move[] = [];
  readonly #begun = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #first: Response | null = null;
  #last: Response | null = null;
  #end: TurnEnd | null = null;
  #changed = Promise.withResolvers<void>();

  constructor(responseId: string, tenant: Tenant, isBackground: boolean) {
    this.responseId = responseId;
    this.tenant = tenant;
    this.isBackground = isBackground;
    // Nobody may be waiting.
    this.#begun.promise.catch(() => undefined);
  }

  /** Resolves with the first event. @throws ApiError when the turn was refused */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  /** Resolves when nothing of the turn is left to come. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Why it failed; null when it did not, or has not ended. */
  get error(): ApiError | null {
    return this.#end?.error ?? null;
  }

  get final(): Response | null {
    return this.#last;
  }

  /** Whether there are events. */
  get hasBegun(): boolean {
    return this.#first !== null;
  }

  /** The response as it is now. */
  get snapshot(): Response | null {
    if (this.#last !== null || this.#first === null) return this.#last;
    const replay = new Replay(this.#first);
    replay.push(this.moves);
    return replay.snapshot;
  }

  /** Takes the events of the turn. What they were made from is recorded already. */
  emit(events: readonly ServerEvent[]): void {
    const [first] = events;
    const last = events.at(-1);
    if (this.#first === null && first !== undefined && "response" in first) {
      this.#first = first.response;
      this.#begun.resolve();
    }
    if (last !== undefined && isTerminal(last)) this.#last = last.response;
    this.#wake();
  }

  /** The turn has ended. */
  finish(end: TurnEnd, refusal: ApiError): void {
    this.#end = end;
    if (this.#last === null) this.#begun.reject(end.error ?? refusal);
    this.#ended.resolve();
    this.#wake();
  }

  async *events(): AsyncGenerator<readonly ServerEvent[]> {
    await this.#begun.promise;
    if (this.#first === null) return;
    const replay = new Replay(this.#first);
    yield replay.start();
    for (let at = 0; ; ) {
      const changed = this.#changed.promise;
      const moves = this.moves.slice(at, at + SLICE);
      at += moves.length;
      if (moves.length > 0) {
        const events = replay.push(moves);
        if (events.length > 0) yield events;
      } else if (this.#last !== null) {
        yield replay.end(this.#last);
        return;
      } else if (this.#end !== null) {
        return;
      } else {
        await changed;
      }
    }
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}
