import { type Part, STEP_ROWS, STUMP_LENGTH } from "./database.ts";

/**
 * The statements of the PostgreSQL store; each is one transaction and one round trip. An `OFFSET 0` keeps the planner from
 * joining in its own way: without statistics it would read all rows of a tenant for each one that is looked up.
 */

const COLUMNS = `id, seq, head, bytes, key, stored_at AS "storedAt",
  CASE WHEN key IS NULL THEN convert_from(content, 'UTF8') ELSE encode(content, 'base64') END AS content`;
const NAMED = "tenant = $1 AND id = $2";
const KNOWN = "tenant = $1 AND id = $2 AND listed AND stored_at > $3";

/**
 * Contents, each with its recording behind it, come as one value and are cut apart here, so that a batch of any size is the same statement. Resolves to the
 * positions of rows that were not inserted.
 */
export const INSERT = `
  WITH incoming AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::boolean[], $6::boolean[], $7::boolean[], $8::bigint[],
      $9::bigint[], $10::text[], $11::integer[], $12::integer[], $13::integer[], $14::bigint[]) WITH ORDINALITY
      AS t (tenant, id, parent_id, whole, listed, shares_head, bytes, stored_at, key, start, length, recorded, token,
        position)
  ), linked AS (
    SELECT i.*, p.seq AS parent, CASE WHEN i.shares_head THEN coalesce(p.head, p.seq) END AS head
    FROM incoming i LEFT JOIN LATERAL (
      SELECT seq, head FROM turnwire_nodes
      WHERE tenant = i.tenant AND id = i.parent_id AND whole AND bytes > 0 OFFSET 0
    ) p ON true
  ), inserted AS (
    INSERT INTO turnwire_nodes (tenant, id, parent, head, whole, listed, stored_at, bytes, key, size, content,
      recording, token)
    SELECT tenant, id, parent, head, whole, listed, stored_at, bytes, key, length + coalesce(recorded, 0),
      substring($1::bytea FROM start FOR length), substring($1::bytea FROM start + length FOR recorded), token
    FROM linked WHERE parent_id IS NULL OR parent IS NOT NULL ORDER BY position
    ON CONFLICT (tenant, id) DO UPDATE SET listed = true, stored_at = excluded.stored_at, token = excluded.token
      WHERE excluded.listed AND NOT turnwire_nodes.listed AND turnwire_nodes.gone_until IS NULL
    RETURNING tenant, id
  )
  SELECT position::integer, parent_id IS NOT NULL AND parent IS NULL AS "noParent"
  FROM linked l WHERE NOT EXISTS (SELECT 1 FROM inserted i WHERE i.tenant = l.tenant AND i.id = l.id)`;

/** Why a row was not inserted: what is there instead. */
export const CONFLICT = `
  SELECT token, bytes, gone_until AS "goneUntil" FROM turnwire_nodes WHERE tenant = $1 AND id = $2`;

export const HAS = `SELECT 1 FROM turnwire_nodes WHERE ${KNOWN}`;

/** The row, then the one that holds its instructions and tools, if that is another. */
export const ONE = `
  WITH found AS (SELECT seq, head FROM turnwire_nodes WHERE ${KNOWN})
  SELECT ${COLUMNS} FROM turnwire_nodes n
  WHERE n.seq IN (SELECT seq FROM found UNION ALL SELECT head FROM found) ORDER BY seq DESC`;

export const RECORDING = `SELECT key, recording FROM turnwire_nodes WHERE ${KNOWN}`;

/** A row as it is in memory; rows of earlier versions count no instructions and tools. */
const WEIGHT = "greatest(n.bytes, n.size)";

/** The statement for a row that must be known, or for one that need only be there. */
export const WEIGH: { readonly [Of in Part]: (isKnown: boolean) => string } = {
  response: (isKnown) => `
    SELECT ${WEIGHT} + coalesce((SELECT greatest(h.bytes, h.size) FROM turnwire_nodes h WHERE h.seq = n.head), 0) AS bytes
    FROM turnwire_nodes n WHERE ${isKnown ? KNOWN : NAMED}`,
  recording: (isKnown) => `
    SELECT coalesce(octet_length(recording), 0)::bigint AS bytes FROM turnwire_nodes WHERE ${isKnown ? KNOWN : NAMED}`,
  chain: (isKnown) => `
    WITH RECURSIVE line AS (
      SELECT parent, ${WEIGHT} AS weight FROM turnwire_nodes n WHERE ${isKnown ? KNOWN : NAMED} AND whole
      UNION ALL
      SELECT n.parent, ${WEIGHT}
      FROM line CROSS JOIN LATERAL (SELECT * FROM turnwire_nodes WHERE seq = line.parent OFFSET 0) n
    )
    SELECT sum(weight)::bigint AS bytes FROM line`,
};

export const CHAIN = chain(KNOWN);
/** Also when the row is not listed. */
export const ANY_CHAIN = chain(NAMED);

function chain(where: string): string {
  return `
  WITH RECURSIVE line AS (
    SELECT id, seq, parent, head, bytes, key, stored_at, content FROM turnwire_nodes WHERE ${where} AND whole
    UNION ALL
    SELECT n.id, n.seq, n.parent, n.head, n.bytes, n.key, n.stored_at, n.content
    FROM line CROSS JOIN LATERAL (SELECT * FROM turnwire_nodes WHERE seq = line.parent OFFSET 0) n WHERE n.tenant = $1
  )
  SELECT ${COLUMNS} FROM line ORDER BY seq`;
}

