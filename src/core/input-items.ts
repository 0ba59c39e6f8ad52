import type { Item } from "../protocol/items.ts";
import { type ListedItem, listedItem } from "../protocol/listed-item.ts";
import type { ResponseNode } from "./node.ts";
import type { StoredResponse } from "./ports.ts";

/**
 * The items that a response was made from, oldest first: input and output of every response before it in its chain, then
 * its own input.
 */
export function inputItems(chain: ResponseNode): readonly ListedItem[] {
  const before: ResponseNode[] = [];
  for (let node = chain.parent; node !== null; node = node.parent) before.unshift(node);
  return [...before.flatMap((node) => [...ownInput(node), ...ownOutput(node)]), ...ownInput(chain)];
}

/** What was sent with one response, whatever came before it. */
export function ownInput({ input, response }: StoredResponse): readonly ListedItem[] {
  return input.map((item, index) => listedItem(item, response.id, "input", index));
}

function ownOutput({ response }: StoredResponse): readonly ListedItem[] {
  return (response.output as readonly Item[]).map((item, index) => listedItem(item, response.id, "output", index));
}
