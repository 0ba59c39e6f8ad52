import type { DatabaseSync, StatementSync } from "node:sqlite";
import {
  type Key,
  type LoneRow,
  type NewRow,
  type Part,
  type RecordingRow,
  type RecordRange,
  type RecordRow,
  STEP_ROWS,
  type StoredRow,
  STUMP_LENGTH,
  type SweepStep,
  type Usage,
  type WriteOutcome,
} from "./database.ts";
import type { RecordName } from "../core/ports.ts";
import * as records from "./sqlite-records.ts";

/**
 * The embedded store's side of `Database`, each call in one go. It runs in a thread of its own, so that a slow disk, a
 * checkpoint or a huge node holds up what is stored, and nothing else.
 */
export class SqliteTables {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  insert(rows: readonly NewRow[]): readonly number[] {
    return this.#transaction(() => {
      const missing: number[] = [];
      for (const [position, row] of rows.entries()) if (!this.#insert(row)) missing.push(position);
      return missing;
    });
  }

  has({ tenant, id, after }: Key): boolean {
    return this.#statement(`SELECT 1 FROM nodes WHERE ${KNOWN}`).get(tenant, id, after) !== undefined;
  }

  one({ tenant, id, after }: Key): LoneRow | undefined {
    const row = this.#statement(`SELECT ${COLUMNS} FROM nodes WHERE ${KNOWN}`).get(tenant, id, after);
    if (row === undefined) return undefined;
    const { head } = row as StoredRow;
    const above = head === null ? undefined : this.#statement(`SELECT ${COLUMNS} FROM nodes WHERE seq = ?`).get(head);
    return { row: row as StoredRow, head: (above as StoredRow | undefined) ?? null };
  }

  recording({ tenant, id, after }: Key): RecordingRow | undefined {
    const row = this.#statement(`SELECT key, recording FROM nodes WHERE ${KNOWN}`).get(tenant, id, after);
    return row as RecordingRow | undefined;
  }

  weigh(key: Key | Omit<Key, "after">, part: Part): number | undefined {
    const { tenant, id } = key;
    const where = "after" in key ? KNOWN : "tenant = ? AND id = ?";
    const values = "after" in key ? [tenant, id, key.after] : [tenant, id];
    const bytes = this.#statement(WEIGH[part](where)).get(...values)?.["bytes"];
    return typeof bytes === "number" ? bytes : undefined;
  }

  chain(key: Key | Omit<Key, "after">): readonly StoredRow[] {
    const { tenant, id } = key;
    if ("after" in key) return this.#statement(chain(KNOWN)).all(tenant, id, key.after, tenant) as StoredRow[];
    return this.#statement(chain("tenant = ? AND id = ?")).all(tenant, id, tenant) as StoredRow[];
  }

  hide({ tenant, id, after }: Key): boolean {
    return this.#transaction(() => {
      const hidden = this.#statement(HIDE).get(tenant, id, after);
      if (hidden === undefined) return false;
      this.#statement(removeStumps(leaves("SELECT seq FROM nodes WHERE seq = ?"), true)).run(Number(hidden["seq"]));
      return true;
    });
  }

  expire(before: number, limit: number): number {
    return Number(this.#statement(EXPIRE).run(before, limit).changes);
  }

  collect(below: number, window: number, before: number): SweepStep {
    const rows = "SELECT seq FROM nodes WHERE listed = 0 AND seq < ? AND stored_at <= ? ORDER BY seq DESC LIMIT ?";
    return this.#step({ rows, last: "min(seq)", from: [below, before], window, bytes: null });
  }

  evict(above: number, window: number, bytes: number): SweepStep {
    const rows = "SELECT seq FROM nodes WHERE seq > ? ORDER BY seq LIMIT ?";
    return this.#step({ rows, last: "max(seq)", from: [above], window, bytes });
  }

  readRecord(name: RecordName, now: number): RecordRow | undefined {
    return records.read(this.#prepared, name, now);
  }

  writeRecord(record: RecordRow, version: number, now: number): WriteOutcome {
    return this.#transaction(() => records.write(this.#prepared, record, version, now));
  }

  deleteRecord(name: RecordName, now: number): boolean {
    return records.remove(this.#prepared, name, now);
  }

  listRecords(range: RecordRange, now: number): readonly RecordRow[] {
    return records.list(this.#prepared, range, now);
  }

  expireRecords(now: number, limit: number): number {
    return records.expire(this.#prepared, now, limit);
  }

  usage(tenant: string): Usage {
    const sql = `SELECT coalesce((SELECT bytes FROM usage WHERE tenant = ?), 0) AS tenant,
      coalesce((SELECT sum(bytes) FROM usage), 0) AS "all"`;
    return this.#statement(sql).get(tenant) as Usage;
  }

  /** What the file uses; pages that are free within it will be used again. */
  size(): number {
    return Number(this.#statement(SIZE).get()?.["bytes"]);
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #step({ rows, last, from, window, bytes }: Step): SweepStep {
    return this.#transaction(() => {
      const seen = this.#statement(`SELECT count(*) AS count, ${last} AS last FROM (${rows})`).get(...from, window);
      const remove = this.#statement(removeStumps(leaves(rows), bytes === null));
      const removed = bytes === null ? remove.all(...from, window) : remove.all(...from, window, bytes);
      return {
        next: seen?.["count"] === window ? Number(seen["last"]) : null,
        removed: removed.length,
        freed: removed.reduce((sum, { length }) => sum + Number(length), 0),
      };
    });
  }

  /** False when the parent is not there. */
  #insert(row: NewRow): boolean {
    let parent: number | null = null;
    let head: number | null = null;
    if (row.parent !== null) {
      const above = this.#statement("SELECT seq, head FROM nodes WHERE tenant = ? AND id = ?").get(
        row.tenant,
        row.parent,
      );
      if (above === undefined) return false;
      parent = Number(above["seq"]);
      if (row.sharesHead) head = Number(above["head"] ?? parent);
    }
    const flags = [Number(row.isWhole), Number(row.isListed)] as const;
    const { tenant, id, storedAt, bytes, key, content, recording } = row;
    this.#statement(INSERT).run(tenant, id, parent, head, ...flags, storedAt, bytes, key, content, recording);
    return true;
  }

  #transaction<T>(work: () => T): T {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      // A full disk has ended the transaction by itself, and then there is nothing to take back.
      try {
        this.#database.exec("ROLLBACK");
      } catch {}
      throw error;
    }
  }

  readonly #prepared = (sql: string): StatementSync => this.#statement(sql);

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#database.prepare(sql)));
    return statement;
  }
}

