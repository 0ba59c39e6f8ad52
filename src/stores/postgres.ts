import type { Pool, PoolClient, QueryResultRow } from "pg";
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
import { ignoreRace, retrying, transaction, transactionUnless, withClient } from "./postgres-client.ts";
import { changeAll, changeRecord, insertEntries } from "./postgres-put.ts";
import { explainFailure } from "./guarded.ts";
import { migrate } from "./postgres-schema.ts";
import * as records from "./postgres-records.ts";
import * as sql from "./postgres-sql.ts";
import { StoreError } from "./store-error.ts";

export type PostgresOptions = {
  /** Connections at most. */
  readonly connections: number;
  /** How long a call may take. */
  readonly timeoutMs: number;
  /** Told of connections that break while nobody uses them. */
  readonly onError: (error: unknown) => void;
};

/** Tables in a PostgreSQL database, which any number of servers may share. */
export class PostgresDatabase implements Database {
  readonly #pool: Pool;

  /** @throws StoreError when the database cannot be reached, or its tables cannot be used */
  static async open(url: string, options: PostgresOptions): Promise<PostgresDatabase> {
    const { Pool, types } = await importDriver();
    const pool = new Pool({
      connectionString: url,
      max: options.connections,
      application_name: "turnwire",
      connectionTimeoutMillis: options.timeoutMs,
      // A connection that does not answer is closed, and makes room for another.
      query_timeout: options.timeoutMs,
      allowExitOnIdle: true,
      // Large integers, all of which are exact here, as numbers.
      types: {
        getTypeParser: (type, format) => (type === types.builtins.INT8 ? Number : types.getTypeParser(type, format)),
      },
    });
    pool.on("error", (error) => options.onError(explainFailure(error) ?? error));
    try {
      await withClient(pool, migrate);
    } catch (error) {
      await pool.end();
      if (error instanceof StoreError) throw error;
      // The message of the driver names host, user or database, and no password.
      throw new StoreError(`store postgres: ${describe(error)}`, { cause: error });
    }
    return new PostgresDatabase(pool);
  }

  private constructor(pool: Pool) {
    this.#pool = pool;
  }

