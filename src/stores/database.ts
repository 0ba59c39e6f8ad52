import type { RecordChange, RecordName, Tenant, WhyNotPut } from "../core/ports.ts";

/** What a durable store asks of its database, and the rows that cross it. */

/** A node as it is kept. Everything but `content` is in clear. */
export type NewRow = {
  readonly tenant: Tenant;
  readonly id: string;
  /** Id of the parent; null at the start of a chain, and when the parent was never stored. */
  readonly parent: string | null;
  /** Whether all ancestors are stored, so that the node can be continued. */
  readonly isWhole: boolean;
  /** False for a row that only stands for its descendants: its id is unknown. */
  readonly isListed: boolean;
  /** Whether instructions and tools are left out because they are the parent's. */
  readonly sharesHead: boolean;
  /** Size of the node in memory. */
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly storedAt: number;
  /** Id of the key that `content` is encrypted with. */
  readonly key: string | null;
  readonly content: Uint8Array;
  /** How the response came to be, encrypted with the same key; read only by itself. */
  readonly recording: Uint8Array | null;
  /** Drawn for each put, so that one that is tried again knows its own row. */
  readonly token: number;
};

/** A change of a record, its value encrypted. */
export type RowChange =
  | { readonly write: RecordRow; readonly version: number }
  | Exclude<RecordChange, { readonly write: unknown }>;

/** One put: the row of the node, last, behind rows of its ancestors where those are missing, and what goes in with it. */
export type NewEntry = { readonly rows: readonly NewRow[]; readonly changes: readonly RowChange[] };

/** What became of an entry. All but `stored` have written nothing. */
export type PutOutcome = "stored" | "no_parent" | WhyNotPut;

export type StoredRow = Pick<NewRow, "id" | "bytes" | "key"> & {
  /** Text where that is what the database gives; what is encrypted is bytes. */
  readonly content: Uint8Array | string;
  /** Numbers grow from parent to child. */
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly storedAt: number;
  /** The ancestor that holds instructions and tools for this row; null when the row does. */
  readonly head: number | null;
};

/** A row by itself, and the one that holds its instructions and tools, if that is another. */
export type LoneRow = { readonly row: StoredRow; readonly head: StoredRow | null };

export type RecordingRow = Pick<NewRow, "key" | "recording">;

/** What can be read of a row: its response with the row that has its head, what was recorded with it, or its chain. */
export type Part = "response" | "recording" | "chain";

/** Names one row; it is known only if it is listed and was stored after `after`. */
export type Key = { readonly tenant: Tenant; readonly id: string; readonly after: number };

/** A record as it is kept; everything but `value` is in clear. */
export type RecordRow = RecordName & {
  readonly version: number;
  /** Id of the node that it stands on. */
  readonly node: string | null;
  /** Milliseconds since 1970. */
  readonly expiresAt: number | null;
  /** Id of the key that `value` is encrypted with. */
  readonly key: string | null;
  readonly value: Uint8Array;
  /** Id of the response that it describes. */
  readonly about: string | null;
  /** Milliseconds since 1970. */
  readonly dueAt: number | null;
};

/** What became of a write: it is in, another write came first, or the node is not there. */
export type WriteOutcome = "written" | "outdated" | "no_node";

/** Which records are listed. */
export type RecordRange = Pick<RecordName, "tenant" | "kind"> & {
  /** Ids behind this one, */
  readonly after: string;
  /** that begin so. */
  readonly prefix: string;
  readonly limit: number;
};

/** One step of sweeping: how many rows and bytes of content it removed, and where the next step goes on; null at the end. */
export type SweepStep = { readonly next: number | null; readonly removed: number; readonly freed: number };

/** Bytes of one tenant, and of all. */
export type Usage = { readonly tenant: number; readonly all: number };

export interface Database {
  /**
   * Inserts entries, in order; when it resolves they are as durable as they get. Each goes in as a whole or not at all.
   * A row that is there as a hidden one is listed if the new row is. Never inserts the id of a tombstone.
   */
  insert(entries: readonly NewEntry[], now: number): Promise<readonly PutOutcome[]>;
  has(key: Key): Promise<boolean>;
  one(key: Key): Promise<LoneRow | undefined>;
  recording(key: Key): Promise<RecordingRow | undefined>;
  /**
   * How many bytes reading that part of the row would take, about, without reading it; undefined when it is unknown, and
   * for the chain of a row that is not whole.
   */
  weigh(key: Key | Omit<Key, "after">, part: Part): Promise<number | undefined>;
  /**
   * The chain that ends in the row, root first, in one round trip; empty when it is unknown or not whole.
   * @param key without `after` the row need not be listed
   */
  chain(key: Key | Omit<Key, "after">): Promise<readonly StoredRow[]>;
  /**
   * Deletes a row with every hidden ancestor that nothing else needs, and the records that are about it; a row that is
   * needed is hidden, without its recording. Leaves a tombstone until `goneUntil`. False when there was nothing.
   */
  remove(key: Key, goneUntil: number): Promise<boolean>;
  /** Hides the oldest listed rows, stored at `before` or earlier, and removes records about them; resolves with how many. */
  expire(before: number, limit: number): Promise<number>;
  /** Looks at the next `window` hidden rows, newest first, and removes those that no listed row or record stands on. */
  collect(below: number, window: number, now: number): Promise<SweepStep>;
  /** Looks at the next `window` rows, oldest first, and removes ends of chains until `bytes` are free. */
  evict(above: number, window: number, bytes: number, now: number): Promise<SweepStep>;
  /** Removes tombstones that are over at `now`; resolves with how many. */
  expireTombstones(now: number, limit: number): Promise<number>;
  /** A record that has not expired at `now`. */
  readRecord(name: RecordName, now: number): Promise<RecordRow | undefined>;
  /** Makes all changes, or none. A version of 0 stands for no record, or one that has expired. */
  changeRecords(changes: readonly RowChange[], now: number): Promise<WriteOutcome>;
  /** Deletes a record, and hidden rows that only it needed. */
  deleteRecord(name: RecordName, now: number): Promise<boolean>;
  listRecords(range: RecordRange, now: number): Promise<readonly RecordRow[]>;
  /** Records of one kind, of all tenants, that are due at `now`. */
  dueRecords(kind: string, now: number, limit: number): Promise<readonly RecordRow[]>;
  /** Removes records that have expired; resolves with how many. */
  expireRecords(now: number, limit: number): Promise<number>;
  /** Bytes that the tenant's rows hold, and those of all tenants; about. */
  usage(tenant: Tenant): Promise<Usage>;
  /** Bytes that all rows use, about. */
  size(): Promise<number>;
  close(): Promise<void>;
}

/** How many rows of one chain a step of sweeping removes at most. */
export const STUMP_LENGTH = 64;
/** How many rows a step of sweeping removes at most. */
export const STEP_ROWS = 128;
/** How long the id of a deleted response cannot be put again: far longer than any server can take over a put. */
export const TOMBSTONE_MS = 30 * 24 * 60 * 60 * 1000;
