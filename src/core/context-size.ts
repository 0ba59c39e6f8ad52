import { isItem, type Item } from "../protocol/items.ts";
import type { CreateRequest } from "../protocol/request.ts";
import { measure, type ResponseNode } from "./node.ts";
import type { BackendRequest } from "./ports.ts";

/** How large a context is: tokens as the model server last counted them, and an estimate of what came since; bytes about. */
export type ContextSize = { readonly tokens: number; readonly bytes: number };

type Open = BackendRequest["open"];

const NOTHING: ContextSize = { tokens: 0, bytes: 0 };
const CHARACTERS_PER_TOKEN = 4;
/** What an image, or another thing without text, is taken for. */
const CHARACTERS_OF_IMAGE = 3000;

/** The size at the end of each node, so that a turn only measures what is new, however long the chain is. */
const ofNode = new WeakMap<ResponseNode, ContextSize>();

/** The context of a request: its chain, its input, and what stands before both. */
export function sizeOfRequest(request: CreateRequest, parent: ResponseNode | null, open: Open): ContextSize {
  const before = parent === null ? headSize(request) : sizeAt(parent, open);
  return follow(before, request.input, open);
}

/** Items by themselves, of a context in which compactions are opened. */
export function sizeOfItems(items: readonly Item[]): ContextSize {
  return follow(NOTHING, items, () => ({ replaces: false, items: [] }));
}

function sizeAt(tip: ResponseNode, open: Open): ContextSize {
  const unseen: ResponseNode[] = [];
  let size: ContextSize | undefined;
  for (let node: ResponseNode | null = tip; node !== null && size === undefined; node = node.parent) {
    size = ofNode.get(node);
    if (size === undefined) unseen.push(node);
  }
  for (const node of unseen.toReversed()) {
    const { input, response } = node;
    const estimated = follow(follow(size ?? headSize(response), input, open), response.output, open);
    // A response that was compacted has used more than its context now has.
    const isCompacted = response.output.some((item) => item.type === "compaction");
    const counted = isCompacted ? 0 : (response.usage?.total_tokens ?? 0);
    size = counted > 0 ? { tokens: counted, bytes: estimated.bytes } : estimated;
    ofNode.set(node, size);
  }
  return size ?? NOTHING;
}

function headSize({ instructions, tools }: Pick<CreateRequest, "instructions" | "tools">): ContextSize {
  const bytes = (instructions?.length ?? 0) + (tools.length === 0 ? 0 : measure(tools));
  return { tokens: Math.ceil(bytes / CHARACTERS_PER_TOKEN), bytes };
}

function follow(before: ContextSize, items: readonly Item[], open: Open): ContextSize {
  let { tokens, bytes } = before;
  for (const item of items) {
    if (isItem(item, "compaction")) {
      const { replaces, items: instead } = open(item);
      const size = follow(replaces ? NOTHING : { tokens, bytes }, instead, open);
      ({ tokens, bytes } = size);
      continue;
    }
    tokens += Math.ceil(characters(item) / CHARACTERS_PER_TOKEN);
    bytes += measure(item);
  }
  return { tokens, bytes };
}

/** Characters of a value that a model would read, with a fixed number for what it would look at instead. */
function characters(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 0;
  if ("type" in value && (value.type === "input_image" || value.type === "input_file")) return CHARACTERS_OF_IMAGE;
  return Object.values(value).reduce((sum: number, member) => sum + characters(member), 0);
}
