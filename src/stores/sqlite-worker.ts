import { parentPort, workerData } from "node:worker_threads";
import type { DatabaseSync } from "node:sqlite";
import { openSqlite, type SqliteOptions } from "./sqlite-schema.ts";
import { SqliteReserve } from "./sqlite-reserve.ts";
import { SqliteTables } from "./sqlite-tables.ts";
import { StoreError } from "./store-error.ts";

/** The thread of the embedded store: it does what it is asked, one call after another. */

export type WorkerOptions = SqliteOptions & { readonly path: string };

export type Method = Exclude<keyof SqliteTables, "constructor">;
export type Call = { readonly call: number; readonly method: Method; readonly args: readonly unknown[] };
/** The answer to a call. Opening is call 0. */
export type Answer = { readonly call: number } & (
  | { readonly result: unknown }
  | { readonly error: Error; readonly isExplained: boolean }
);

/** What frees space, and must work when there is none. */
const DELETIONS: ReadonlySet<Method> = new Set([
  "remove",
  "deleteRecord",
  "expire",
  "expireRecords",
  "collect",
  "evict",
]);

function main(): void {
  const port = parentPort;
  if (port === null) throw new Error("This file is for a thread of its own.");
  const answer = (message: Answer): void => port.postMessage(message);
  const fail = (call: number, thrown: unknown): void => {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    answer({ call, error, isExplained: error instanceof StoreError });
  };
  const { path, ...options } = workerData as WorkerOptions;
  let database: DatabaseSync;
  let reserve: SqliteReserve;
  try {
    database = openSqlite(path, options);
    reserve = new SqliteReserve(path, database);
  } catch (error) {
    fail(0, error);
    return;
  }
  const tables = new SqliteTables(database);
  port.on("message", ({ call, method, args }: Call) => {
    try {
      const run = tables[method] as (...values: readonly unknown[]) => unknown;
      const work = (): unknown => run.apply(tables, [...args]);
      if (method === "close") reserve.release();
      answer({ call, result: DELETIONS.has(method) ? reserve.deleting(work) : work() });
    } catch (error) {
      fail(call, error);
    }
    if (method === "close") port.close();
  });
  answer({ call: 0, result: null });
}

main();