/** Waits for children that are being inserted, which then count. */
export const LOCK = `SELECT seq FROM turnwire_nodes WHERE ${KNOWN} FOR UPDATE`;

/** Parameters: number of the row, end of its tombstone. */
export const HIDE = "UPDATE turnwire_nodes SET listed = false, recording = NULL, gone_until = $2 WHERE seq = $1";

const TOMBSTONES = `
  INSERT INTO turnwire_nodes (tenant, id, whole, listed, stored_at, bytes, size, content, gone_until)`;
const UNLESS_THERE = "ON CONFLICT (tenant, id) DO UPDATE SET gone_until = excluded.gone_until";

export const TOMBSTONE = `${TOMBSTONES}
  VALUES ($1, $2, false, false, 0, 0, 0, '', $3) ${UNLESS_THERE}`;

export const EXPIRE_TOMBSTONES = `
  DELETE FROM turnwire_nodes WHERE seq IN (
    SELECT seq FROM turnwire_nodes WHERE bytes = 0 AND gone_until <= $1 LIMIT $2)`;

export const EXPIRE = `
  WITH expired AS (
    UPDATE turnwire_nodes SET listed = false, recording = NULL WHERE listed AND seq IN (
      SELECT seq FROM turnwire_nodes WHERE listed AND stored_at <= $1 ORDER BY stored_at LIMIT $2)
    RETURNING tenant, id
  ), about AS (
    DELETE FROM turnwire_records r USING expired e WHERE r.tenant = e.tenant AND r.about = e.id
  )
  SELECT count(*)::integer AS count FROM expired`;

export const USAGE = `
  SELECT coalesce(sum(bytes) FILTER (WHERE tenant = $1), 0)::bigint AS tenant, coalesce(sum(bytes), 0)::bigint AS "all"
  FROM turnwire_usage`;

/** An index has the sizes, so no content is read for it. */
export const SIZE = "SELECT coalesce(sum(size), 0)::bigint AS bytes FROM turnwire_nodes";

/** Removes the row and what only stood for it; `$1` is its number, `$2` the time before which tombstones are over. */
export const REMOVE = removeStumps("SELECT seq FROM turnwire_nodes WHERE seq = $1 AND NOT listed", "min(seq)", true);

/** `$1` is where it begins, `$3` how many rows it looks at. */
export const COLLECT = removeStumps(
  "SELECT seq FROM turnwire_nodes WHERE NOT listed AND bytes > 0 AND seq < $1 ORDER BY seq DESC LIMIT $3",
  "min(seq)",
  true,
);

/** The same, and `$4` is how many bytes are to be freed. */
export const EVICT = removeStumps(
  "SELECT seq FROM turnwire_nodes WHERE bytes > 0 AND seq > $1 ORDER BY seq LIMIT $3",
  "max(seq)",
  false,
);

/**
 * Removes those of the rows that are ends of chains, and upwards from each what nothing else needs: unlisted rows only,
 * or whatever there is until so many bytes are free. A row is never removed before its child. Records about removed rows go
 * with them; rows that were deleted by their ids leave tombstones.
 */
function removeStumps(rows: string, last: string, onlyUnlisted: boolean): string {
  const chosen = onlyUnlisted
    ? `SELECT seq FROM stump ORDER BY step LIMIT ${STEP_ROWS}`
    : `SELECT seq FROM (SELECT seq, sum(length) OVER (ORDER BY leaf, step) - length AS freed FROM stump) s
       WHERE freed < $4 LIMIT ${STEP_ROWS}`;
  return `
    WITH RECURSIVE seen AS (${rows}),
    stump AS (
      SELECT n.seq AS leaf, n.seq, n.parent, 0 AS step, n.size::bigint AS length
      FROM turnwire_nodes n WHERE n.seq IN (SELECT seq FROM seen)
        AND NOT EXISTS (SELECT 1 FROM turnwire_nodes c WHERE c.parent = n.seq)
        AND NOT EXISTS (SELECT 1 FROM turnwire_records r WHERE r.node = n.seq)
      UNION ALL
      SELECT s.leaf, n.seq, n.parent, s.step + 1, n.size::bigint
      FROM stump s JOIN turnwire_nodes n ON n.seq = s.parent
      WHERE s.step < ${STUMP_LENGTH} ${onlyUnlisted ? "AND NOT n.listed" : ""}
        AND NOT EXISTS (SELECT 1 FROM turnwire_nodes c WHERE c.parent = n.seq AND c.seq <> s.seq)
        AND NOT EXISTS (SELECT 1 FROM turnwire_records r WHERE r.node = n.seq)
    ), removed AS (
      DELETE FROM turnwire_nodes WHERE seq IN (${chosen}) RETURNING tenant, id, gone_until, size
    ), about AS (
      DELETE FROM turnwire_records r USING removed d WHERE r.tenant = d.tenant AND r.about = d.id
    ), tombstones AS (${TOMBSTONES}
      SELECT tenant, id, false, false, 0, 0, 0, '', gone_until FROM removed WHERE gone_until > $2
    )
    SELECT (SELECT count(*) FROM seen) AS count, (SELECT ${last} FROM seen) AS last,
      (SELECT count(*) FROM removed) AS removed, (SELECT coalesce(sum(size), 0)::bigint FROM removed) AS freed`;
}
