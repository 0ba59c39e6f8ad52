import type { DatabaseSync, StatementSync } from "node:sqlite";
import {
  type Key,
  type LoneRow,
  type NewEntry,
  type NewRow,
  type Part,
  type PutOutcome,
  type RecordingRow,
  type RecordRange,
  type RecordRow,
  type RowChange,
  STEP_ROWS,
  type StoredRow,
  STUMP_LENGTH,
  type SweepStep,
  type Usage,
  type WriteOutcome,
} from "./database.ts";
import type { RecordName } from "../core/ports.ts";
import * as records from "./sqlite-records.ts";
import { WEIGH } from "./sqlite-weigh.ts";

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

  insert(entries: readonly NewEntry[], now: number): readonly PutOutcome[] {
    return this.#transaction(() => entries.map((entry) => this.#enter(entry, now)));
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

  remove({ tenant, id, after }: Key, goneUntil: number): boolean {
    return this.#transaction(() => {
      const about = records.removeAbout(this.#prepared, tenant, id);
      const row = this.#statement(`SELECT seq FROM nodes WHERE ${KNOWN}`).get(tenant, id, after);
      // A row that is not needed is not written once more before it is removed.
      const isRemoved = row !== undefined && this.#removeStump(Number(row["seq"]), "");
      if (row !== undefined && !isRemoved) this.#statement(HIDE).run(goneUntil, Number(row["seq"]));
      if (isRemoved || (row === undefined && about > 0)) this.#statement(TOMBSTONE).run(tenant, id, goneUntil);
      return row !== undefined || about > 0;
    });
  }

  expire(before: number, limit: number): number {
    return this.#transaction(() => {
      const expired = this.#statement(EXPIRE).all(before, limit);
      for (const { tenant, id } of expired) records.removeAbout(this.#prepared, String(tenant), String(id));
      return expired.length;
    });
  }

  collect(below: number, window: number, now: number): SweepStep {
    const rows = "SELECT seq FROM nodes WHERE listed = 0 AND bytes > 0 AND seq < ? ORDER BY seq DESC LIMIT ?";
    return this.#step({ rows, last: "min(seq)", from: [below], window, bytes: null }, now);
  }

  evict(above: number, window: number, bytes: number, now: number): SweepStep {
    const rows = "SELECT seq FROM nodes WHERE bytes > 0 AND seq > ? ORDER BY seq LIMIT ?";
    return this.#step({ rows, last: "max(seq)", from: [above], window, bytes }, now);
  }

  expireTombstones(now: number, limit: number): number {
    return Number(this.#statement(EXPIRE_TOMBSTONES).run(now, limit).changes);
  }

  readRecord(name: RecordName, now: number): RecordRow | undefined {
    return records.read(this.#prepared, name, now);
  }

  changeRecords(changes: readonly RowChange[], now: number): WriteOutcome {
    return this.#transaction(() => this.#unless("written", () => this.#change(changes, now)));
  }

  deleteRecord(name: RecordName, now: number): boolean {
    return this.#transaction(() => {
      const removed = records.remove(this.#prepared, name, now);
      if (typeof removed?.node === "number") this.#removeStump(removed.node);
      return removed?.wasAlive === true;
    });
  }

  dueRecords(kind: string, now: number, limit: number): readonly RecordRow[] {
    return records.due(this.#prepared, kind, now, limit);
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

  #step({ rows, last, from, window, bytes }: Step, now: number): SweepStep {
    return this.#transaction(() => {
      const seen = this.#statement(`SELECT count(*) AS count, ${last} AS last FROM (${rows})`).get(...from, window);
      const values = bytes === null ? [...from, window] : [...from, window, bytes];
      const removed = this.#remove(removeStumps(leaves(rows), bytes === null), values, now);
      return {
        next: seen?.["count"] === window ? Number(seen["last"]) : null,
        removed: removed.length,
        freed: removed.reduce((sum, { length }) => sum + length, 0),
      };
    });
  }

  /** Removes the row, if it is a hidden one, unless it is needed, and upwards what only it needed. */
  #removeStump(seq: number, condition = "AND listed = 0"): boolean {
    const rows = leaves(`SELECT seq FROM nodes WHERE seq = ? ${condition}`);
    return this.#remove(removeStumps(rows, true), [seq], 0).length > 0;
  }

  /** Removes rows with the records about them; those that were deleted by their ids leave tombstones. */
  #remove(sql: string, values: readonly number[], now: number): readonly RemovedRow[] {
    const removed = this.#statement(sql).all(...values) as unknown as readonly RemovedRow[];
    for (const { tenant, id, goneUntil } of removed) {
      records.removeAbout(this.#prepared, tenant, id);
      if (goneUntil !== null && goneUntil > now) this.#statement(TOMBSTONE).run(tenant, id, goneUntil);
    }
    return removed;
  }

  #enter({ rows, changes }: NewEntry, now: number): PutOutcome {
    const [first] = rows;
    if (first !== undefined && rows.length === 1 && changes.length === 0) {
      const outcome = this.#insert(first);
      return outcome === "again" ? "stored" : outcome;
    }
    return this.#unless("stored", () => {
      for (const row of rows) {
        const outcome = this.#insert(row);
        if (row === rows.at(-1) && outcome !== "stored") return outcome === "again" ? "stored" : outcome;
        // An ancestor that was deleted does not come back as one.
        if (outcome === "deleted" || outcome === "no_parent") return "no_parent";
      }
      const outcome = this.#change(changes, now);
      if (outcome === "no_node") throw new Error("A node that a record is to stand on is not stored.");
      return outcome === "written" ? "stored" : outcome;
    });
  }

  #change(changes: readonly RowChange[], now: number): WriteOutcome {
    for (const change of changes) {
      const outcome = records.change(this.#prepared, change, now);
      if (outcome !== "written") return outcome;
    }
    return "written";
  }

  /** Takes back what was written unless the outcome is this one. */
  #unless<T>(good: T, work: () => T): T {
    this.#database.exec("SAVEPOINT entry");
    const outcome = work();
    this.#database.exec(outcome === good ? "RELEASE entry" : "ROLLBACK TO entry; RELEASE entry");
    return outcome;
  }

  /** `again` when this very put has inserted the row before. */
  #insert(row: NewRow): PutOutcome | "again" {
    let parent: number | null = null;
    let head: number | null = null;
    if (row.parent !== null) {
      const above = this.#statement(PARENT).get(row.tenant, row.parent);
      if (above === undefined) return "no_parent";
      parent = Number(above["seq"]);
      if (row.sharesHead) head = Number(above["head"] ?? parent);
    }
    const flags = [Number(row.isWhole), Number(row.isListed)] as const;
    const { tenant, id, storedAt, bytes, key, content, recording, token } = row;
    const values = [tenant, id, parent, head, ...flags, storedAt, bytes, key, content, recording, token] as const;
    if (this.#statement(INSERT).run(...values).changes > 0) return "stored";
    const found = this.#statement(CONFLICT).get(tenant, id);
    if (found?.["bytes"] === 0) return "deleted";
    if (found?.["token"] === token) return "again";
    // A row that is only context may be there already.
    if (!row.isListed) return "stored";
    return typeof found?.["goneUntil"] === "number" ? "deleted" : "exists";
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

type RemovedRow = {
  readonly tenant: string;
  readonly id: string;
  readonly goneUntil: number | null;
  readonly length: number;
};

/** The rows that a step of sweeping looks at, and how many bytes it is to free; null for all that is not listed. */
type Step = {
  readonly rows: string;
  readonly last: string;
  readonly from: readonly number[];
  readonly window: number;
  readonly bytes: number | null;
};

// Text goes from one thread to another for less than bytes that have to be decoded there.
const COLUMNS = `id, seq, head, bytes, key, stored_at AS storedAt,
  CASE WHEN key IS NULL THEN CAST(content AS TEXT) ELSE content END AS content`;
const LENGTH = "length(content) + coalesce(length(recording), 0)";
const KNOWN = "tenant = ? AND id = ? AND listed = 1 AND stored_at > ?";

const PARENT = "SELECT seq, head FROM nodes WHERE tenant = ? AND id = ? AND whole = 1 AND bytes > 0";

const INSERT = `
  INSERT INTO nodes (tenant, id, parent, head, whole, listed, stored_at, bytes, key, content, recording, token)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (tenant, id) DO UPDATE SET listed = 1, stored_at = excluded.stored_at, token = excluded.token
  WHERE excluded.listed = 1 AND nodes.listed = 0 AND nodes.gone_until IS NULL`;

const CONFLICT = "SELECT bytes, token, gone_until AS goneUntil FROM nodes WHERE tenant = ? AND id = ?";

const TOMBSTONE = `
  INSERT INTO nodes (tenant, id, whole, listed, stored_at, bytes, content, gone_until) VALUES (?, ?, 0, 0, 0, 0, x'', ?)
  ON CONFLICT (tenant, id) DO UPDATE SET gone_until = excluded.gone_until`;

const EXPIRE_TOMBSTONES = `
  DELETE FROM nodes WHERE seq IN (SELECT seq FROM nodes WHERE bytes = 0 AND gone_until <= ? LIMIT ?)`;

function chain(where: string): string {
  return `
    WITH RECURSIVE line (seq, parent) AS (
      SELECT seq, parent FROM nodes WHERE ${where} AND whole = 1
      UNION ALL
      SELECT n.seq, n.parent FROM line JOIN nodes n ON n.seq = line.parent AND n.tenant = ?
    )
    SELECT ${COLUMNS} FROM nodes WHERE seq IN (SELECT seq FROM line) ORDER BY seq`;
}

const HIDE = "UPDATE nodes SET listed = 0, recording = NULL, gone_until = ? WHERE seq = ?";

const EXPIRE = `
  UPDATE nodes SET listed = 0, recording = NULL WHERE seq IN (
    SELECT seq FROM nodes WHERE listed = 1 AND stored_at <= ? ORDER BY stored_at LIMIT ?)
  RETURNING tenant, id`;

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
    DELETE FROM nodes WHERE seq IN (${chosen})
    RETURNING tenant, id, gone_until AS goneUntil, ${LENGTH} AS length`;
}
