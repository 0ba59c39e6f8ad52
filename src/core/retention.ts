import type { ResponseNode, Tenant } from "./node.ts";

type Entry = {
  readonly node: ResponseNode;
  /** False when the id no longer resolves and the node only stands for its descendants. */
  listed: boolean;
  children: number;
  /** Of the node and what is kept beside it. */
  readonly bytes: number;
};

/**
 * Nodes by id within a budget of bytes. A node stays while a descendant does, so what is let go when the budget runs out
 * is always the end of a chain, the least recently used one first; a chain in use never loses its beginning.
 */
export class Retention {
  readonly #budget: number;
  readonly #entries = new Map<string, Entry>();
  readonly #keyOf: (node: ResponseNode) => string;
  /** The ends of chains, least recently used first. */
  readonly #leaves = new Queue();
  /** What is left of chains that have begun to be let go; these go before anything else. */
  readonly #stumps = new Queue();
  readonly #evicted: (node: ResponseNode) => void;
  /** Bytes held for each tenant. */
  readonly #ofTenant = new Map<Tenant, number>();
  #bytes = 0;

  /**
   * @param keyOf what names a node here, when its id alone does not
   * @param evicted called for each node whose id does not resolve any more because there was no room for it
   */
  constructor(
    budget: number,
    keyOf: (node: ResponseNode) => string = (node) => node.id,
    evicted: (node: ResponseNode) => void = () => undefined,
  ) {
    this.#budget = budget;
    this.#keyOf = keyOf;
    this.#evicted = evicted;
  }

  /** Bytes held, ancestors that only descendants keep included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The same, of one tenant. */
  bytesOf(tenant: Tenant): number {
    return this.#ofTenant.get(tenant) ?? 0;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Whether the node is held, by its id or for its descendants. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** The node, now the most recently used. */
  get(key: string): ResponseNode | undefined {
    const entry = this.#entries.get(key);
    if (!entry?.listed) return undefined;
    if (this.#leaves.delete(key) || this.#stumps.delete(key)) this.#leaves.add(key);
    return entry.node;
  }

  /**
   * Keeps the node, and lets go of others until the budget holds; of this one too, when nothing else is left to give.
   * @param beside bytes of what is kept beside the node for as long as it is
   */
  add(node: ResponseNode, beside = 0): void {
    const known = this.#entries.get(this.#keyOf(node));
    if (known !== undefined) {
      known.listed = true;
      return;
    }
    this.#insert(node, beside);
    while (this.#bytes > this.#budget && this.evict());
  }

  /** Evicts the least recently used end of a chain; false when there is none. */
  evict(): boolean {
    const oldest = this.#stumps.shift() ?? this.#leaves.shift();
    const entry = oldest === undefined ? undefined : this.#entries.get(oldest);
    if (oldest === undefined || entry === undefined) return false;
    this.#release(oldest);
    this.#evicted(entry.node);
    return true;
  }

  /** Makes the node unknown. Descendants keep working; the bytes go when the last of them does. */
  delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (!entry?.listed) return false;
    entry.listed = false;
    if (entry.children === 0) this.#release(key);
    return true;
  }

  clear(): void {
    this.#entries.clear();
    this.#leaves.clear();
    this.#stumps.clear();
    this.#ofTenant.clear();
    this.#bytes = 0;
  }

  #count(tenant: Tenant, bytes: number): void {
    this.#bytes += bytes;
    const left = this.bytesOf(tenant) + bytes;
    if (left === 0) this.#ofTenant.delete(tenant);
    else this.#ofTenant.set(tenant, left);
  }

  #insert(node: ResponseNode, beside: number): void {
    // An ancestor may be missing here (let go, or made elsewhere) while the new node still holds it in memory: count it.
    const lineage: Omit<Entry, "children">[] = [{ node, listed: true, bytes: node.bytes + beside }];
    let parent = node.parent;
    while (parent !== null && !this.#entries.has(this.#keyOf(parent))) {
      lineage.push({ node: parent, listed: false, bytes: parent.bytes });
      parent = parent.parent;
    }
    for (const fresh of lineage.toReversed()) {
      if (fresh.node.parent !== null) {
        const parentKey = this.#keyOf(fresh.node.parent);
        const above = this.#entries.get(parentKey);
        if (above !== undefined) above.children += 1;
        this.#leaves.delete(parentKey);
        this.#stumps.delete(parentKey);
      }
      this.#entries.set(this.#keyOf(fresh.node), { ...fresh, children: 0 });
      this.#count(fresh.node.tenant, fresh.bytes);
    }
    this.#leaves.add(this.#keyOf(node));
  }

  /** Lets a leaf go, and every ancestor that nothing else needs. */
  #release(key: string): void {
    let next = key;
    for (;;) {
      const entry = this.#entries.get(next);
      if (entry === undefined) return;
      this.#entries.delete(next);
      this.#leaves.delete(next);
      this.#stumps.delete(next);
      this.#count(entry.node.tenant, -entry.bytes);
      if (entry.node.parent === null) return;
      next = this.#keyOf(entry.node.parent);
      const above = this.#entries.get(next);
      if (above === undefined) return;
      above.children -= 1;
      if (above.children > 0) return;
      if (above.listed) {
        this.#stumps.add(next);
        return;
      }
    }
  }
}

/** Keys in the order in which they came. */
class Queue {
  readonly #keys = new Set<string>();
  // A set remembers where deleted keys were until it is rebuilt, and a fresh iterator steps over each of them; one that
  // is kept has passed them already.
  #first = this.#keys.values();

  add(key: string): void {
    this.#keys.add(key);
  }

  delete(key: string): boolean {
    return this.#keys.delete(key);
  }

  /** Takes the first key out. */
  shift(): string | undefined {
    if (this.#keys.size === 0) return undefined;
    let { done, value } = this.#first.next();
    if (done) {
      // The end was reached once, and an iterator never leaves it, whatever came since.
      this.#first = this.#keys.values();
      ({ value } = this.#first.next());
    }
    if (value !== undefined) this.#keys.delete(value);
    return value;
  }

  clear(): void {
    this.#keys.clear();
  }
}
