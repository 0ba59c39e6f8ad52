import type { Item } from "../protocol/items.ts";

/** How much each compaction item has been unsealed to: its content is kept beside it. */
const sizes = new WeakMap<Item, number>();

export function noteUnsealed(item: Item, bytes: number): void {
  sizes.set(item, bytes);
}

export function unsealedBytes(item: Item): number {
  return item.type === "compaction" ? (sizes.get(item) ?? 0) : 0;
}
