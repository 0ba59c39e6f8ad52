import type { ClientBase } from "pg";
import { StoreError } from "./store-error.ts";

/** A trigger that counts the rows of a table to their tenants. */
function counted(table: string, measure: "size" | "octet_length", column: string): string {
  const bytes = (row: string): string => (measure === "size" ? `${row}.size` : `octet_length(${row}.${column})`);
  return `
  CREATE FUNCTION ${table}_count() RETURNS trigger LANGUAGE plpgsql AS $count$
  DECLARE
    change bigint := 0;
    whose text;
  BEGIN
    IF TG_OP <> 'INSERT' THEN
      change := change - 256 - ${bytes("OLD")};
      whose := OLD.tenant;
    END IF;
    IF TG_OP <> 'DELETE' THEN
      change := change + 256 + ${bytes("NEW")};
      whose := NEW.tenant;
    END IF;
    IF change <> 0 THEN
      INSERT INTO turnwire_usage AS u VALUES (whose, pg_backend_pid() % 32, change)
      ON CONFLICT (tenant, shard) DO UPDATE SET bytes = u.bytes + excluded.bytes;
    END IF;
    RETURN NULL;
  END $count$;
  CREATE TRIGGER ${table}_counted AFTER INSERT OR DELETE OR UPDATE OF ${column} ON ${table}
    FOR EACH ROW EXECUTE FUNCTION ${table}_count();`;
}

/** Each takes the tables one version further; what has been released is never changed. */
const MIGRATIONS = [
  `CREATE TABLE turnwire_nodes (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    tenant text NOT NULL,
    id text NOT NULL,
    parent bigint REFERENCES turnwire_nodes (seq) CHECK (parent < seq),
    head bigint CHECK (head <= parent),
    whole boolean NOT NULL,
    listed boolean NOT NULL,
    stored_at bigint NOT NULL,
    bytes bigint NOT NULL,
    key text,
    size integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (seq) INCLUDE (size),
    UNIQUE (tenant, id)
  );
  CREATE INDEX turnwire_nodes_by_parent ON turnwire_nodes (parent) WHERE parent IS NOT NULL;
  CREATE INDEX turnwire_nodes_listed ON turnwire_nodes (stored_at) WHERE listed;
  CREATE INDEX turnwire_nodes_unlisted ON turnwire_nodes (seq) WHERE NOT listed;`,
  `CREATE TABLE turnwire_records (
    tenant text NOT NULL,
    kind text NOT NULL,
    id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    node bigint REFERENCES turnwire_nodes (seq),
    expires_at bigint,
    key text,
    value bytea NOT NULL,
    PRIMARY KEY (tenant, kind, id)
  );
  CREATE INDEX turnwire_records_by_node ON turnwire_records (node) WHERE node IS NOT NULL;
  CREATE INDEX turnwire_records_expiring ON turnwire_records (expires_at) WHERE expires_at IS NOT NULL;`,
  "ALTER TABLE turnwire_nodes ADD COLUMN recording bytea",
  // A row of 0 bytes is a tombstone. Leases of before had no place in a transaction with the node, so none is kept.
  `ALTER TABLE turnwire_nodes ADD COLUMN token bigint, ADD COLUMN gone_until bigint;
  DROP INDEX turnwire_nodes_unlisted;
  CREATE INDEX turnwire_nodes_unlisted ON turnwire_nodes (seq) WHERE NOT listed AND bytes > 0;
  CREATE INDEX turnwire_nodes_gone ON turnwire_nodes (gone_until) WHERE bytes = 0;
  DELETE FROM turnwire_records WHERE kind IN ('run', 'run.start', 'run.part', 'claim');
  ALTER TABLE turnwire_records ADD COLUMN about text, ADD COLUMN due_at bigint;
  CREATE INDEX turnwire_records_about ON turnwire_records (tenant, about) WHERE about IS NOT NULL;
  CREATE INDEX turnwire_records_due ON turnwire_records (kind, due_at) WHERE due_at IS NOT NULL;`,
  // What each tenant holds, kept by the database itself, so that no statement can forget it. Several rows for each tenant
  // keep transactions of different connections from waiting for each other.
  `CREATE TABLE turnwire_usage (
    tenant text NOT NULL,
    shard integer NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (tenant, shard)
  );
  INSERT INTO turnwire_usage SELECT tenant, 0, sum(bytes) FROM (
    SELECT tenant, 256 + size::bigint AS bytes FROM turnwire_nodes
    UNION ALL SELECT tenant, 256 + octet_length(value)::bigint FROM turnwire_records
  ) held GROUP BY tenant;
  ${counted("turnwire_nodes", "size", "size")}
  ${counted("turnwire_records", "octet_length", "value")}`,
];

/** Any number, as long as nobody else takes it: servers that start together migrate one after another. */
const LOCK = 0x54_57_4e_57;

/** @throws StoreError when the tables are newer than this code */
export async function migrate(client: ClientBase): Promise<void> {
  await client.query("BEGIN");
  try {
    await client.query("SELECT pg_advisory_xact_lock($1)", [LOCK]);
    await client.query("CREATE TABLE IF NOT EXISTS turnwire_schema (version integer NOT NULL)");
    const { rows } = await client.query<{ version: number }>("SELECT version FROM turnwire_schema");
    const version = rows[0]?.version ?? 0;
    if (version > MIGRATIONS.length) {
      throw new StoreError(
        `store postgres: the tables were made by a newer version (schema ${version}, this one knows ${MIGRATIONS.length})`,
      );
    }
    for (const migration of MIGRATIONS.slice(version)) await client.query(migration);
    if (version < MIGRATIONS.length) {
      await client.query("DELETE FROM turnwire_schema");
      await client.query("INSERT INTO turnwire_schema VALUES ($1)", [MIGRATIONS.length]);
    }
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}