  insert(entries: readonly NewEntry[], now: number): Promise<readonly PutOutcome[]> {
    return insertEntries(this.#pool, entries, now);
  }

  async has(key: Key): Promise<boolean> {
    return (await this.#read(sql.HAS, nameOf(key))).length > 0;
  }

  async one(key: Key): Promise<LoneRow | undefined> {
    const rows = await this.#read<TextRow>(sql.ONE, nameOf(key));
    const [row, head] = rows.map(readRow);
    return row && { row, head: head ?? null };
  }

  async recording(key: Key): Promise<RecordingRow | undefined> {
    const [row] = await this.#read<RecordingRow>(sql.RECORDING, nameOf(key));
    return row;
  }

  async weigh(key: Key | Omit<Key, "after">, part: Part): Promise<number | undefined> {
    const isKnown = "after" in key;
    const values = isKnown ? nameOf(key) : [key.tenant, key.id];
    const [row] = await this.#read<{ bytes: number | null }>(sql.WEIGH[part](isKnown), values);
    return row?.bytes ?? undefined;
  }

  async chain(key: Key | Omit<Key, "after">): Promise<readonly StoredRow[]> {
    const rows =
      "after" in key
        ? await this.#read<TextRow>(sql.CHAIN, nameOf(key))
        : await this.#read<TextRow>(sql.ANY_CHAIN, [key.tenant, key.id]);
    return rows.map(readRow);
  }

  remove({ tenant, id, after }: Key, goneUntil: number): Promise<boolean> {
    const work = async (client: PoolClient): Promise<boolean> => {
      const find = () => client.query<{ seq: number }>(sql.LOCK, [tenant, id, after]);
      let [row] = (await find()).rows;
      const about = (await client.query(records.REMOVE_ABOUT, [tenant, id])).rowCount ?? 0;
      // Its lease may have gone to a put that was committed meanwhile.
      if (row === undefined) [row] = (await find()).rows;
      if (row !== undefined) {
        await client.query(sql.HIDE, [row.seq, goneUntil]);
        await client.query(sql.REMOVE, [row.seq, 0]);
      } else if (about > 0) {
        await client.query(sql.TOMBSTONE, [tenant, id, goneUntil]);
      }
      return row !== undefined || about > 0;
    };
    return retrying(() => withClient(this.#pool, (client) => transaction(client, () => work(client))));
  }

  async expire(before: number, limit: number): Promise<number> {
    const [row] = await this.#read<{ count: number }>(sql.EXPIRE, [before, limit]);
    return row?.count ?? 0;
  }

  collect(below: number, window: number, now: number): Promise<SweepStep> {
    return this.#step(sql.COLLECT, [below, now, window], window);
  }

  evict(above: number, window: number, bytes: number, now: number): Promise<SweepStep> {
    return this.#step(sql.EVICT, [above, now, window, bytes], window);
  }

  async expireTombstones(now: number, limit: number): Promise<number> {
    return (await this.#pool.query(sql.EXPIRE_TOMBSTONES, [now, limit])).rowCount ?? 0;
  }

  async readRecord({ tenant, kind, id }: RecordName, now: number): Promise<RecordRow | undefined> {
    const [row] = await this.#read<RecordRow>(records.READ, [tenant, kind, id, now]);
    return row;
  }

  async changeRecords(changes: readonly RowChange[], now: number): Promise<WriteOutcome> {
    const [first] = changes;
    if (first === undefined) return "written";
    // Not tried again: one that went in and whose answer was lost would be taken for another server's.
    if (changes.length === 1) return changeRecord(this.#pool, first, now);
    return withClient(this.#pool, (client) =>
      transactionUnless(client, "written", () => changeAll(client, changes, now)),
    );
  }

  async deleteRecord({ tenant, kind, id }: RecordName, now: number): Promise<boolean> {
    const [row] = await this.#read<{ wasAlive: boolean; node: number | null }>(records.DELETE, [tenant, kind, id, now]);
    if (typeof row?.node === "number") await this.#pool.query(sql.REMOVE, [row.node, 0]).catch(ignoreRace);
    return row?.wasAlive === true;
  }

  dueRecords(kind: string, now: number, limit: number): Promise<readonly RecordRow[]> {
    return this.#read<RecordRow>(records.DUE, [kind, now, limit]);
  }

  listRecords({ tenant, kind, after, prefix, limit }: RecordRange, now: number): Promise<readonly RecordRow[]> {
    return this.#read<RecordRow>(records.LIST, [tenant, kind, after, prefix, now, limit]);
  }

  async expireRecords(now: number, limit: number): Promise<number> {
    return (await this.#pool.query(records.EXPIRE, [now, limit])).rowCount ?? 0;
  }

  async usage(tenant: string): Promise<Usage> {
    const [row] = await this.#read<Usage>(sql.USAGE, [tenant]);
    return row ?? { tenant: 0, all: 0 };
  }

  async size(): Promise<number> {
    const [row] = await this.#read<{ bytes: number }>(sql.SIZE, []);
    return row?.bytes ?? 0;
  }

  close(): Promise<void> {
    return this.#pool.end();
  }

  #read<T extends QueryResultRow>(text: string, values: unknown[]): Promise<T[]> {
    return retrying(async () => (await this.#pool.query<T>(text, values)).rows);
  }

  async #step(text: string, values: unknown[], window: number): Promise<SweepStep> {
    const [row] = await this.#read<{ count: number; last: number; removed: number; freed: number }>(text, values);
    const { count = 0, last = 0, removed = 0, freed = 0 } = row ?? {};
    return { next: count === window ? last : null, removed, freed };
  }
}

type TextRow = Omit<StoredRow, "content"> & { readonly content: string };

/** The driver reads every value as text, so what is encrypted comes in base64. */
function readRow(row: TextRow): StoredRow {
  return row.key === null ? row : { ...row, content: Buffer.from(row.content, "base64") };
}

async function importDriver(): Promise<typeof import("pg")> {
  try {
    return await import("pg");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new StoreError("store postgres: needs the package pg; npm i pg", { cause: error });
  }
}

function nameOf({ tenant, id, after }: Key): unknown[] {
  return [tenant, id, after];
}

/** A refused connection has a message for each address, and none of its own. */
function describe(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describe).join("; ");
  return error instanceof Error ? error.message : String(error);
}
