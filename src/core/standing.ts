import { isItem, type Item, type TextFormat } from "../protocol/items.ts";
import type { CreateRequest } from "../protocol/request.ts";
import type { Tool } from "../protocol/tools.ts";
import type { ResponseNode } from "./node.ts";

/** What the items of a context say about every turn after them: tools that were added, and settings that were changed. */
type Standing = {
  readonly tools: readonly Tool[];
  /** Undefined where no item has said anything; null is the model's own idea. */
  readonly effort: string | null | undefined;
  readonly format: TextFormat | undefined;
};

const NOTHING: Standing = Object.freeze({ tools: Object.freeze([]), effort: undefined, format: undefined });

/** What stands at the end of each node, so that a turn only looks at what is new, however long the chain is. */
const ofNode = new WeakMap<ResponseNode, Standing>();
/** The same behind an input that is no node yet: its node will find the very tools that its turn had. */
const ofInput = new WeakMap<readonly Item[], { readonly before: Standing; readonly after: Standing }>();
/** Tools of a request together with those that stand, as one list for as long as both stay the same. */
const joined = new WeakMap<readonly Tool[], WeakMap<readonly Tool[], readonly Tool[]>>();

/**
 * The settings of a turn as they are in force: the request's own, the tools that items have added behind its tools, and
 * in the place of its effort and format those that an item has changed.
 */
export function settingsInForce(request: CreateRequest, parent: ResponseNode | null): CreateRequest {
  const { tools, effort, format } = follow(standingAt(parent), request.input);
  let inForce = request;
  if (tools.length > 0) inForce = { ...inForce, tools: join(request.tools, tools) };
  if (effort !== undefined) {
    inForce = { ...inForce, reasoning: { ...request.reasoning, effort } };
  }
  if (format !== undefined) inForce = { ...inForce, text: { ...request.text, format } };
  return inForce;
}

function standingAt(tip: ResponseNode | null): Standing {
  const unseen: ResponseNode[] = [];
  let standing: Standing | undefined;
  for (let node = tip; node !== null && standing === undefined; node = node.parent) {
    standing = ofNode.get(node);
    if (standing === undefined) unseen.push(node);
  }
  let current = standing ?? NOTHING;
  for (const node of unseen.toReversed()) {
    current = follow(current, node.input);
    ofNode.set(node, current);
  }
  return current;
}

function follow(before: Standing, items: readonly Item[]): Standing {
  const known = ofInput.get(items);
  if (known?.before === before) return known.after;
  let after = before;
  for (const item of items) {
    if (isItem(item, "additional_tools") || isItem(item, "tool_search_output")) {
      const { tools = [] } = item;
      if (tools.length > 0) after = { ...after, tools: [...after.tools, ...tools] };
    } else if (isItem(item, "configuration_update")) {
      const { effort } = item.reasoning ?? {};
      after = {
        tools: after.tools,
        effort: effort === undefined ? after.effort : effort,
        format: item.text?.format ?? after.format,
      };
    }
  }
  if (after !== before) ofInput.set(items, { before, after });
  return after;
}

function join(own: readonly Tool[], standing: readonly Tool[]): readonly Tool[] {
  if (own.length === 0) return standing;
  let withOwn = joined.get(standing);
  if (withOwn === undefined) joined.set(standing, (withOwn = new WeakMap()));
  let all = withOwn.get(own);
  if (all === undefined) withOwn.set(own, (all = Object.freeze([...own, ...standing])));
  return all;
}