/** The rows that a step of sweeping looks at, and how many bytes it is to free; null for all that is not listed. */
type Step = {
  readonly rows: string;
  readonly last: string;
  readonly from: readonly number[];
  readonly window: number;
  readonly bytes: number | null;
};

// Text goes from one thread to another for less than bytes that have to be decoded there.
const COLUMNS = `id, seq, head, bytes, key,
  CASE WHEN key IS NULL THEN CAST(content AS TEXT) ELSE content END AS content`;
const LENGTH = "length(content) + coalesce(length(recording), 0)";
const KNOWN = "tenant = ? AND id = ? AND listed = 1 AND stored_at > ?";

const INSERT = `
  INSERT INTO nodes (tenant, id, parent, head, whole, listed, stored_at, bytes, key, content, recording)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (tenant, id) DO UPDATE SET listed = 1, stored_at = excluded.stored_at
  WHERE excluded.listed = 1 AND nodes.listed = 0`;

/** A row as it is in memory, by what its first page says: rows of earlier versions count no instructions and tools. */
const WEIGHT = "max(n.bytes, length(n.content))";

const WEIGH: { readonly [Of in Part]: (where: string) => string } = {
  response: (where) => `
    SELECT ${WEIGHT} + coalesce((SELECT max(bytes, length(content)) FROM nodes WHERE seq = n.head), 0) AS bytes
    FROM nodes n WHERE ${where}`,
  recording: (where) => `SELECT coalesce(length(recording), 0) AS bytes FROM nodes WHERE ${where}`,
  chain: (where) => `
    WITH RECURSIVE line (parent, weight) AS (
      SELECT n.parent, ${WEIGHT} FROM nodes n WHERE ${where} AND whole = 1
      UNION ALL
      SELECT n.parent, ${WEIGHT} FROM line JOIN nodes n ON n.seq = line.parent
    )
    SELECT sum(weight) AS bytes FROM line`,
};

function chain(where: string): string {
  return `
    WITH RECURSIVE line (seq, parent) AS (
      SELECT seq, parent FROM nodes WHERE ${where} AND whole = 1
      UNION ALL
      SELECT n.seq, n.parent FROM line JOIN nodes n ON n.seq = line.parent AND n.tenant = ?
    )
    SELECT ${COLUMNS} FROM nodes WHERE seq IN (SELECT seq FROM line) ORDER BY seq`;
}

/** A row that was listed once has no record on its way, so nothing needs to wait for one. */
const HIDE = `UPDATE nodes SET listed = 0, stored_at = 0 WHERE ${KNOWN} RETURNING seq`;

const EXPIRE = `
  UPDATE nodes SET listed = 0, stored_at = 0 WHERE seq IN (
    SELECT seq FROM nodes WHERE listed = 1 AND stored_at <= ? ORDER BY stored_at LIMIT ?)`;

const SIZE = `
  SELECT (c.page_count - f.freelist_count) * s.page_size AS bytes
  FROM pragma_page_count c, pragma_freelist_count f, pragma_page_size s`;

function leaves(rows: string): string {
  return `SELECT seq FROM (${rows}) r WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE parent = r.seq)
    AND NOT EXISTS (SELECT 1 FROM records WHERE node = r.seq)`;
}

/**
 * Removes the leaves, and upwards from each what nothing else needs: unlisted rows only, or whatever there is until so
 * many bytes are free. A row is never removed before its child.
 */
function removeStumps(from: string, onlyUnlisted: boolean): string {
  const chosen = onlyUnlisted
    ? "SELECT seq FROM stump"
    : `SELECT seq FROM (SELECT seq, sum(length) OVER (ORDER BY leaf, step) - length AS freed FROM stump) WHERE freed < ?`;
  return `
    WITH RECURSIVE stump (leaf, seq, parent, step, length) AS (
      SELECT seq, seq, parent, 0, ${LENGTH} FROM nodes WHERE seq IN (${from})
      UNION ALL
      SELECT s.leaf, n.seq, n.parent, s.step + 1, ${LENGTH}
      FROM stump s JOIN nodes n ON n.seq = s.parent
      WHERE s.step < ${STUMP_LENGTH} ${onlyUnlisted ? "AND n.listed = 0" : ""}
        AND NOT EXISTS (SELECT 1 FROM nodes c WHERE c.parent = n.seq AND c.seq <> s.seq)
        AND NOT EXISTS (SELECT 1 FROM records WHERE node = n.seq)
      LIMIT ${STEP_ROWS}
    )
    DELETE FROM nodes WHERE seq IN (${chosen}) RETURNING ${LENGTH} AS length`;
}
