import type { Runtime } from "../core/ports.ts";
import { ID_PREFIX, type IdKind } from "../protocol/ids.ts";

/** A runtime whose clock stands until it is told to move and whose ids count from 1: `resp_1`, `resp_2`, `msg_1`, … */
export class FakeRuntime implements Runtime {
  readonly #counts = new Map<IdKind, number>();
  #now: number;
  #elapsed = 0;
  readonly #timers = new Set<{ at: number; readonly every: number; readonly task: () => void }>();

  /** @param now the time that it is, in milliseconds since 1970 */
  constructor(now = 1_800_000_000_000) {
    this.#now = now;
  }

  /** Lets time pass, all at once; what is done again and again is done as often as it was due, then. */
  advance(milliseconds: number): void {
    this.#now += milliseconds;
    this.#elapsed += milliseconds;
    for (const timer of this.#timers) {
      for (; timer.at <= this.#elapsed && this.#timers.has(timer); timer.at += timer.every) timer.task();
    }
  }

  /** Time passes, and nothing is done meanwhile: the machine stands still. */
  stall(milliseconds: number): void {
    this.#now += milliseconds;
  }

  every(milliseconds: number, task: () => void): () => void {
    const timer = { at: this.#elapsed + milliseconds, every: milliseconds, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  pause(): Promise<void> {
    return Promise.resolve();
  }

  newId(kind: IdKind): string {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    return `${ID_PREFIX[kind]}_${count}`;
  }
}
