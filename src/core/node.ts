import type { Item } from "../protocol/items.ts";
import type { Response } from "../protocol/response.ts";

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
  const bytes = NODE_OVERHEAD + measure(fields.input) + measure(fields.response.output);
  return restoreNode({ ...fields, bytes });
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
