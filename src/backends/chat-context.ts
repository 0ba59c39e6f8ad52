import type { ResponseNode } from "../core/node.ts";
import { isItem, type Item } from "../protocol/items.ts";
import { type ChatForm, type ChatState, ChatWriter, type Open, START } from "./chat-writer.ts";
import type { Dialect } from "./dialect.ts";
import { inChatTerms } from "./foreign-items.ts";
import { MessageShaper } from "./message-shaper.ts";
import type { Rope } from "./rope.ts";

/**
 * Items as chat messages. The mapping is a function of the sequence of items and of the dialect alone: however turns cut it,
 * the same items give the same bytes. It is also incremental: a node's context is its parent's plus its own items, and old messages are
 * never made again.
 *
 * | items | message |
 * |---|---|
 * | `message` of system, developer, before anything else | one system message, which begins with the instructions |
 * | `message` of user, system, developer | one message; developer becomes system |
 * | consecutive `reasoning`, assistant `message`, `function_call`, `custom_tool_call` | one assistant message: their texts with a blank line between, their calls in order |
 * | `function_call_output`, `custom_tool_call_output` | one tool message; without its call, a message of the user |
 * | images and files in any of these but a message of the user | a message of the user behind it |
 * | `additional_tools`, `configuration_update` | nothing: they say what the request is to hold beside the messages |
 * | calls and outputs of other kinds | what `foreign-items.ts` makes of them |
 * | `compaction` | the messages that it stands for; of those before it none, where it stands for them as well |
 * | anything else | nothing |
 *
 * This is the common form; `message-shaper.ts` gives it that of the model's dialect.
 *
 * Chat servers demand that the answers of calls follow the message that made them, so what comes between is put behind
 * the last answer. That every function call has its answer is certain; a call of another kind that has none when the
 * conversation goes on is answered with nothing, and one of an async tool with the word that its output is to come.
 */

/** How many characters of messages are written in one step, … */
const STEP_LENGTH = 512 * 1024;
/** … and how many items are looked at. */
const STEP_ITEMS = 2048;

/** Builds contexts of one dialect, and keeps each beside the frozen node or input that it belongs to. */
export class ChatContexts {
  readonly #form: ChatForm;
  readonly #ofNode = new WeakMap<ResponseNode, ChatState>();
  readonly #ofInput = new WeakMap<readonly Item[], ChatState>();

  /** @param renamed names of functions that are not those that `chatName` gives, by `keyOf` */
  constructor(dialect: Dialect, renamed: ChatForm["renamed"] = new Map(), origin: ChatForm["origin"] = null) {
    this.#form = { dialect, renamed, origin };
  }

  /**
   * The messages of the chain and of the new input behind it: bytes of JSON objects, each preceded by a comma. What is
   * new and large is mapped in steps, each no longer than others should wait; a generator that is done at once had little
   * to do.
   */
  *messages(parent: ResponseNode | null, input: readonly Item[], open: Open): Generator<void, Rope> {
    const state = yield* this.#after(yield* this.#chain(parent, open), input, open);
    this.#ofInput.set(input, state);
    return this.#close(state, open);
  }

  /** The state at the end of a chain. Only nodes that were not seen before are looked at. */
  *#chain(tip: ResponseNode | null, open: Open): Generator<void, ChatState> {
    const unseen: ResponseNode[] = [];
    let state: ChatState | undefined;
    for (let node = tip; node !== null && state === undefined; node = node.parent) {
      state = this.#ofNode.get(node);
      if (state === undefined) unseen.push(node);
    }
    let current = state ?? START;
    for (const node of unseen.toReversed()) {
      const afterInput = this.#ofInput.get(node.input) ?? (yield* this.#after(current, node.input, open));
      current = yield* this.#after(afterInput, node.response.output, open);
      this.#ofNode.set(node, current);
    }
    return current;
  }

  *#after(state: ChatState, items: readonly Item[], open: Open): Generator<void, ChatState> {
    const writer = new ChatWriter(state, this.#form, open);
    let seen = 0;
    for (const item of items) {
      writer.add(item);
      seen += 1;
      if (writer.length < STEP_LENGTH && seen < STEP_ITEMS) continue;
      writer.flush();
      seen = 0;
      yield;
    }
    return writer.end();
  }

  /** With the last assistant message finished, as the end of a request wants it. */
  #close(state: ChatState, open: Open): Rope {
    const { run, isLeadOpen, open: calls, deferred, shape } = state;
    const isShaped = MessageShaper.isFinished(shape, this.#form.dialect);
    if (run === null && !isLeadOpen && calls.length === 0 && deferred.length === 0 && isShaped) return state.closed;
    const writer = new ChatWriter(state, this.#form, open);
    writer.finish();
    return writer.closed();
  }
}

/** Whether the item has its place in a chat request; what has none is left out of what the model sees. */
export function hasChatForm(item: Item): boolean {
  if (isItem(item, "additional_tools") || isItem(item, "configuration_update")) return true;
  return isItem(item, "compaction") || inChatTerms(item).length > 0;
}
