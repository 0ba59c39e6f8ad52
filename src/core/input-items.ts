import type { ItemSide } from "../protocol/ids.ts";
import type { Item } from "../protocol/items.ts";
import { listedId, type ListedItem, listedItem } from "../protocol/listed-item.ts";
import type { ResponseNode } from "./node.ts";
import type { StoredResponse } from "./ports.ts";

/** An item of a chain: where it is, and by what id it is listed. */
export type ChainItem<Node extends { readonly id: string } = { readonly id: string }> = {
  readonly node: Node;
  readonly item: Item;
  readonly id: string;
};

/** The items of a chain, oldest first. No two have the same id, whatever clients have called them. */
export function itemsOf(tip: ResponseNode | null): readonly ChainItem<ResponseNode>[] {
  const chain: ResponseNode[] = [];
  for (let node = tip; node !== null; node = node.parent) chain.push(node);
  const taken = new Set<string>();
  const found: ChainItem<ResponseNode>[] = [];
  const add = (node: ResponseNode, items: readonly Item[], side: ItemSide): void => {
    for (const [index, item] of items.entries()) {
      const named = listedId(item, node.id, side, index);
      const id = taken.has(named) ? listedId({ type: item.type }, node.id, side, index) : named;
      taken.add(id);
      found.push({ node, item, id });
    }
  };
  for (const node of chain.toReversed()) {
    add(node, node.input, "input");
    add(node, node.response.output, "output");
  }
  return found;
}

/** The item as a list shows it. */
export function listed({ node, item, id }: ChainItem): ListedItem {
  return listedItem({ ...item, id }, node.id, "input", 0);
}

const counts = new WeakMap<ResponseNode, number>();

/** How many items a chain has; each node is counted once. */
export function countItems(tip: ResponseNode | null): number {
  const unseen: ResponseNode[] = [];
  let count = 0;
  for (let node = tip; node !== null; node = node.parent) {
    const known = counts.get(node);
    if (known !== undefined) {
      count = known;
      break;
    }
    unseen.push(node);
  }
  for (const node of unseen.toReversed()) {
    count += node.input.length + node.response.output.length;
    counts.set(node, count);
  }
  return count;
}

/**
 * The items that a response was made from, oldest first: input and output of every response before it in its chain, then
 * its own input.
 */
export function inputItems(chain: ResponseNode): readonly ChainItem[] {
  const all = itemsOf(chain);
  return all.slice(0, all.length - chain.response.output.length);
}

/** What was sent with one response, whatever came before it. */
export function ownInput({ input, response }: StoredResponse): readonly ChainItem[] {
  return input.map((item, index) => ({ node: response, item, id: listedId(item, response.id, "input", index) }));
}
