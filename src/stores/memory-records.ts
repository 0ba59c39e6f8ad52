import { chainBytes, type ResponseNode } from "../core/node.ts";
import type { Admit, ListOptions, NewRecord, RecordName, Records, StoreRecord, Tenant } from "../core/ports.ts";

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
    const key = keyOf(record);
    if ((this.#alive(key)?.record.version ?? 0) !== version) return undefined;
    const { tenant, kind, id, node, expiresAt } = record;
    if (node !== null && this.#options.node(tenant, node) === undefined) {
      throw new Error(`The node ${node} that a record stands on is not stored.`);
    }
    const json = JSON.stringify(record.value);
    this.#version += 1;
    const kept = { tenant, kind, id, node, expiresAt, version: this.#version, value: JSON.parse(json) };
    if (node !== null) this.#stand(nodeKey(tenant, node), 1);
    this.#remove(key);
    this.#entries.set(key, { record: Object.freeze(kept), bytes: OVERHEAD + key.length + json.length });
    this.#bytes += OVERHEAD + key.length + json.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#options.budgetBytes) break;
      this.#remove(oldest);
    }
    return this.#version;
  }

  async delete(name: RecordName): Promise<boolean> {
    const key = keyOf(name);
    return this.#alive(key) !== undefined && this.#remove(key);
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

  clear(): void {
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
    const { tenant, node } = entry.record;
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
