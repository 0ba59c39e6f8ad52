import { closeSync, fstatSync, openSync, rmSync, writeSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";

/** What is kept of the disk, so that a deletion still has room for its pages when nothing else has. */
const RESERVE_BYTES = 4 * 1024 * 1024;
/** SQLite's code for a full disk. */
const FULL = 13;

/** Space on the disk of a database file that only deletions may use. */
export class SqliteReserve {
  readonly #path: string;
  readonly #database: DatabaseSync;

  /** @param path of the database file */
  constructor(path: string, database: DatabaseSync) {
    this.#path = `${path}-reserve`;
    this.#database = database;
    this.#fill();
  }

  /**
   * Does something that frees space, also on a full disk: with the reserve, and if that is too little for content that is
   * to be overwritten, without overwriting it.
   */
  deleting<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!isFull(error)) throw error;
    }
    rmSync(this.#path, { force: true });
    try {
      return this.#orUnsecured(work);
    } finally {
      // The log would take the reserve for itself before the deletion has it.
      this.#emptyLog();
      this.#fill();
    }
  }

  /** Gives the space back. */
  release(): void {
    rmSync(this.#path, { force: true });
  }

  #orUnsecured<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!isFull(error)) throw error;
    }
    this.#database.exec("PRAGMA secure_delete = OFF");
    try {
      return work();
    } finally {
      this.#database.exec("PRAGMA secure_delete = ON");
    }
  }

  /** Once the log is in the file, its space can be used again. */
  #emptyLog(): void {
    try {
      this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch (error) {
      if (!isFull(error)) throw error;
    }
  }

  /** Written, not only reserved by its length; what does not fit now is tried again after the next deletion. */
  #fill(): void {
    let file: number | undefined;
    try {
      file = openSync(this.#path, "a", 0o600);
      const zeros = Buffer.alloc(64 * 1024);
      while (fstatSync(file).size < RESERVE_BYTES) writeSync(file, zeros);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }
}

function isFull(error: unknown): boolean {
  return (error as { readonly errcode?: number }).errcode === FULL;
}
