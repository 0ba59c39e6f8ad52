import { chainBytes, measure, type ResponseNode } from "../core/node.ts";
import {
  type Admit,
  type JsonValue,
  type PutOptions,
  type Store,
  type StoredResponse,
  type Tenant,
  NotPut,
} from "../core/ports.ts";
import { Retention } from "../core/retention.ts";
import type { Usage } from "./database.ts";
import { keyOf } from "./key.ts";
import { MemoryRecords } from "./memory-records.ts";

export type MemoryStoreOptions = {
  /** Bytes of nodes that are kept, of all tenants together. */
  readonly budgetBytes: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
};

/** How long a deleted id cannot be put again, and how many of them are remembered: no turn lasts as long as either. */
const TOMBSTONE_MS = 30 * 24 * 60 * 60 * 1000;
const TOMBSTONES = 100_000;
/** The part of the budget that records may use besides it. */
const RECORDS_SHARE = 1 / 8;

/**
 * Keeps nodes in the memory of the process: the least recently used ends of chains go when the budget runs out, and all
 * of them when the process ends. A node that it has let go is as unknown as one that it never had.
 */
export class MemoryStore implements Store {
  readonly records: MemoryRecords;
  readonly #nodes: Retention;
  /**
   * Nodes that were put, with all of their ancestors before them. A node holds its parent whether that was stored or
   * not, so without this a `store: false` ancestor would be served from here.
   */
  readonly #whole = new WeakSet<ResponseNode>();

  /** Nodes that are there and that no id leads to. */
  readonly #unlisted = new WeakSet<ResponseNode>();

  readonly #recordings = new WeakMap<ResponseNode, JsonValue>();

  /** Ids that were deleted, and until when they cannot be put again; the oldest first. */
  readonly #gone = new Map<string, number>();
  readonly #now: () => number;

  constructor({ budgetBytes, now = Date.now }: MemoryStoreOptions) {
    this.#now = now;
    this.#nodes = new Retention(budgetBytes, (node) => keyOf(node.tenant, node.id));
    this.records = new MemoryRecords({
      budgetBytes: budgetBytes * RECORDS_SHARE,
      now,
      node: (tenant, id) => this.#wholeNode(tenant, id),
      released: (tenant, id) => {
        const node = this.#nodes.get(keyOf(tenant, id));
        if (node !== undefined && this.#unlisted.has(node)) this.#nodes.delete(keyOf(tenant, id));
      },
    });
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#nodes.bytes;
  }

  async usage(tenant: Tenant): Promise<Usage> {
    const { bytes } = this.#nodes;
    return {
      tenant: this.#nodes.bytesOf(tenant) + this.records.bytesOf(tenant),
      all: bytes + this.records.bytes,
    };
  }

  async put(node: ResponseNode, { listed = true, recording, changes = [] }: PutOptions = {}): Promise<void> {
    const key = keyOf(node.tenant, node.id);
    if (this.#isGone(key)) throw new NotPut("deleted");
    if (this.#listed(node.tenant, node.id) !== undefined) throw new NotPut("exists");
    if (!this.records.fits(changes, node.id)) throw new NotPut("outdated");
    if (listed) this.#unlisted.delete(node);
    else this.#unlisted.add(node);
    if (node.parent === null || this.#keepsChain(node.parent)) {
      this.#whole.add(node);
      this.#add(node, recording);
    } else {
      // Its chain can never be loaded, so only the node itself is worth its bytes.
      this.#add(Object.freeze({ ...node, parent: null }), recording);
    }
    this.records.applyNow(changes);
  }

  async get(tenant: Tenant, id: string, admit?: Admit): Promise<StoredResponse | undefined> {
    const node = this.#listed(tenant, id);
    if (node !== undefined) admit?.(node.bytes);
    return node === undefined ? undefined : { input: node.input, response: node.response };
  }

  /** Kept anyway, so reading it takes no memory of its own. */
  async recording(tenant: Tenant, id: string): Promise<JsonValue | undefined> {
    const node = this.#listed(tenant, id);
    return node && (this.#recordings.get(node) ?? null);
  }

  async load(tenant: Tenant, id: string, admit?: Admit): Promise<ResponseNode | undefined> {
    const node = this.#listed(tenant, id);
    if (node === undefined || !this.#whole.has(node)) return undefined;
    admit?.(chainBytes(node));
    return node;
  }

  async delete(tenant: Tenant, id: string): Promise<boolean> {
    const about = this.records.removeAbout(tenant, id);
    const node = this.#listed(tenant, id);
    if (node === undefined && about === 0) return false;
    const key = keyOf(tenant, id);
    this.#bury(key);
    if (node === undefined) return true;
    this.#recordings.delete(node);
    if (this.records.holds(tenant, id)) this.#unlisted.add(node);
    else this.#nodes.delete(key);
    return true;
  }

  /** Whether the node and all before it are to be found here, or may be again: nothing of it was deleted for good. */
  #keepsChain(tip: ResponseNode): boolean {
    if (!this.#whole.has(tip)) return false;
    for (let node: ResponseNode | null = tip; node !== null; node = node.parent) {
      const key = keyOf(node.tenant, node.id);
      if (this.#nodes.has(key)) return true;
      if (this.#isGone(key)) return false;
    }
    return true;
  }

  #bury(key: string): void {
    this.#gone.set(key, this.#now() + TOMBSTONE_MS);
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > TOMBSTONES && oldest !== undefined) this.#gone.delete(oldest);
  }

  #isGone(key: string): boolean {
    return (this.#gone.get(key) ?? 0) > this.#now();
  }

  async close(): Promise<void> {
    this.#gone.clear();
    this.records.clear();
    this.#nodes.clear();
  }

  #add(node: ResponseNode, recording: JsonValue | undefined): void {
    if (recording !== undefined) this.#recordings.set(node, recording);
    this.#nodes.add(node, recording === undefined ? 0 : measure(recording));
  }

  #listed(tenant: Tenant, id: string): ResponseNode | undefined {
    const node = this.#nodes.get(keyOf(tenant, id));
    return node === undefined || this.#unlisted.has(node) ? undefined : node;
  }

  #wholeNode(tenant: Tenant, id: string): ResponseNode | undefined {
    const node = this.#nodes.get(keyOf(tenant, id));
    return node !== undefined && this.#whole.has(node) ? node : undefined;
  }
}
