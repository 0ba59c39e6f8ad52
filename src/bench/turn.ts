import type { Item } from "../protocol/items.ts";
import { EVENT, TERMINAL_EVENTS } from "../protocol/table.ts";

/** What came of one turn; times in milliseconds of `performance.now()`. */
export type TurnResult = {
  readonly id: string;
  readonly output: readonly Item[];
  readonly events: number;
  readonly sentAt: number;
  /** The first delta of any kind; null when there was none. */
  readonly firstDeltaAt: number | null;
  readonly endedAt: number;
};

/** A client of a server under test: one session, one turn at a time. */
export interface BenchClient {
  /** Sends a request, and resolves with its last event. @throws BenchError when the turn is refused or fails */
  turn(request: object): Promise<TurnResult>;
  /** Bytes of TCP payload so far. */
  bytes(): { readonly up: number; readonly down: number };
  close(): void;
}

/** A measurement that could not be made, in words for whoever asked for it. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}

/** What reads the events of a turn as they come. */
export interface Watch {
  /** The result, once this event is the last. @throws BenchError when the turn has failed */
  read(data: string): TurnResult | null;
}

/** What ends a stream of chat completions, and some servers' streams of responses. */
export const DONE = "[DONE]";

type LastEvent = {
  readonly response?: { readonly id: string; readonly output?: readonly Item[] };
  readonly error?: unknown;
};

const ENDS: ReadonlySet<string> = new Set([...TERMINAL_EVENTS, EVENT.error]);

/** Watches the events of a turn. Only the last one is parsed: a load generator must cost less than what it loads. */
export class TurnWatch implements Watch {
  readonly sentAt = performance.now();
  #firstDeltaAt: number | null = null;
  #events = 0;

  read(json: string): TurnResult | null {
    if (json === DONE) return null;
    this.#events += 1;
    const type = typeOf(json);
    if (this.#firstDeltaAt === null && type.endsWith(".delta")) this.#firstDeltaAt = performance.now();
    if (!ENDS.has(type)) return null;
    const endedAt = performance.now();
    const { response } = JSON.parse(json) as LastEvent;
    if (type !== EVENT.completed || response === undefined) {
      throw new BenchError(`a turn did not complete: ${json.slice(0, 300)}`);
    }
    return {
      id: response.id,
      output: response.output ?? [],
      events: this.#events,
      sentAt: this.sentAt,
      firstDeltaAt: this.#firstDeltaAt,
      endedAt,
    };
  }
}

const TYPE_FIRST = '{"type":"';

/** The type of an event. Most servers write it first; the others' events are parsed for it. */
function typeOf(json: string): string {
  if (json.startsWith(TYPE_FIRST)) return json.slice(TYPE_FIRST.length, json.indexOf('"', TYPE_FIRST.length));
  const { type } = JSON.parse(json) as { readonly type?: unknown };
  return typeof type === "string" ? type : "";
}
