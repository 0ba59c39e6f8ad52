import type { Database, SweepStep } from "./database.ts";

/** Runs a task again and again until the function that it returns is called. */
export type Schedule = (task: () => void, everyMs: number) => () => void;

export type SweeperOptions = {
  /** The time before which a stored row is too old. */
  readonly expiry: () => number;
  /** Bytes that the rows of all tenants may use together. */
  readonly maxBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly everyMs: number;
  readonly schedule: Schedule;
  /** Told what went wrong; the next sweep tries again. */
  readonly onError: (error: unknown) => void;
};

/** How many rows a step looks at: a turn that is stored meanwhile waits for no more than one step. */
const WINDOW = 64;
const LIMIT = 256;

/**
 * Lets go of rows that are too old, of those that nothing needs any more, and, when they use too many bytes, of the ends
 * of the oldest chains. It works in small steps, and everything else goes between them.
 */
export class Sweeper {
  readonly #database: Database;
  readonly #options: SweeperOptions;
  readonly #unschedule: () => void;
  #running: Promise<void> | null = null;
  #isStopped = false;
  /** Where the next search for ends of chains begins. */
  #oldest = 0;

  constructor(database: Database, options: SweeperOptions) {
    this.#database = database;
    this.#options = options;
    this.#unschedule = options.schedule(() => {
      this.sweep().catch(options.onError);
    }, options.everyMs);
  }

  /** One full sweep; the one that runs, when one does. */
  sweep(): Promise<void> {
    this.#running ??= this.#sweep().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Resolves when nothing of it runs any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#unschedule();
    await this.#running?.catch(() => undefined);
  }

  async #sweep(): Promise<void> {
    const before = this.#options.expiry();
    const now = this.#options.now();
    while (!this.#isStopped && (await this.#database.expire(before, LIMIT)) === LIMIT);
    while (!this.#isStopped && (await this.#database.expireRecords(now, LIMIT)) === LIMIT);
    while (!this.#isStopped && (await this.#database.expireTombstones(now, LIMIT)) === LIMIT);
    // A pass takes the ends of chains; what they leave behind may be the next ends.
    const collect = (from: number): Promise<SweepStep> => this.#database.collect(from, WINDOW, now);
    while ((await this.#pass(collect, Number.MAX_SAFE_INTEGER)) > 0);
    if (this.#options.maxBytes < Infinity) await this.#makeRoom();
  }

  async #pass(step: (from: number) => Promise<SweepStep>, start: number): Promise<number> {
    let removed = 0;
    for (let from: number | null = start; from !== null && !this.#isStopped; ) {
      const done: SweepStep = await step(from);
      removed += done.removed;
      from = done.next;
    }
    return removed;
  }

  async #makeRoom(): Promise<void> {
    let isWholeRound = false;
    let removed = 0;
    let excess = await this.#excess();
    while (excess > 0 && !this.#isStopped) {
      isWholeRound ||= this.#oldest === 0;
      const step = await this.#database.evict(this.#oldest, WINDOW, excess, this.#options.now());
      this.#oldest = step.next ?? 0;
      removed += step.removed;
      excess -= step.freed;
      // Contents are not all that uses bytes, so what seems enough is asked again.
      if (excess <= 0) excess = await this.#excess();
      if (step.next !== null) continue;
      // The next round would find no more than this one.
      if (isWholeRound && removed === 0) return;
      removed = 0;
    }
  }

  async #excess(): Promise<number> {
    return (await this.#database.size()) - this.#options.maxBytes;
  }
}
