import type { Runtime } from "../core/ports.ts";
import { ID_PREFIX, type IdKind } from "../protocol/ids.ts";

/** A runtime whose clock stands until it is told to move and whose ids count from 1: `resp_1`, `resp_2`, `msg_1`, … */
export class FakeRuntime implements Runtime {
  readonly #counts = new Map<IdKind, number>();
  readonly #tasks = new Set<{ readonly task: () => void; readonly every: number; due: number }>();
  #now: number;
  #elapsed = 0;

  /** @param now the time that it is, in milliseconds since 1970 */
  constructor(now = 1_800_000_000_000) {
    this.#now = now;
  }

  /** Lets time pass; what was to be done meanwhile is done once, at the end. */
  advance(milliseconds: number): void {
    this.#now += milliseconds;
    this.#elapsed += milliseconds;
    for (const entry of this.#tasks) {
      if (entry.due > this.#elapsed) continue;
      entry.due = this.#elapsed + entry.every;
      entry.task();
    }
  }

  every(milliseconds: number, task: () => void): () => void {
    const entry = { task, every: milliseconds, due: this.#elapsed + milliseconds };
    this.#tasks.add(entry);
    return () => this.#tasks.delete(entry);
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  newId(kind: IdKind): string {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    return `${ID_PREFIX[kind]}_${count}`;
  }
}
