import type { Database, NewRow } from "./database.ts";

/** Rows that belong together, and whoever waits for them. */
type Entry = {
  readonly rows: readonly NewRow[];
  readonly resolve: (isIn: boolean) => void;
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
  #waiting: Entry[] = [];
  readonly #running = new Set<Promise<void>>();

  constructor(database: Database, lanes: number) {
    this.#database = database;
    this.#lanes = lanes;
  }

  /** Resolves when the rows are committed; with false when none is, because the first one's parent is not there. */
  add(rows: readonly NewRow[]): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    this.#waiting.push({ rows, resolve, reject });
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
      const missing = new Set(await this.#database.insert(batch.flatMap(({ rows }) => rows)));
      let first = 0;
      for (const { rows, resolve } of batch) {
        resolve(!missing.has(first));
        first += rows.length;
      }
    } catch (error) {
      // One that cannot be stored must not take the others with it.
      if (batch.length === 1) batch[0]?.reject(error);
      else for (const entry of batch) await this.#commit([entry]);
    }
  }
}
