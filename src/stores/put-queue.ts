import type { Database, NewEntry, PutOutcome } from "./database.ts";

/** An entry, and the put that waits for it. */
type Entry = NewEntry & {
  readonly resolve: (outcome: PutOutcome) => void;
  readonly reject: (error: unknown) => void;
};

const BATCH_ROWS = 64;
const BATCH_BYTES = 4 * 1024 * 1024;

/**
 * Group commit: what arrives while earlier rows are being committed goes in together, in one transaction. Nobody hears
 * of a row before it is committed. It holds no more than the turns that wait for it.
 */
export class PutQueue {
  readonly #database: Database;
  /** How many transactions may run at the same time. */
  readonly #lanes: number;
  readonly #now: () => number;
  #waiting: Entry[] = [];
  readonly #running = new Set<Promise<void>>();

  constructor(database: Database, lanes: number, now: () => number) {
    this.#database = database;
    this.#now = now;
    this.#lanes = lanes;
  }

  /** Resolves when the entry is committed, or nothing of it can be. */
  add(entry: NewEntry): Promise<PutOutcome> {
    const { promise, resolve, reject } = Promise.withResolvers<PutOutcome>();
    this.#waiting.push({ ...entry, resolve, reject });
    this.#pump();
    return promise;
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #pump(): void {
    while (this.#running.size < this.#lanes && this.#waiting.length > 0) {
      const run = this.#commit(this.#take());
      this.#running.add(run);
      void run.finally(() => {
        this.#running.delete(run);
        this.#pump();
      });
    }
  }

  #take(): readonly Entry[] {
    let bytes = 0;
    let rows = 0;
    let count = 0;
    for (const entry of this.#waiting) {
      bytes += entry.rows.reduce((sum, row) => sum + row.content.byteLength + (row.recording?.byteLength ?? 0), 0);
      rows += entry.rows.length;
      if (count > 0 && (bytes > BATCH_BYTES || rows > BATCH_ROWS)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /** Never rejects: each entry hears for itself. */
  async #commit(batch: readonly Entry[]): Promise<void> {
    try {
      const entries = batch.map(({ rows, changes }) => ({ rows, changes }));
      const outcomes = await this.#database.insert(entries, this.#now());
      for (const [index, { resolve, reject }] of batch.entries()) {
        const outcome = outcomes[index];
        if (outcome === undefined) reject(new Error("The database did not say what became of a put."));
        else resolve(outcome);
      }
    } catch (error) {
      // One that cannot be stored must not take the others with it.
      if (batch.length === 1) batch[0]?.reject(error);
      else for (const entry of batch) await this.#commit([entry]);
    }
  }
}
