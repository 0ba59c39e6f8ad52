import { awaitsOutput, isItem, isToolOutput, type Item } from "../protocol/items.ts";
import { isTooLong } from "./compaction.ts";
import { itemsOf } from "./input-items.ts";
import { measure, type ResponseNode } from "./node.ts";
import { OpenCalls } from "../protocol/open-calls.ts";
import type { Backend, BackendEvent, BackendRequest } from "./ports.ts";

/**
 * `truncation: "auto"`: when the model server says that a context is too long, it is asked again with less of it, the
 * oldest items first. The chain keeps all of them; only the model does not see them any more.
 */

/**
 * How much each further try may have of what the one before had, by size: three quarters, half, a quarter, then only what
 * must stay. How many tokens are too many is the model server's own secret.
 */
const SHARES = [3 / 4, 2 / 3, 1 / 2, 0];

type StandIn = { readonly backend: Backend; readonly model: string; readonly node: ResponseNode };

/** What a node's chain was cut to, so that turns after it begin where it ended, and each costs only its own items. */
const standIns = new WeakMap<ResponseNode, StandIn>();

export class Truncation {
  readonly #backend: Backend;
  /** What the model sees: at first the whole context, or what was left of it the last time. */
  #asked: BackendRequest;

  constructor(backend: Backend, request: BackendRequest) {
    const known = request.parent === null ? undefined : standIns.get(request.parent);
    const isSame = known?.backend === backend && known.model === request.model;
    this.#backend = backend;
    this.#asked = isSame ? { ...request, parent: known.node } : request;
  }

  /** @throws ApiError when the backend refuses the request for another reason than its length */
  start(signal: AbortSignal): AsyncIterator<readonly BackendEvent[]> {
    return this.#run(this.#backend.stream(this.#asked, signal), signal);
  }

  /** Told of the node of the turn, which has all of its context. */
  made(node: ResponseNode): void {
    const { model, parent, input } = this.#asked;
    if (parent === node.parent && input === node.input) return;
    standIns.set(node, { backend: this.#backend, model, node: Object.freeze({ ...node, parent, input }) });
  }

  async *#run(
    first: AsyncIterable<readonly BackendEvent[]>,
    signal: AbortSignal,
  ): AsyncGenerator<readonly BackendEvent[]> {
    let batches = first;
    let tries = 0;
    for (;;) {
      let hasBegun = false;
      try {
        for await (const batch of batches) {
          hasBegun ||= batch.length > 0;
          yield batch;
        }
        return;
      } catch (error) {
        if (hasBegun || !isTooLong(error)) throw error;
        const shorter = this.#shorter(SHARES.slice(tries));
        if (shorter === null) throw error;
        ({ tries } = shorter);
        this.#asked = shorter.request;
        batches = this.#backend.stream(this.#asked, signal);
      }
    }
  }

  /** The next try that leaves something out; null when there is nothing more that may be left out. */
  #shorter(shares: readonly number[]): { readonly request: BackendRequest; readonly tries: number } | null {
    const { parent, input, open } = this.#asked;
    const context = [...itemsOf(parent).map(({ item }) => item), ...input];
    // What a summary stands for is no part of the context any more.
    const start = context.findLastIndex((item) => isItem(item, "compaction") && open(item).replaces);
    const items = context.slice(Math.max(0, start));
    for (const [index, share] of shares.entries()) {
      const kept = cut(items, share);
      if (kept.length < items.length) {
        const tries = SHARES.length - shares.length + index + 1;
        return { request: { ...this.#asked, parent: null, input: Object.freeze(kept) }, tries };
      }
    }
    return null;
  }
}

type Unit = { readonly items: readonly Item[]; readonly mustStay: boolean };

/**
 * The context without its oldest part. What must stay does: the words of the system, summaries, the newest message of the
 * user, and the newest unit. A call, its output and the thoughts before it are one unit.
 */
function cut(context: readonly Item[], share: number): readonly Item[] {
  const units = unitsOf(context);
  let size = measure(context);
  const limit = size * share;
  return units.flatMap(({ items, mustStay }, index) => {
    if (mustStay || size <= limit || index === units.length - 1) return items;
    size -= measure(items);
    return [];
  });
}

function unitsOf(context: readonly Item[]): readonly Unit[] {
  const newest = context.findLast((item) => isItem(item, "message") && item.role === "user");
  const units: Unit[] = [];
  let items: Item[] = [];
  const open = new OpenCalls<string>((id) => id);
  for (const item of context) {
    items.push(item);
    if (awaitsOutput(item)) open.add(item.call_id);
    if (isToolOutput(item) && typeof item.call_id === "string") open.answer(item.call_id);
    if (open.size > 0 || isItem(item, "reasoning")) continue;
    units.push({ items, mustStay: items.some((each) => each === newest || mustStay(each)) });
    items = [];
  }
  if (items.length > 0) units.push({ items, mustStay: true });
  return units;
}

function mustStay(item: Item): boolean {
  if (item.type === "compaction") return true;
  return isItem(item, "message") && (item.role === "system" || item.role === "developer");
}
