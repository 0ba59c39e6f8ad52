/** The statements of the records in PostgreSQL, each one round trip. */

const COLUMNS = `r.tenant, r.kind, r.id, r.version, n.id AS node, r.expires_at AS "expiresAt", r.key, r.value,
  r.about, r.due_at AS "dueAt"`;
const RECORDS = "turnwire_records r LEFT JOIN turnwire_nodes n ON n.seq = r.node";
const NAMED = "r.tenant = $1 AND r.kind = $2 AND r.id = $3";
const alive = (now: string): string => `(r.expires_at IS NULL OR r.expires_at > ${now})`;

export const READ = `SELECT ${COLUMNS} FROM ${RECORDS} WHERE ${NAMED} AND ${alive("$4")}`;

/**
 * Parameters: name (3), new version, id of the node, expiry, key, value, what it is about, when it is due, now, version that
 * was read. Resolves to whether the node is there, and how many rows were written.
 */
const NODE = "(SELECT seq FROM turnwire_nodes WHERE tenant = $1 AND id = $5::text AND bytes > 0)";
const HAS_NODE = `($5::text IS NULL OR EXISTS ${NODE})`;

export const CREATE = `
  WITH written AS (
    INSERT INTO turnwire_records AS r (tenant, kind, id, version, node, expires_at, key, value, about, due_at)
    SELECT $1, $2, $3, $4::bigint, ${NODE}, $6::bigint, $7, $8::bytea, $9, $10::bigint WHERE ${HAS_NODE}
    ON CONFLICT (tenant, kind, id) DO UPDATE SET version = excluded.version, node = excluded.node,
      expires_at = excluded.expires_at, key = excluded.key, value = excluded.value, about = excluded.about,
      due_at = excluded.due_at
    WHERE r.expires_at <= $11::bigint
    RETURNING 1
  )
  SELECT ${HAS_NODE} AS "hasNode", (SELECT count(*) FROM written)::integer AS written`;

export const REPLACE = `
  WITH written AS (
    UPDATE turnwire_records r SET version = $4::bigint, node = ${NODE}, expires_at = $6::bigint, key = $7, value = $8::bytea,
      about = $9, due_at = $10::bigint
    WHERE ${NAMED} AND r.version = $12::bigint AND ${alive("$11::bigint")} AND ${HAS_NODE}
    RETURNING 1
  )
  SELECT ${HAS_NODE} AS "hasNode", (SELECT count(*) FROM written)::integer AS written`;

export const REMOVE = `DELETE FROM turnwire_records r WHERE ${NAMED} AND r.version = $4::bigint AND ${alive("$5::bigint")}`;

export const REMOVE_KINDS = "DELETE FROM turnwire_records WHERE tenant = $1 AND about = $2 AND kind = ANY ($3::text[])";

export const REMOVE_ABOUT = "DELETE FROM turnwire_records WHERE tenant = $1 AND about = $2";

export const DELETE = `DELETE FROM turnwire_records r WHERE ${NAMED} RETURNING ${alive("$4::bigint")} AS "wasAlive", r.node`;

export const DUE = `
  SELECT ${COLUMNS} FROM ${RECORDS} WHERE r.kind = $1 AND r.due_at <= $2 AND ${alive("$2")} ORDER BY r.due_at LIMIT $3`;

export const LIST = `
  SELECT ${COLUMNS} FROM ${RECORDS}
  WHERE r.tenant = $1 AND r.kind = $2 AND r.id > $3 AND r.id >= $4 AND starts_with(r.id, $4) AND ${alive("$5")}
  ORDER BY r.id LIMIT $6`;

export const EXPIRE = `
  DELETE FROM turnwire_records WHERE ctid IN (SELECT ctid FROM turnwire_records WHERE expires_at <= $1 LIMIT $2)`;
