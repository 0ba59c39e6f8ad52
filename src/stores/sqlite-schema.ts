import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makeFolder } from "./make-folder.ts";
import { StoreError } from "./store-error.ts";

/** Opening the file of the embedded store, and bringing its tables up to date. */

export type SqliteOptions = {
  /** `normal` survives the end of the process, `full` also the end of power; it waits for the disk at each commit. */
  readonly synchronous: "normal" | "full";
};

/** Marks the file as one of ours: "TWNW". */
const APPLICATION_ID = 0x54_57_4e_57;
/** How long another process, such as a backup, may hold the file. */
const BUSY_MS = 10_000;
/** What the write-ahead log may keep of the disk after something large has gone through it. */
const LOG_BYTES = 64 * 1024 * 1024;

/** Triggers that count the rows of a table to their tenants. */
function counted(table: string, contents: readonly string[]): string {
  const bytes = (row: string): string =>
    [`256`, ...contents.map((content) => `coalesce(length(${row}.${content}), 0)`)].join(" + ");
  return `
  CREATE TRIGGER ${table}_added AFTER INSERT ON ${table} BEGIN
    INSERT INTO usage VALUES (new.tenant, ${bytes("new")})
    ON CONFLICT (tenant) DO UPDATE SET bytes = bytes + excluded.bytes;
  END;
  CREATE TRIGGER ${table}_changed AFTER UPDATE OF ${contents.join(", ")} ON ${table} BEGIN
    UPDATE usage SET bytes = bytes + (${bytes("new")}) - (${bytes("old")}) WHERE tenant = new.tenant;
  END;
  CREATE TRIGGER ${table}_removed AFTER DELETE ON ${table} BEGIN
    UPDATE usage SET bytes = bytes - (${bytes("old")}) WHERE tenant = old.tenant;
  END;`;
}

/** Each takes the tables one version further; what has been released is never changed. */
const MIGRATIONS = [
  `CREATE TABLE nodes (
    seq INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    parent INTEGER REFERENCES nodes (seq) CHECK (parent < seq),
    head INTEGER CHECK (head <= parent),
    whole INTEGER NOT NULL,
    listed INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    key TEXT,
    content BLOB NOT NULL,
    UNIQUE (tenant, id)
  ) STRICT;
  CREATE INDEX nodes_by_parent ON nodes (parent) WHERE parent IS NOT NULL;
  CREATE INDEX nodes_listed ON nodes (stored_at) WHERE listed = 1;
  CREATE INDEX nodes_unlisted ON nodes (seq) WHERE listed = 0;`,
  `CREATE TABLE records (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    node INTEGER REFERENCES nodes (seq),
    expires_at INTEGER,
    key TEXT,
    value BLOB NOT NULL,
    UNIQUE (tenant, kind, id)
  ) STRICT;
  CREATE INDEX records_by_node ON records (node) WHERE node IS NOT NULL;
  CREATE INDEX records_expiring ON records (expires_at) WHERE expires_at IS NOT NULL;`,
  // Behind the content, so that reading that touches no page of it.
  "ALTER TABLE nodes ADD COLUMN recording BLOB",
  // A row of 0 bytes is a tombstone. Leases of before had no place in a transaction with the node, so none is kept.
  `ALTER TABLE nodes ADD COLUMN token INTEGER;
  ALTER TABLE nodes ADD COLUMN gone_until INTEGER;
  DROP INDEX nodes_unlisted;
  CREATE INDEX nodes_unlisted ON nodes (seq) WHERE listed = 0 AND bytes > 0;
  CREATE INDEX nodes_gone ON nodes (gone_until) WHERE bytes = 0;
  DELETE FROM records WHERE kind IN ('run', 'run.start', 'run.part', 'claim');
  ALTER TABLE records ADD COLUMN about TEXT;
  ALTER TABLE records ADD COLUMN due_at INTEGER;
  CREATE INDEX records_about ON records (tenant, about) WHERE about IS NOT NULL;
  CREATE INDEX records_due ON records (kind, due_at) WHERE due_at IS NOT NULL;`,
  // What each tenant holds, kept by the database itself, so that no statement can forget it.
  `CREATE TABLE usage (tenant TEXT PRIMARY KEY, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO usage SELECT tenant, sum(bytes) FROM (
    SELECT tenant, 256 + length(content) + coalesce(length(recording), 0) AS bytes FROM nodes
    UNION ALL SELECT tenant, 256 + length(value) FROM records
  ) GROUP BY tenant;
  ${counted("nodes", ["content", "recording"])}
  ${counted("records", ["value"])}`,
];

/** @throws StoreError when the file cannot be opened or is not ours */
export function openSqlite(path: string, { synchronous }: SqliteOptions): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    createPrivately(path);
    database = new DatabaseSync(path);
    database.exec(`
      PRAGMA busy_timeout = ${BUSY_MS};
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${synchronous};
      PRAGMA foreign_keys = ON;
      PRAGMA secure_delete = ON;
      PRAGMA journal_size_limit = ${LOG_BYTES};
    `);
    migrate(database, path);
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof StoreError) throw error;
    throw new StoreError(`store sqlite: ${path} cannot be opened: ${(error as Error).message}`, { cause: error });
  }
}

/** Conversations are nobody's business but the server's. The files that SQLite puts beside it get the same rights. */
function createPrivately(path: string): void {
  makeFolder(dirname(path));
  closeSync(openSync(path, "a", 0o600));
}

function migrate(database: DatabaseSync, path: string): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = pragma(database, "user_version");
    const isEmpty = database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()?.["count"] === 0;
    if (!isEmpty && pragma(database, "application_id") !== APPLICATION_ID) {
      throw new StoreError(`store sqlite: ${path} is a database of something else`);
    }
    if (version > MIGRATIONS.length) {
      throw new StoreError(
        `store sqlite: ${path} was written by a newer version (schema ${version}, this one knows ${MIGRATIONS.length})`,
      );
    }
    for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${MIGRATIONS.length}`);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

function pragma(database: DatabaseSync, name: "user_version" | "application_id"): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}
