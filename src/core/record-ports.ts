import type { ResponseNode, Tenant } from "./node.ts";

/** Records: small values of a store that change, beside the nodes. */

/** Called with the size in memory of what a store is about to load, before it loads any of it. What it throws ends the call. */
export type Admit = (bytes: number) => void;

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [field: string]: JsonValue | undefined };

export type RecordName = {
  readonly tenant: Tenant;
  /** What sort of thing it is; ids of different kinds have nothing to do with each other. */
  readonly kind: string;
  readonly id: string;
};

export type NewRecord = RecordName & {
  readonly value: JsonValue;
  /** Id of the stored node of the same tenant that it stands on: that chain is kept as long as the record refers to it. */
  readonly node: string | null;
  /** When it is gone by itself, in milliseconds since 1970; null for never. */
  readonly expiresAt: number | null;
  /** Id of the response that it describes: deleting that, or the end of its time, removes the record. */
  readonly about?: string | null;
  /** When `due` finds it, in milliseconds since 1970; null for never. */
  readonly dueAt?: number | null;
};

export type StoreRecord = Required<NewRecord> & {
  /** Another one after each write; never one that this name has had before. */
  readonly version: number;
};

/** One change of a transaction. Each `version` is the one that was read; 0 stands for a record that must not be there yet. */
export type RecordChange =
  | { readonly write: NewRecord; readonly version: number }
  | { readonly remove: RecordName; readonly version: number }
  /** Removes all records of these kinds that are about the response. */
  | { readonly removeAbout: string; readonly tenant: Tenant; readonly kinds: readonly string[] };

export type ListOptions = {
  /** Only ids that begin so. */
  readonly prefix?: string;
  /** Only ids behind this one. */
  readonly after?: string;
  readonly limit: number;
};

/** Small values that change, beside the nodes, which never do: conversations, runs, claims, keys. */
export interface Records {
  get(name: RecordName): Promise<StoreRecord | undefined>;
  /**
   * Writes a record if nobody else has since the caller read it.
   * @param version the one that was read; 0 for a record that must not be there yet
   * @returns the version that it has now, as durable as a put; undefined when another came first
   * @throws Error when the node that it stands on is not stored
   */
  write(record: NewRecord, version: number): Promise<number | undefined>;
  /** Makes all changes or none; undefined when a record is not at the version that was read. Versions of writes, in order. */
  apply(changes: readonly RecordChange[]): Promise<readonly number[] | undefined>;
  /** False when there was none. */
  delete(name: RecordName): Promise<boolean>;
  /** Records of one kind and of all tenants that are due at `now`, those that have waited longest first. */
  due(kind: string, now: number, limit: number): Promise<readonly StoreRecord[]>;
  /** Records of one kind, by id in the order of their UTF-8 bytes. */
  list(tenant: Tenant, kind: string, options: ListOptions): Promise<readonly StoreRecord[]>;
  /** The chain that the record stands on, also when the response's own id is known no more; undefined when there is none. */
  chain(record: Pick<StoreRecord, "tenant" | "node">, admit?: Admit): Promise<ResponseNode | undefined>;
}
