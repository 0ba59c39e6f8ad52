import type { Pool, PoolClient } from "pg";
import type { NewEntry, NewRow, PutOutcome, RowChange, WriteOutcome } from "./database.ts";
import { retrying, transaction, transactionUnless, withClient } from "./postgres-client.ts";
import * as records from "./postgres-records.ts";
import * as sql from "./postgres-sql.ts";

/** How entries get into PostgreSQL. */

export async function insertEntries(
  pool: Pool,
  entries: readonly NewEntry[],
  now: number,
): Promise<readonly PutOutcome[]> {
  const outcomes: PutOutcome[] = [];
  for (const group of groupsOf(entries)) {
    const [first] = group;
    if (first === undefined) continue;
    // Entries are tried again: each knows its own row.
    const work = isSimple(first)
      ? () =>
          insertRows(
            pool,
            group.flatMap(({ rows }) => rows),
          )
      : async () => [await withClient(pool, (client) => enter(client, first, now))];
    outcomes.push(...(await retrying<readonly PutOutcome[]>(work)));
  }
  return outcomes;
}

function isSimple({ rows, changes }: NewEntry): boolean {
  return rows.length === 1 && changes.length === 0;
}

/** Entries in order: single rows that follow each other together, and each other entry by itself. */
function groupsOf(entries: readonly NewEntry[]): readonly (readonly NewEntry[])[] {
  const groups: NewEntry[][] = [];
  let isOpen = false;
  for (const entry of entries) {
    const isFree = isSimple(entry);
    if (isFree && isOpen) groups.at(-1)?.push(entry);
    else groups.push([entry]);
    isOpen = isFree;
  }
  return groups;
}

/** Inserts rows, each for itself, in one transaction. */
async function insertRows(pool: Pool, rows: readonly NewRow[]): Promise<readonly PutOutcome[]> {
  const waves = wavesOf(rows);
  const inserted =
    waves.length === 1
      ? await insertWave(pool, rows)
      : await withClient(pool, (client) =>
          transaction(client, async () => {
            const all: Inserted[] = [];
            for (const wave of waves) all.push(...(await insertWave(client, wave)));
            return all;
          }),
        );
  return inserted.map((outcome) => (outcome === "again" ? "stored" : outcome));
}

/**
 * Puts one entry in, with all of its changes, or nothing of it. What it removes comes first, as in a deletion: both wait
 * for each other at the lease then, and the second one sees what the first has done.
 */
function enter(client: PoolClient, { rows, changes }: NewEntry, now: number): Promise<PutOutcome> {
  const removals = changes.filter((change) => !("write" in change));
  const writes = changes.filter((change) => "write" in change);
  return transactionUnless<PutOutcome>(client, "stored", async () => {
    if ((await changeAll(client, removals, now)) !== "written") return outdated(client, rows.at(-1));
    const inserted: Inserted[] = [];
    for (const wave of wavesOf(rows)) inserted.push(...(await insertWave(client, wave)));
    const last = inserted.at(-1);
    // An ancestor that was deleted does not come back as one.
    if (inserted.slice(0, -1).some((outcome) => outcome === "deleted" || outcome === "no_parent")) return "no_parent";
    if (last === undefined || last === "again") return "stored";
    if (last !== "stored") return last;
    const outcome = await changeAll(client, writes, now);
    if (outcome === "no_node") throw new Error("A node that a record is to stand on is not stored.");
    return outcome === "written" ? "stored" : outcome;
  });
}

/** What became of an entry whose lease is gone: it may be this very entry that has removed it. */
async function outdated(client: PoolClient, row: NewRow | undefined): Promise<PutOutcome> {
  const found = row && (await whatIsThere(client, row));
  if (found === undefined) return "outdated";
  if (found.bytes === 0) return "deleted";
  return found.token === row?.token ? "stored" : "exists";
}

export async function changeAll(client: PoolClient, changes: readonly RowChange[], now: number): Promise<WriteOutcome> {
  for (const change of changes) {
    const outcome = await changeRecord(client, change, now);
    if (outcome !== "written") return outcome;
  }
  return "written";
}

export async function changeRecord(on: Pool | PoolClient, change: RowChange, now: number): Promise<WriteOutcome> {
  if ("removeAbout" in change) {
    await on.query(records.REMOVE_KINDS, [change.tenant, change.removeAbout, change.kinds]);
    return "written";
  }
  if ("remove" in change) {
    const { tenant, kind, id } = change.remove;
    const { rowCount } = await on.query(records.REMOVE, [tenant, kind, id, change.version, now]);
    return rowCount === 0 ? "outdated" : "written";
  }
  const { tenant, kind, id, version, node, expiresAt, key, value, about, dueAt } = change.write;
  const values = [tenant, kind, id, version, node, expiresAt, key, value, about, dueAt, now];
  const { rows } = await on.query<{ hasNode: boolean; written: number }>(
    change.version === 0 ? records.CREATE : records.REPLACE,
    change.version === 0 ? values : [...values, change.version],
  );
  const [outcome] = rows;
  if (outcome?.hasNode !== true) return "no_node";
  return outcome.written === 0 ? "outdated" : "written";
}

/** `again` where this very put has inserted the row before. */
type Inserted = PutOutcome | "again";

async function insertWave(on: Pool | PoolClient, rows: readonly NewRow[]): Promise<readonly Inserted[]> {
  let start = 1;
  const starts = rows.map(({ content, recording }) => {
    const here = start;
    start += content.byteLength + (recording?.byteLength ?? 0);
    return here;
  });
  const result = await on.query<{ position: number; noParent: boolean }>(sql.INSERT, [
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
    rows.map((row) => row.token),
  ]);
  const outcomes = rows.map((): Inserted => "stored");
  for (const { position, noParent } of result.rows) {
    // Positions count from 1.
    const row = rows[position - 1];
    if (row !== undefined) outcomes[position - 1] = noParent ? "no_parent" : await conflictOf(on, row);
  }
  return outcomes;
}

/** Why a row was not inserted, by what is there in its place. */
async function conflictOf(on: Pool | PoolClient, row: NewRow): Promise<Inserted> {
  const found = await whatIsThere(on, row);
  // What was in the way has been removed since, which only a deletion or its end does.
  if (found === undefined || found.bytes === 0) return "deleted";
  if (found.token === row.token) return "again";
  // A row that is only context may be there already.
  if (!row.isListed) return "stored";
  return found.goneUntil === null ? "exists" : "deleted";
}

type Found = { readonly token: number | null; readonly bytes: number; readonly goneUntil: number | null };

async function whatIsThere(on: Pool | PoolClient, { tenant, id }: NewRow): Promise<Found | undefined> {
  return (await on.query<Found>(sql.CONFLICT, [tenant, id])).rows[0];
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
