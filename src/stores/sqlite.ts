import { Worker } from "node:worker_threads";
import type { RecordName } from "../core/ports.ts";
import type {
  Database,
  Key,
  LoneRow,
  NewEntry,
  Part,
  PutOutcome,
  RecordingRow,
  RecordRange,
  RecordRow,
  RowChange,
  StoredRow,
  SweepStep,
  Usage,
  WriteOutcome,
} from "./database.ts";
import type { SqliteOptions } from "./sqlite-schema.ts";
import type { Answer, Call, Method, WorkerOptions } from "./sqlite-worker.ts";
import { StoreError } from "./store-error.ts";

type Waiter = { readonly resolve: (result: unknown) => void; readonly reject: (error: Error) => void };

/** This very file is `.ts` in a checkout and `.js` in the package. */
const WORKER = new URL(import.meta.url.replace(/sqlite(\.[jt]s)$/, "sqlite-worker$1"));

/** One SQLite file, reached through a thread that has it to itself. */
export class SqliteDatabase implements Database {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiter>();
  #calls = 0;
  #failure: Error | null = null;

  /** @throws StoreError when the file cannot be opened */
  static async open(path: string, { synchronous }: SqliteOptions): Promise<SqliteDatabase> {
    const database = new SqliteDatabase({ path, synchronous });
    await database.#answerTo(0);
    return database;
  }

  private constructor(options: WorkerOptions) {
    // Nothing of the command line is for this thread, such as `--input-type`. Node 22 calls its SQLite experimental, which
    // is no news to an operator.
    const execArgv = ["--disable-warning=ExperimentalWarning"];
    this.#worker = new Worker(WORKER, { workerData: options, name: "turnwire-store", execArgv });
    this.#worker.on("message", (answer: Answer) => this.#take(answer));
    this.#worker.on("error", (error: Error) => this.#fail(error));
    this.#worker.on("exit", () => this.#fail(new Error("The store is closed.")));
  }

  insert(entries: readonly NewEntry[], now: number): Promise<readonly PutOutcome[]> {
    return this.#call("insert", entries, now);
  }

  has(key: Key): Promise<boolean> {
    return this.#call("has", key);
  }

  one(key: Key): Promise<LoneRow | undefined> {
    return this.#call("one", key);
  }

  recording(key: Key): Promise<RecordingRow | undefined> {
    return this.#call("recording", key);
  }

  weigh(key: Key | Omit<Key, "after">, part: Part): Promise<number | undefined> {
    return this.#call("weigh", key, part);
  }

  chain(key: Key | Omit<Key, "after">): Promise<readonly StoredRow[]> {
    return this.#call("chain", key);
  }

  remove(key: Key, goneUntil: number): Promise<boolean> {
    return this.#call("remove", key, goneUntil);
  }

  expire(before: number, limit: number): Promise<number> {
    return this.#call("expire", before, limit);
  }

  collect(below: number, window: number, now: number): Promise<SweepStep> {
    return this.#call("collect", below, window, now);
  }

  evict(above: number, window: number, bytes: number, now: number): Promise<SweepStep> {
    return this.#call("evict", above, window, bytes, now);
  }

  expireTombstones(now: number, limit: number): Promise<number> {
    return this.#call("expireTombstones", now, limit);
  }

  readRecord(name: RecordName, now: number): Promise<RecordRow | undefined> {
    return this.#call("readRecord", name, now);
  }

  changeRecords(changes: readonly RowChange[], now: number): Promise<WriteOutcome> {
    return this.#call("changeRecords", changes, now);
  }

  deleteRecord(name: RecordName, now: number): Promise<boolean> {
    return this.#call("deleteRecord", name, now);
  }

  listRecords(range: RecordRange, now: number): Promise<readonly RecordRow[]> {
    return this.#call("listRecords", range, now);
  }

  dueRecords(kind: string, now: number, limit: number): Promise<readonly RecordRow[]> {
    return this.#call("dueRecords", kind, now, limit);
  }

  expireRecords(now: number, limit: number): Promise<number> {
    return this.#call("expireRecords", now, limit);
  }

  usage(tenant: string): Promise<Usage> {
    return this.#call("usage", tenant);
  }

  size(): Promise<number> {
    return this.#call("size");
  }

  async close(): Promise<void> {
    if (this.#failure !== null) return;
    const ended = new Promise((resolve) => this.#worker.once("exit", resolve));
    await this.#call("close");
    this.#worker.ref();
    this.#failure = new Error("The store is closed.");
    await ended;
  }

  #call<T>(method: Method, ...args: readonly unknown[]): Promise<T> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    this.#calls += 1;
    const answer = this.#answerTo<T>(this.#calls);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
    this.#worker.postMessage({ call: this.#calls, method, args } satisfies Call);
    return answer;
  }

  #answerTo<T>(call: number): Promise<T> {
    // The thread keeps the process alive while somebody waits for it, and only then.
    if (this.#waiting.size === 0) this.#worker.ref();
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(call, { resolve: (result) => resolve(result as T), reject });
    });
  }

  #take(answer: Answer): void {
    const waiter = this.#waiting.get(answer.call);
    this.#waiting.delete(answer.call);
    if (this.#waiting.size === 0) this.#worker.unref();
    if ("result" in answer) waiter?.resolve(answer.result);
    else
      waiter?.reject(answer.isExplained ? new StoreError(answer.error.message, { cause: answer.error }) : answer.error);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
