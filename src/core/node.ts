import type { Item } from "../protocol/items.ts";
import { opaqueList } from "../protocol/opaque.ts";
import type { Response } from "../protocol/response.ts";
import { unsealedBytes } from "./unsealed.ts";

/** The owner of keys, nodes and limits; part of every storage key. */
export type Tenant = string;

/**
 * One committed response with its own input and a link to its parent. Frozen: a fork is a second node with the same
 * parent, and whatever is derived from a node may be kept beside it for good.
 */
export type ResponseNode = {
  readonly id: string;
  readonly tenant: Tenant;
  readonly parent: ResponseNode | null;
  readonly input: readonly Item[];
  readonly response: Response;
  /** What the node itself holds, in bytes, about; without its ancestors. */
  readonly bytes: number;
};

export function commitNode(fields: Omit<ResponseNode, "bytes">): ResponseNode {
  const { input, response, parent } = fields;
  const bytes = NODE_OVERHEAD + measureItems(input) + measureItems(response.output) + headBytes(response, parent);
  return restoreNode({ ...fields, bytes });
}

/** Instructions and tools, as far as they are not the parent's own. */
function headBytes({ instructions, tools }: Response, parent: ResponseNode | null): number {
  const above = parent?.response;
  const ofInstructions = instructions === null || instructions === above?.instructions ? 0 : instructions.length;
  return ofInstructions + (tools.length === 0 || tools === above?.tools ? 0 : measure(tools));
}

/** Items, with what has been unsealed of them. */
export function measureItems(items: readonly Item[]): number {
  const opaque = opaqueList(items);
  let bytes = measure(items) + (opaque === undefined ? 0 : measure(opaque));
  for (const item of items) bytes += unsealedBytes(item);
  return bytes;
}

/** The size of each chain that was asked for. */
const chainSizes = new WeakMap<ResponseNode, number>();

/** What a node and all of its ancestors hold, in bytes, about. */
export function chainBytes(tip: ResponseNode | null): number {
  const unseen: ResponseNode[] = [];
  let bytes = 0;
  for (let node = tip; node !== null; node = node.parent) {
    const known = chainSizes.get(node);
    if (known !== undefined) {
      bytes = known;
      break;
    }
    unseen.push(node);
  }
  for (const node of unseen.toReversed()) chainSizes.set(node, (bytes += node.bytes));
  return bytes;
}

/** A node that was committed before, made again from what a store kept of it. */
export function restoreNode(node: ResponseNode): ResponseNode {
  Object.freeze(node.input);
  return Object.freeze(node);
}

/** Whether a turn can go on from the response: it has come to a good end, whole or cut short. */
export function isContinuable({ response }: Pick<ResponseNode, "response">): boolean {
  return response.status === "completed" || response.status === "incomplete";
}

const NODE_OVERHEAD = 1024;
const VALUE_OVERHEAD = 16;

/** What a value of JSON takes in memory, in bytes, about. */
export function measure(value: unknown): number {
  if (typeof value === "string") return VALUE_OVERHEAD + value.length;
  if (typeof value !== "object" || value === null) return VALUE_OVERHEAD;
  let bytes = VALUE_OVERHEAD;
  for (const member of Object.values(value)) bytes += VALUE_OVERHEAD + measure(member);
  return bytes;
}

/** The model of a node that no model has made: it holds items that were added to a conversation by hand. */
export const NO_MODEL = "";
