import type { ResponseNode } from "./node.ts";

type Entry = {
  readonly node: ResponseNode;
  /** False when the id no longer resolves and the node only stands for its descendants. */
  listed: boolean;
  children: number;
};

/**
 * Nodes by id within a budget of bytes. A node stays while a descendant does, so what is let go when the budget runs out
 * is always the end of a chain, the least recently used one first; a chain in use never loses its beginning.
 */
export class Retention {
  readonly #budget: number;
  readonly #entries = new Map<string, Entry>();
  /** The ends of chains, least recently used first. */
  readonly #leaves = new Set<string>();
  /** What is left of chains that have begun to be let go; these go before anything else. */
  readonly #stumps = new Set<string>();
  #bytes = 0;

  constructor(budget: number) {
    this.#budget = budget;
  }

  /** Bytes held, ancestors that only descendants keep included. */
  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The node, now the most recently used. */
  get(id: string): ResponseNode | undefined {
    const entry = this.#entries.get(id);
    if (!entry?.listed) return undefined;
    if (this.#leaves.delete(id) || this.#stumps.delete(id)) this.#leaves.add(id);
    return entry.node;
  }

  add(node: ResponseNode): void {
    const known = this.#entries.get(node.id);
    if (known !== undefined) {
      known.listed = true;
      return;
    }
    this.#insert(node, true);
    while (this.#bytes > this.#budget) {
      const [oldest] = this.#stumps.size > 0 ? this.#stumps : this.#leaves;
      if (oldest === undefined) return;
      this.#release(oldest);
    }
  }

  /** Makes the id unknown. Descendants keep working; the bytes go when the last of them does. */
  delete(id: string): boolean {
    const entry = this.#entries.get(id);
    if (!entry?.listed) return false;
    entry.listed = false;
    if (entry.children === 0) this.#release(id);
    return true;
  }

  clear(): void {
    this.#entries.clear();
    this.#leaves.clear();
    this.#stumps.clear();
    this.#bytes = 0;
  }

  #insert(node: ResponseNode, listed: boolean): void {
    // An ancestor may be missing here (let go, or made elsewhere) while the new node still holds it in memory: count it.
    const lineage: { node: ResponseNode; listed: boolean }[] = [{ node, listed }];
    let parent = node.parent;
    while (parent !== null && !this.#entries.has(parent.id)) {
      lineage.push({ node: parent, listed: false });
      parent = parent.parent;
    }
    for (const fresh of lineage.reverse()) {
      if (fresh.node.parent !== null) {
        const above = this.#entries.get(fresh.node.parent.id);
        if (above !== undefined) above.children += 1;
        this.#leaves.delete(fresh.node.parent.id);
        this.#stumps.delete(fresh.node.parent.id);
      }
      this.#entries.set(fresh.node.id, { ...fresh, children: 0 });
      this.#bytes += fresh.node.bytes;
    }
    this.#leaves.add(node.id);
  }

  /** Lets a leaf go, and every ancestor that nothing else needs. */
  #release(id: string): void {
    let next: string | undefined = id;
    while (next !== undefined) {
      const entry = this.#entries.get(next);
      if (entry === undefined) return;
      this.#entries.delete(next);
      this.#leaves.delete(next);
      this.#stumps.delete(next);
      this.#bytes -= entry.node.bytes;
      const above: Entry | undefined = entry.node.parent ? this.#entries.get(entry.node.parent.id) : undefined;
      if (above === undefined) return;
      above.children -= 1;
      if (above.children > 0) return;
      if (above.listed) {
        this.#stumps.add(above.node.id);
        return;
      }
      next = above.node.id;
    }
  }
}
