import { chainBytes, measure, type ResponseNode } from "../core/node.ts";
import type { Admit, JsonValue, PutOptions, Store, StoredResponse, Tenant } from "../core/ports.ts";
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

  constructor({ budgetBytes, now = Date.now }: MemoryStoreOptions) {
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

  async put(node: ResponseNode, { listed = true, recording }: PutOptions = {}): Promise<void> {
    if (listed) this.#unlisted.delete(node);
    else this.#unlisted.add(node);
    if (node.parent === null || this.#whole.has(node.parent)) {
      this.#whole.add(node);
      this.#add(node, recording);
    } else {
      // Its chain can never be loaded, so only the node itself is worth its bytes.
      this.#add(Object.freeze({ ...node, parent: null }), recording);
    }
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
    const node = this.#listed(tenant, id);
    if (node === undefined) return false;
    if (!this.records.holds(tenant, id)) return this.#nodes.delete(keyOf(tenant, id));
    this.#unlisted.add(node);
    return true;
  }

  async close(): Promise<void> {
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
