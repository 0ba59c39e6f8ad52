import type { SQLInputValue, StatementSync } from "node:sqlite";
import type { RecordName } from "../core/ports.ts";
import type { RecordRange, RecordRow, RowChange, WriteOutcome } from "./database.ts";

/** The records of the embedded store. `prepare` gives a statement that is prepared once. */
type Prepare = (sql: string) => StatementSync;

const COLUMNS = `r.tenant, r.kind, r.id, r.version, n.id AS node, r.expires_at AS expiresAt, r.key, r.value,
  r.about, r.due_at AS dueAt`;
const RECORDS = "records r LEFT JOIN nodes n ON n.seq = r.node";
const NAMED = "tenant = ? AND kind = ? AND id = ?";
const ALIVE = "(expires_at IS NULL OR expires_at > ?)";

export function read(prepare: Prepare, { tenant, kind, id }: RecordName, now: number): RecordRow | undefined {
  const sql = `SELECT ${COLUMNS} FROM ${RECORDS} WHERE r.tenant = ? AND r.kind = ? AND r.id = ? AND ${ALIVE}`;
  return prepare(sql).get(tenant, kind, id, now) as RecordRow | undefined;
}

/** To be called within a transaction that is rolled back unless all of its changes are written. */
export function change(prepare: Prepare, change: RowChange, now: number): WriteOutcome {
  if ("write" in change) return write(prepare, change.write, change.version, now);
  if ("remove" in change) {
    const { tenant, kind, id } = change.remove;
    const sql = `DELETE FROM records WHERE ${NAMED} AND version = ? AND ${ALIVE}`;
    return prepare(sql).run(tenant, kind, id, change.version, now).changes === 0 ? "outdated" : "written";
  }
  const sql = "DELETE FROM records WHERE tenant = ? AND about = ? AND kind = ?";
  for (const kind of change.kinds) prepare(sql).run(change.tenant, change.removeAbout, kind);
  return "written";
}

/** Removes all that is about a response; resolves with how many. */
export function removeAbout(prepare: Prepare, tenant: string, id: string): number {
  return Number(prepare("DELETE FROM records WHERE tenant = ? AND about = ?").run(tenant, id).changes);
}

function write(prepare: Prepare, record: RecordRow, version: number, now: number): WriteOutcome {
  const { tenant, kind, id } = record;
  let node: SQLInputValue = null;
  if (record.node !== null) {
    const found = prepare("SELECT seq FROM nodes WHERE tenant = ? AND id = ? AND bytes > 0").get(tenant, record.node);
    if (found === undefined) return "no_node";
    node = Number(found["seq"]);
  }
  const { expiresAt, key, value, about, dueAt } = record;
  const fields = [record.version, node, expiresAt, key, value, about, dueAt] as const;
  const { changes } =
    version === 0
      ? prepare(
          `INSERT INTO records (version, node, expires_at, key, value, about, due_at, tenant, kind, id)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (tenant, kind, id) DO UPDATE SET version = excluded.version, node = excluded.node,
             expires_at = excluded.expires_at, key = excluded.key, value = excluded.value, about = excluded.about,
             due_at = excluded.due_at
           WHERE records.expires_at <= ?`,
        ).run(...fields, tenant, kind, id, now)
      : prepare(
          `UPDATE records SET version = ?, node = ?, expires_at = ?, key = ?, value = ?, about = ?, due_at = ?
           WHERE ${NAMED} AND version = ? AND ${ALIVE}`,
        ).run(...fields, tenant, kind, id, version, now);
  return changes === 0 ? "outdated" : "written";
}

/** The record that was there, and the number of the row that it stood on; undefined when there was none. */
export function remove(
  prepare: Prepare,
  { tenant, kind, id }: RecordName,
  now: number,
): { readonly wasAlive: boolean; readonly node: number | null } | undefined {
  const sql = `DELETE FROM records WHERE ${NAMED} RETURNING expires_at AS expiresAt, node`;
  const deleted = prepare(sql).get(tenant, kind, id);
  if (deleted === undefined) return undefined;
  const { expiresAt = null, node = null } = deleted;
  return { wasAlive: expiresAt === null || Number(expiresAt) > now, node: node === null ? null : Number(node) };
}

export function due(prepare: Prepare, kind: string, now: number, limit: number): readonly RecordRow[] {
  const sql = `SELECT ${COLUMNS} FROM ${RECORDS} WHERE r.kind = ? AND r.due_at <= ? AND ${ALIVE}
    ORDER BY r.due_at LIMIT ?`;
  return prepare(sql).all(kind, now, now, limit) as RecordRow[];
}

export function list(prepare: Prepare, range: RecordRange, now: number): readonly RecordRow[] {
  const { tenant, kind, after, prefix, limit } = range;
  const sql = `SELECT ${COLUMNS} FROM ${RECORDS}
    WHERE r.tenant = ? AND r.kind = ? AND r.id > ? AND r.id >= ? AND substr(r.id, 1, length(?)) = ? AND ${ALIVE}
    ORDER BY r.id LIMIT ?`;
  return prepare(sql).all(tenant, kind, after, prefix, prefix, prefix, now, limit) as RecordRow[];
}

export function expire(prepare: Prepare, now: number, limit: number): number {
  const sql = "DELETE FROM records WHERE rowid IN (SELECT rowid FROM records WHERE expires_at <= ? LIMIT ?)";
  return Number(prepare(sql).run(now, limit).changes);
}
