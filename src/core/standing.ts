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
  const current = standing ?? NOTHING;
  if (tip === null || unseen.length === 0) return current;
  // One node may have made its list with its turn: that very list stays in use.
  const [newest] = unseen;
  const after =
    unseen.length === 1 && newest !== undefined
      ? follow(current, newest.input)
      : fold(
          current,
          unseen.toReversed().flatMap(({ input }) => input),
        );
  ofNode.set(tip, after);
  return after;
}

function follow(before: Standing, items: readonly Item[]): Standing {
  const known = ofInput.get(items);
  if (known?.before === before) return known.after;
  const after = fold(before, items);
  if (after !== before) ofInput.set(items, { before, after });
  return after;
}

function fold(before: Standing, items: readonly Item[]): Standing {
  let tools: Tool[] | null = null;
  let { effort, format } = before;
  for (const item of items) {
    if (isItem(item, "additional_tools") || isItem(item, "tool_search_output")) {
      if (item.tools === undefined || item.tools.length === 0) continue;
      tools ??= [...before.tools];
      for (const tool of item.tools) tools.push(tool);
    } else if (isItem(item, "configuration_update")) {
      const changed = item.reasoning?.effort;
      if (changed !== undefined) effort = changed;
      format = item.text?.format ?? format;
    }
  }
  if (tools === null && effort === before.effort && format === before.format) return before;
  return { tools: tools ?? before.tools, effort, format };
}

function join(own: readonly Tool[], standing: readonly Tool[]): readonly Tool[] {
  if (own.length === 0) return standing;
  let withOwn = joined.get(standing);
  if (withOwn === undefined) joined.set(standing, (withOwn = new WeakMap()));
  let all = withOwn.get(own);
  if (all === undefined) withOwn.set(own, (all = Object.freeze([...own, ...standing])));
  return all;
}
