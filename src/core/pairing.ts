import { duplicateItem, toolCallNotFound, toolOutputMissing } from "../protocol/errors.ts";
import { isAsyncCall, isToolCall, isToolOutput, type Item, type ToolCallItem } from "../protocol/items.ts";
import { type ChainIndex, chainIndex, isSameOutput } from "./chain-index.ts";
import { NO_MODEL, type ResponseNode } from "./node.ts";

/** Whether a new input fits behind a chain: no item is there twice, and tool calls and their outputs pair up. */

/**
 * An item that the chain has is not sent again, neither whole nor by reference: the context would hold it twice.
 *
 * @throws ApiError `duplicate_item`
 */
export function checkItemIds(parent: ResponseNode | null, input: readonly Item[]): void {
  const index = chainIndex(parent);
  const seen = new Set<string>();
  for (const { id } of input) {
    if (typeof id !== "string" || id === "") continue;
    if (seen.has(id) || index.hasItem(id)) throw duplicateItem(id);
    seen.add(id);
  }
}

/**
 * The input as it follows the chain. Each output answers a call that is still open, and no call stays open. Call ids may
 * be used again once answered.
 *
 * - A call of an async tool need not be answered, and takes any number of outputs at any time.
 * - An output without a `call_id` answers none.
 * - Calls of kinds that this server does not make may be answered, and need not be.
 * - A call that repeats one that is open at the end of the chain is that call, and an output that repeats one that was
 *   given is that output: neither is there twice.
 *
 * @returns the input itself where nothing in it repeats what the chain has
 * @throws ApiError `tool_call_not_found`, `tool_output_missing`
 */
export function pairedInput(parent: ResponseNode | null, input: readonly Item[]): readonly Item[] {
  const pairing = new Pairing(parent);
  const repeated = new Set<Item>();
  for (const item of input) if (!pairing.take(item)) repeated.add(item);
  pairing.end();
  return repeated.size === 0 ? input : input.filter((item) => !repeated.has(item));
}

type Call = Item & ToolCallItem;

class Pairing {
  readonly #chain: ChainIndex;
  /** Calls that an output must follow. */
  readonly #open: Call[];
  /** Of these, those of the chain that the input has not named again yet. */
  readonly #ofChain: Set<Call>;
  /** Ids of other calls in the input that one output may follow. */
  readonly #others = new Set<string>();
  readonly #async = new Set<string>();
  readonly #outputs = new Map<string, Item[]>();

  constructor(parent: ResponseNode | null) {
    this.#chain = chainIndex(parent);
    this.#open = openCalls(parent);
    this.#ofChain = new Set(this.#open);
  }

  /** False for an item that is there already. @throws ApiError `tool_call_not_found` */
  take(item: Item): boolean {
    if (isToolCall(item)) return this.#takeCall(item);
    if (isToolOutput(item)) {
      const { call_id: callId } = item;
      return typeof callId === "string" ? this.#takeOutput(item, callId) : true;
    }
    if (item.type.endsWith("_call") && typeof item["call_id"] === "string") this.#others.add(item["call_id"]);
    return true;
  }

  /** @throws ApiError `tool_output_missing` */
  end(): void {
    const [unanswered] = this.#open;
    if (unanswered !== undefined) throw toolOutputMissing(unanswered.type, unanswered.call_id);
  }

  #takeCall(call: Call): boolean {
    for (const open of this.#ofChain) {
      if (open.type !== call.type || open.call_id !== call.call_id || open.name !== call.name) continue;
      this.#ofChain.delete(open);
      return false;
    }
    if (!isAsyncCall(call)) this.#open.push(call);
    else if (this.#chain.hasAsyncCall(call.call_id)) return false;
    else this.#async.add(call.call_id);
    return true;
  }

  #takeOutput(output: Item & Extract<Parameters<typeof isSameOutput>[1], object>, callId: string): boolean {
    const given = this.#outputs.get(callId) ?? [];
    const index = this.#open.findIndex((call) => call.call_id === callId);
    if (index !== -1) {
      for (const answered of this.#open.splice(index, 1)) this.#ofChain.delete(answered);
    } else if (!this.#async.has(callId) && !this.#chain.hasAsyncCall(callId) && !this.#others.delete(callId)) {
      const isKnown = given.some((earlier) => isToolOutput(earlier) && isSameOutput(earlier, output));
      if (isKnown || this.#chain.hasOutput(output)) return false;
      throw toolCallNotFound(output.type, callId);
    }
    this.#outputs.set(callId, [...given, output]);
    return true;
  }
}

/**
 * Calls that wait for an answer at the end of a chain. Of a turn only its own output can leave calls open, so the chain is
 * not walked; what was added to a conversation by hand may leave some, and need not pair up.
 */
function openCalls(tip: ResponseNode | null): Call[] {
  const added: ResponseNode[] = [];
  let node = tip;
  for (; node?.response.model === NO_MODEL; node = node.parent) added.push(node);
  const open = node === null ? [] : (node.response.output as readonly Item[]).filter(isToolCall);
  for (const item of added.toReversed().flatMap(({ input }) => input)) {
    if (isToolCall(item)) open.push(item);
    const answered = isToolOutput(item) ? open.findIndex((call) => call.call_id === item.call_id) : -1;
    if (answered !== -1) open.splice(answered, 1);
  }
  return open.filter((call) => !isAsyncCall(call));
}
