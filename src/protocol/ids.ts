/** The prefixes of the ids that the server makes; the rest of an id is opaque to clients. */
export const ID_PREFIX = {
  response: "resp",
  conversation: "conv",
  message: "msg",
  functionCall: "fc",
  customToolCall: "ctc",
  reasoning: "rs",
  compaction: "cmp",
  call: "call",
  request: "req",
  session: "sess",
  steer: "steer",
} as const;

export type IdKind = keyof typeof ID_PREFIX;

/** Whether an item came in with a request or out of the model. */
export type ItemSide = "input" | "output";

const SIDE = { input: "i", output: "o" } as const satisfies Record<ItemSide, string>;

/**
 * The id of an item: that of its response, its side and its place there. So an item is found by its id without an index,
 * and has the same id whenever it is asked for.
 */
export function itemId(prefix: string, responseId: string, side: ItemSide, index: number): string {
  return `${prefix}_${responseId.slice(responseId.indexOf("_") + 1)}${SIDE[side]}${index}`;
}

/** Which response an id that `itemId` made belongs to; undefined for an id of another kind. */
export function responseOfItem(id: string): { readonly responseId: string; readonly side: ItemSide } | undefined {
  const [, name, side] = /^[a-z]+_(.+)([io])\d+$/.exec(id) ?? [];
  if (name === undefined) return undefined;
  return { responseId: `${ID_PREFIX.response}_${name}`, side: side === SIDE.input ? "input" : "output" };
}
