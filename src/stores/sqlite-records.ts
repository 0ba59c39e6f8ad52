import type { SQLInputValue, StatementSync } from "node:sqlite";
import type { RecordName } from "../core/ports.ts";
import type { RecordRange, RecordRow, WriteOutcome } from "./database.ts";

/** The records of the embedded store. `prepare` gives a statement that is prepared once. */
type Prepare = (sql: string) => StatementSync;

const COLUMNS = `r.tenant, r.kind, r.id, r.version, n.id AS node, r.expires_at AS expiresAt, r.key, r.value`;
const RECORDS = "records r LEFT JOIN nodes n ON n.seq = r.node";
const NAMED = "tenant = ? AND kind = ? AND id = ?";
const ALIVE = "(expires_at IS NULL OR expires_at > ?)";

export function read(prepare: Prepare, { tenant, kind, id }: RecordName, now: number): RecordRow | undefined {
  const sql = `SELECT ${COLUMNS} FROM ${RECORDS} WHERE r.tenant = ? AND r.kind = ? AND r.id = ? AND ${ALIVE}`;
  return prepare(sql).get(tenant, kind, id, now) as RecordRow | undefined;
}

/** To be called within a transaction. */
export function write(prepare: Prepare, record: RecordRow, version: number, now: number): WriteOutcome {
  const { tenant, kind, id } = record;
  let node: SQLInputValue = null;
  if (record.node !== null) {
    const found = prepare("SELECT seq FROM nodes WHERE tenant = ? AND id = ?").get(tenant, record.node);
    if (found === undefined) return "no_node";
    node = Number(found["seq"]);
  }
  const fields = [record.version, node, record.expiresAt, record.key, record.value] as const;
  const { changes } =
    version === 0
      ? prepare(
          `INSERT INTO records (version, node, expires_at, key, value, tenant, kind, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (tenant, kind, id) DO UPDATE SET version = excluded.version, node = excluded.node,
             expires_at = excluded.expires_at, key = excluded.key, value = excluded.value
           WHERE records.expires_at <= ?`,
        ).run(...fields, tenant, kind, id, now)
      : prepare(
          `UPDATE records SET version = ?, node = ?, expires_at = ?, key = ?, value = ?
           WHERE ${NAMED} AND version = ? AND ${ALIVE}`,
        ).run(...fields, tenant, kind, id, version, now);
  return changes === 0 ? "outdated" : "written";
}

export function remove(prepare: Prepare, { tenant, kind, id }: RecordName, now: number): boolean {
  const deleted = prepare(`DELETE FROM records WHERE ${NAMED} RETURNING expires_at AS expiresAt`).get(tenant, kind, id);
  return deleted !== undefined && (deleted["expiresAt"] === null || Number(deleted["expiresAt"]) > now);
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
