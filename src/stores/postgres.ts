import type { Pool, PoolClient, QueryResultRow } from "pg";
import type { RecordName } from "../core/ports.ts";
import type {
  Database,
  Key,
  LoneRow,
  NewRow,
  Part,
  RecordingRow,
  RecordRange,
  RecordRow,
  StoredRow,
  SweepStep,
  Usage,
  WriteOutcome,
} from "./database.ts";
import { migrate } from "./postgres-schema.ts";
import * as records from "./postgres-records.ts";
import * as sql from "./postgres-sql.ts";
import { StoreError } from "./store-error.ts";

export type PostgresOptions = {
  /** Connections at most. */
  readonly connections: number;
  /** Told of connections that break while nobody uses them. */
  readonly onError: (error: unknown) => void;
};

const CONNECT_MS = 10_000;
const QUERY_MS = 60_000;
const TRIES = 4;

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
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: QUERY_MS,
      allowExitOnIdle: true,
      // Large integers, all of which are exact here, as numbers.
      types: {
        getTypeParser: (type, format) => (type === types.builtins.INT8 ? Number : types.getTypeParser(type, format)),
      },
    });
    pool.on("error", options.onError);
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

  insert(rows: readonly NewRow[]): Promise<readonly number[]> {
    const waves = wavesOf(rows);
    return retrying(() =>
      waves.length === 1
        ? insertWave(this.#pool, rows, 0)
        : withClient(this.#pool, (client) => insertWaves(client, waves)),
    );
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

  async hide(key: Key): Promise<boolean> {
    const { rows } = await this.#pool.query<{ seq: number }>(sql.HIDE, nameOf(key));
    const [hidden] = rows;
    if (hidden === undefined) return false;
    // A child that comes at this moment keeps the row; then it goes when the child does.
    await this.#pool.query(sql.REMOVE, [hidden.seq]).catch(ignoreRace);
    return true;
  }

  async expire(before: number, limit: number): Promise<number> {
    return (await this.#pool.query(sql.EXPIRE, [before, limit])).rowCount ?? 0;
  }

  collect(below: number, window: number, before: number): Promise<SweepStep> {
    return this.#step(sql.COLLECT, [below, window, before], window);
  }

  evict(above: number, window: number, bytes: number): Promise<SweepStep> {
    return this.#step(sql.EVICT, [above, window, bytes], window);
  }

  async readRecord({ tenant, kind, id }: RecordName, now: number): Promise<RecordRow | undefined> {
    const [row] = await this.#read<RecordRow>(records.READ, [tenant, kind, id, now]);
    return row;
  }

  async writeRecord(record: RecordRow, version: number, now: number): Promise<WriteOutcome> {
    const { tenant, kind, id, node, expiresAt, key, value } = record;
    const values = [tenant, kind, id, record.version, node, expiresAt, key, value, now];
    const text = version === 0 ? records.CREATE : records.REPLACE;
    // Not tried again: one that went in and whose answer was lost would be taken for somebody else's.
    const { rows } = await this.#pool.query<{ hasNode: boolean; written: number }>(
      text,
      version === 0 ? values : [...values, version],
    );
    const [outcome] = rows;
    if (outcome?.hasNode !== true) return "no_node";
    return outcome.written === 0 ? "outdated" : "written";
  }

  async deleteRecord({ tenant, kind, id }: RecordName, now: number): Promise<boolean> {
    const [row] = await this.#read<{ wasAlive: boolean }>(records.DELETE, [tenant, kind, id, now]);
    return row?.wasAlive === true;
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

/** Cuts the rows where one stands on another before it: a statement sees nothing of what it inserts. */
function wavesOf(rows: readonly NewRow[]): readonly (readonly NewRow[])[] {
  const waves: NewRow[][] = [[]];
  let names = new Set<string>();
  for (const row of rows) {
    const [name, above] = [JSON.stringify([row.tenant, row.id]), JSON.stringify([row.tenant, row.parent])];
    if (names.has(name) || names.has(above)) {
      waves.push([]);
      names = new Set();
    }
    names.add(name);
    waves.at(-1)?.push(row);
  }
  return waves;
}

async function insertWaves(client: PoolClient, waves: readonly (readonly NewRow[])[]): Promise<readonly number[]> {
  const missing: number[] = [];
  let first = 0;
  await client.query("BEGIN");
  try {
    for (const wave of waves) {
      missing.push(...(await insertWave(client, wave, first)));
      first += wave.length;
    }
    await client.query("COMMIT");
    return missing;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

async function insertWave(on: Pool | PoolClient, rows: readonly NewRow[], first: number): Promise<readonly number[]> {
  let start = 1;
  const starts = rows.map(({ content, recording }) => {
    const here = start;
    start += content.byteLength + (recording?.byteLength ?? 0);
    return here;
  });
  const result = await on.query<{ position: number }>(sql.INSERT, [
    Buffer.concat(rows.flatMap(({ content, recording }) => (recording === null ? content : [content, recording]))),
    rows.map((row) => row.tenant),
    rows.map((row) => row.id),
    rows.map((row) => row.parent),
    rows.map((row) => row.isWhole),
    rows.map((row) => row.isListed),
    rows.map((row) => row.sharesHead),
    rows.map((row) => row.bytes),
    rows.map((row) => row.storedAt),
    rows.map((row) => row.key),
    starts,
    rows.map(({ content }) => content.byteLength),
    rows.map(({ recording }) => recording?.byteLength ?? null),
  ]);
  // Positions count from 1.
  return result.rows.map(({ position }) => first + position - 1);
}

/** A connection that breaks also fails the query that meets it; this only keeps the event from ending the process. */
function ignoreEvent(): void {}

async function withClient<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  client.on("error", ignoreEvent);
  let isBroken = true;
  try {
    const result = await work(client);
    isBroken = false;
    return result;
  } finally {
    client.off("error", ignoreEvent);
    client.release(isBroken);
  }
}

/** What may go well the next time: two servers met, or the connection was lost. All that is retried may be done twice. */
const PASSING = new Set(["23503", "40001", "40P01", "57P01", "57P02", "57P03", "ECONNRESET", "EPIPE"]);

function isPassing(error: unknown): boolean {
  const { code, message } = error as { readonly code?: string; readonly message?: string };
  return PASSING.has(code ?? "") || message === "Connection terminated unexpectedly";
}

async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === TRIES || !isPassing(error)) throw error;
    }
  }
}

function ignoreRace(error: unknown): void {
  if (!isPassing(error)) throw error;
}

/** A refused connection has a message for each address, and none of its own. */
function describe(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describe).join("; ");
  return error instanceof Error ? error.message : String(error);
}
