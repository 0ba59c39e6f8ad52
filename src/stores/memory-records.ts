import { chainBytes, type ResponseNode } from "../core/node.ts";
import type {
  Admit,
  ListOptions,
  NewRecord,
  RecordChange,
  RecordName,
  Records,
  StoreRecord,
  Tenant,
} from "../core/ports.ts";

export type MemoryRecordsOptions = {
  /** Bytes of names and values that are kept, of all tenants together. */
  readonly budgetBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** A node that is still there, whether or not its id is known. */
  readonly node: (tenant: Tenant, id: string) => ResponseNode | undefined;
  /** Told of a node that a record no longer stands on. */
  readonly released: (tenant: Tenant, id: string) => void;
};

type Entry = { readonly record: StoreRecord; readonly bytes: number };

const OVERHEAD = 256;

/** Records in memory, those that were used last within a budget of bytes. One whose node was let go is gone as well. */
export class MemoryRecords implements Records {
  readonly #options: MemoryRecordsOptions;
  /** The least recently used ones first. */
  readonly #entries = new Map<string, Entry>();
  /** How many records stand on each node. */
  readonly #standing = new Map<string, number>();
  /** Names of records by the response that they are about. */
  readonly #about = new Map<string, Set<string>>();
  #bytes = 0;
  #version = 0;

  constructor(options: MemoryRecordsOptions) {
    this.#options = options;
  }

  /** Bytes of names and values. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The same, of one tenant. */
  bytesOf(tenant: Tenant): number {
    let bytes = 0;
    for (const entry of this.#entries.values()) if (entry.record.tenant === tenant) bytes += entry.bytes;
    return bytes;
  }

  /** Whether any record stands on the node. */
  holds(tenant: Tenant, id: string): boolean {
    return this.#standing.has(nodeKey(tenant, id));
  }

  async get(name: RecordName): Promise<StoreRecord | undefined> {
    const key = keyOf(name);
    const entry = this.#alive(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.record;
  }

  async write(record: NewRecord, version: number): Promise<number | undefined> {
    return this.applyNow([{ write: record, version }])?.[0];
  }

  async apply(changes: readonly RecordChange[]): Promise<readonly number[] | undefined> {
    return this.applyNow(changes);
  }

  /** Whether all changes could be made now. @param coming id of a node that is put with them */
  fits(changes: readonly RecordChange[], coming?: string): boolean {
    for (const change of changes) {
      if ("removeAbout" in change) continue;
      const name = "write" in change ? change.write : change.remove;
      if ((this.#alive(keyOf(name))?.record.version ?? 0) !== change.version) return false;
      if (!("write" in change)) continue;
      const { tenant, node } = change.write;
      if (node !== null && node !== coming && this.#options.node(tenant, node) === undefined) {
        throw new Error(`The node ${node} that a record stands on is not stored.`);
      }
    }
    return true;
  }

  /** All changes or none; undefined when a record has changed since it was read. */
  applyNow(changes: readonly RecordChange[]): readonly number[] | undefined {
    if (!this.fits(changes)) return undefined;
    return changes.flatMap((change) => {
      if ("write" in change) return this.#write(change.write);
      if ("remove" in change) this.#remove(keyOf(change.remove));
      else this.removeAbout(change.tenant, change.removeAbout, change.kinds);
      return [];
    });
  }

  /** Removes what is about a response. @param kinds all, if left out @returns how many */
  removeAbout(tenant: Tenant, id: string, kinds?: readonly string[]): number {
    const keys = [...(this.#about.get(nodeKey(tenant, id)) ?? [])].filter((key) => {
      const kind = this.#entries.get(key)?.record.kind;
      return kind !== undefined && (kinds === undefined || kinds.includes(kind));
    });
    for (const key of keys) this.#remove(key);
    return keys.length;
  }

  async delete(name: RecordName): Promise<boolean> {
    const key = keyOf(name);
    return this.#alive(key) !== undefined && this.#remove(key);
  }

  async due(kind: string, now: number, limit: number): Promise<readonly StoreRecord[]> {
    const found = [...this.#entries].flatMap(([key, { record }]) =>
      record.kind === kind && record.dueAt !== null && record.dueAt <= now && this.#alive(key) !== undefined
        ? { ...record, dueAt: record.dueAt }
        : [],
    );
    return found.toSorted((a, b) => a.dueAt - b.dueAt).slice(0, limit);
  }

  async list(tenant: Tenant, kind: string, options: ListOptions): Promise<readonly StoreRecord[]> {
    const { after = "", prefix = "", limit } = options;
    const found: StoreRecord[] = [];
    for (const [key, { record }] of this.#entries) {
      const fits = record.tenant === tenant && record.kind === kind && record.id.startsWith(prefix);
      if (fits && compare(record.id, after) > 0 && this.#alive(key) !== undefined) found.push(record);
    }
    return found.toSorted((a, b) => compare(a.id, b.id)).slice(0, limit);
  }

  async chain(
    { tenant, node }: Pick<StoreRecord, "tenant" | "node">,
    admit?: Admit,
  ): Promise<ResponseNode | undefined> {
    const found = node === null ? undefined : this.#options.node(tenant, node);
    if (found !== undefined) admit?.(chainBytes(found));
    return found;
  }

  #write(record: NewRecord): number {
    const key = keyOf(record);
    const { tenant, kind, id, node, expiresAt, about = null, dueAt = null } = record;
    const json = JSON.stringify(record.value);
    this.#version += 1;
    const version = this.#version;
    const kept = { tenant, kind, id, node, expiresAt, about, dueAt, version, value: JSON.parse(json) };
    if (node !== null) this.#stand(nodeKey(tenant, node), 1);
    this.#remove(key);
    this.#entries.set(key, { record: Object.freeze(kept), bytes: OVERHEAD + key.length + json.length });
    this.#bytes += OVERHEAD + key.length + json.length;
    if (about !== null) {
      const keys = this.#about.get(nodeKey(tenant, about)) ?? new Set();
      this.#about.set(nodeKey(tenant, about), keys.add(key));
    }
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#options.budgetBytes) break;
      // A lease that is let go would fail the turn that holds it; there are never more than turns.
      if (entry.record.dueAt === null) this.#remove(oldest);
    }
    return version;
  }

  clear(): void {
    this.#about.clear();
    this.#entries.clear();
    this.#standing.clear();
    this.#bytes = 0;
  }

  #alive(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const { expiresAt, node, tenant } = entry.record;
    const isOver = expiresAt !== null && expiresAt <= this.#options.now();
    if (!isOver && (node === null || this.#options.node(tenant, node) !== undefined)) return entry;
    this.#remove(key);
    return undefined;
  }

  #remove(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
    const { tenant, node, about } = entry.record;
    if (about !== null) {
      const keys = this.#about.get(nodeKey(tenant, about));
      keys?.delete(key);
      if (keys?.size === 0) this.#about.delete(nodeKey(tenant, about));
    }
    if (node !== null && this.#stand(nodeKey(tenant, node), -1) === 0) this.#options.released(tenant, node);
    return true;
  }

  #stand(key: string, change: number): number {
    const count = (this.#standing.get(key) ?? 0) + change;
    if (count === 0) this.#standing.delete(key);
    else this.#standing.set(key, count);
    return count;
  }
}

function keyOf({ tenant, kind, id }: RecordName): string {
  return JSON.stringify([tenant, kind, id]);
}

function nodeKey(tenant: Tenant, id: string): string {
  return JSON.stringify([tenant, id]);
}

/** By UTF-8 bytes, as databases order; that of UTF-16 units is another one. */
function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
