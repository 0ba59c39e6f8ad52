import { duplicateItem, toolCallNotFound, toolOutputMissing } from "../protocol/errors.ts";
import {
  awaitsOutput,
  isAsyncCall,
  isToolCall,
  isToolOutput,
  type Item,
  type ToolCallItem,
  type ToolOutputItem,
} from "../protocol/items.ts";
import { OpenCalls } from "../protocol/open-calls.ts";
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
type Output = Item & ToolOutputItem;

class Pairing {
  readonly #chain: ChainIndex;
  /** Calls that an output must follow. */
  readonly #open: OpenCalls<Call>;
  /** Of these, those of the chain that the input has neither named again nor answered yet. */
  readonly #ofChain = new Map<string, Set<Call>>();
  /** Ids of other calls in the input that one output may follow. */
  readonly #others = new Set<string>();
  readonly #async = new Set<string>();
  readonly #outputs = new Map<string, Output[]>();

  constructor(parent: ResponseNode | null) {
    this.#chain = chainIndex(parent);
    this.#open = openCalls(parent);
    for (const call of this.#open.all()) listIn(this.#ofChain, nameOf(call), () => new Set<Call>()).add(call);
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
    const unanswered = this.#open.first;
    if (unanswered !== undefined) throw toolOutputMissing(unanswered.type, unanswered.call_id);
  }

  #takeCall(call: Call): boolean {
    const same = this.#ofChain.get(nameOf(call)) ?? new Set();
    for (const open of same) {
      same.delete(open);
      return false;
    }
    if (!isAsyncCall(call)) this.#open.add(call);
    else if (this.#chain.hasAsyncCall(call.call_id)) return false;
    else this.#async.add(call.call_id);
    return true;
  }

  #takeOutput(output: Output, callId: string): boolean {
    const given = listIn(this.#outputs, callId, (): Output[] => []);
    const answered = this.#open.answer(callId);
    if (answered !== undefined) this.#ofChain.get(nameOf(answered))?.delete(answered);
    else if (!this.#async.has(callId) && !this.#chain.hasAsyncCall(callId) && !this.#others.delete(callId)) {
      if (given.some((earlier) => isSameOutput(earlier, output)) || this.#chain.hasOutput(output)) return false;
      throw toolCallNotFound(output.type, callId);
    }
    given.push(output);
    return true;
  }
}

function nameOf({ type, call_id, name }: Call): string {
  return JSON.stringify([type, call_id, name]);
}

function listIn<List>(lists: Map<string, List>, key: string, make: () => List): List {
  let list = lists.get(key);
  if (list === undefined) lists.set(key, (list = make()));
  return list;
}

/**
 * Calls that wait for an answer at the end of a chain. Of a turn only its own output can leave calls open, so the chain is
 * not walked; what was added to a conversation by hand may leave some, and need not pair up.
 */
function openCalls(tip: ResponseNode | null): OpenCalls<Call> {
  const added: ResponseNode[] = [];
  let node = tip;
  for (; node?.response.model === NO_MODEL; node = node.parent) added.push(node);
  const open = new OpenCalls<Call>(({ call_id }) => call_id);
  for (const item of (node?.response.output ?? []) as readonly Item[]) if (awaitsOutput(item)) open.add(item);
  for (const { input } of added.toReversed()) {
    for (const item of input) {
      if (awaitsOutput(item)) open.add(item);
      else if (isToolOutput(item) && typeof item.call_id === "string") open.answer(item.call_id);
    }
  }
  return open;
}
