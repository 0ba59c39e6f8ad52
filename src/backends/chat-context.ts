import type { ResponseNode } from "../core/node.ts";
import type { BackendRequest } from "../core/ports.ts";
import {
  type CompactionItem,
  isItem,
  isToolCall,
  isToolOutput,
  type Item,
  type MessageItem,
  type Part,
  type ToolOutputItem,
} from "../protocol/items.ts";
import { argumentsObject, chatContent, plainText } from "./chat-parts.ts";
import { chatName, keyOf } from "./chat-tools.ts";
import type { Dialect } from "./dialect.ts";
import { EMPTY_RUN, type OpenCall, type Run, START, type State } from "./context-state.ts";
import { inChatTerms } from "./foreign-items.ts";
import { type ChatMessage, MessageShaper, type ShapeState } from "./message-shaper.ts";
import { Rope } from "./rope.ts";
import { asUsersText, LEAD, LEAD_SEPARATOR } from "./instructions.ts";
import { findLongTexts, type LongText, ownersOf, shareTexts } from "./shared-text.ts";

/**
 * Items as chat messages. The mapping is a function of the sequence of items and of the dialect alone: however turns cut it,
 * the same items give the same bytes. It is also incremental: a node's context is its parent's plus its own items, and old messages are
 * never made again.
 *
 * | items | message |
 * |---|---|
 * | `message` of system, developer, before anything else | one system message, which begins with the instructions |
 * | `message` of user, system, developer | one message; developer becomes system |
 * | consecutive `reasoning`, assistant `message`, `function_call`, `custom_tool_call` | one assistant message: their texts joined, their calls in order |
 * | `function_call_output`, `custom_tool_call_output` | one tool message; images in it follow in a user message |
 * | `additional_tools`, `configuration_update` | nothing: they say what the request is to hold beside the messages |
 * | calls and outputs of other kinds | what `foreign-items.ts` makes of them |
 * | `compaction` | the messages that it stands for; of those before it none, where it stands for them as well |
 * | anything else | nothing |
 *
 * This is the common form; `message-shaper.ts` gives it that of the model's dialect.
 *
 * Chat servers demand that the answers of calls follow the message that made them, so what comes between is put behind
 * the last answer. That every function call has its answer is certain; a call of another kind that has none when the
 * conversation goes on is answered with nothing.
 */

type Open = BackendRequest["open"];

/** What messages look like beside the items that they are made of. */
type Form = {
  readonly dialect: Dialect;
  /** Names of functions that are not those that `chatName` gives, by `keyOf`. */
  readonly renamed: ReadonlyMap<string, string>;
};

/** How many characters of messages are written in one step. */
const STEP_LENGTH = 512 * 1024;

/** Builds contexts of one dialect, and keeps each beside the frozen node or input that it belongs to. */
export class ChatContexts {
  readonly #form: Form;
  readonly #ofNode = new WeakMap<ResponseNode, State>();
  readonly #ofInput = new WeakMap<readonly Item[], State>();

  /** @param renamed names of functions that are not those that `chatName` gives, by `keyOf` */
  constructor(dialect: Dialect, renamed: Form["renamed"] = new Map()) {
    this.#form = { dialect, renamed };
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
  *#chain(tip: ResponseNode | null, open: Open): Generator<void, State> {
    const unseen: ResponseNode[] = [];
    let state: State | undefined;
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

  *#after(state: State, items: readonly Item[], open: Open): Generator<void, State> {
    let writer = new Writer(state, this.#form, open);
    for (const item of items) {
      writer.add(item);
      if (writer.length < STEP_LENGTH) continue;
      writer = new Writer(writer.end(), this.#form, open);
      yield;
    }
    return writer.end();
  }

  /** With the last assistant message finished, as the end of a request wants it. */
  #close(state: State, open: Open): Rope {
    const { run, isLeadOpen, open: calls, deferred, shape } = state;
    const isFinished = MessageShaper.isFinished(shape, this.#form.dialect);
    if (run === null && !isLeadOpen && calls.length === 0 && deferred.length === 0 && isFinished) return state.closed;
    const writer = new Writer(state, this.#form, open);
    writer.finish();
    return writer.closed();
  }
}

/** Whether the item has its place in a chat request; what has none is left out of what the model sees. */
export function hasChatForm(item: Item): boolean {
  if (isItem(item, "additional_tools") || isItem(item, "configuration_update")) return true;
  return isItem(item, "compaction") || inChatTerms(item).length > 0;
}

class Writer {
  readonly #form: Form;
  #shaper: MessageShaper;
  readonly #openCompaction: Open;
  #base: Rope;
  #text = "";
  #isLeadOpen: boolean;
  #longTexts: readonly LongText[] = [];
  #run: Run | null;
  #open: readonly OpenCall[];
  #deferred: readonly Item[];

  constructor(state: State, form: Form, open: Open) {
    this.#form = form;
    this.#shaper = this.#newShaper(state.shape);
    this.#base = state.closed;
    this.#isLeadOpen = state.isLeadOpen;
    this.#run = state.run;
    this.#open = state.open;
    this.#deferred = state.deferred;
    this.#openCompaction = open;
  }

  /** How much it has written, in characters. */
  get length(): number {
    return this.#text.length;
  }

  /** Where the writing has come to; nothing is written behind it. */
  end(): State {
    const closed = this.#base.append(this.#text);
    shareTexts(this.#longTexts, this.#text, closed);
    return {
      closed,
      isLeadOpen: this.#isLeadOpen,
      run: this.#run,
      open: this.#open,
      deferred: this.#deferred,
      shape: this.#shaper.state,
    };
  }

  /** The messages of a request. What of them is written again in the next one keeps its own texts. */
  closed(): Rope {
    return this.#base.append(this.#text);
  }

  add(item: Item): void {
    if (isItem(item, "compaction")) return this.#compaction(item);
    const known = inChatTerms(item);
    const [first] = known;
    if (first === undefined) return;
    if (this.#run === null && !isToolOutput(first) && !this.#isAnswered()) {
      this.#deferred = [...this.#deferred, item];
      return;
    }
    for (const each of known) this.#add(each, item);
  }

  /** @param origin what the item stands for, or the item itself */
  #add(item: Item, origin: Item): void {
    if (isToolOutput(item)) return this.#toolOutput(item, origin);
    if (isItem(item, "message") && item.role !== "assistant") {
      this.#closeRun();
      if (this.#open.length > 0) return this.add(item);
      if (item.role === "user") this.#message({ role: "user", content: chatContent(item.content) }, item, item.content);
      else this.#system(item);
      return;
    }
    this.#extendRun(item, item !== origin);
  }

  /** Templates of many models take nothing but one string for the system, at the very beginning. */
  #system(item: MessageItem & Item): void {
    const text = plainText(item.content, "\n");
    const { system } = this.#form.dialect;
    const isFirst = system !== "none" && this.#base.length === 0 && this.#text === "" && !this.#shaper.state.hasBegun;
    if (!isFirst && !this.#isLeadOpen) {
      const asUser: ChatMessage = { role: "user", content: asUsersText(text) };
      this.#message(system === "anywhere" ? { role: "system", content: text } : asUser, item, item.content);
      return;
    }
    this.#isLeadOpen = true;
    this.#write((isFirst ? LEAD : LEAD_SEPARATOR) + JSON.stringify(text).slice(1, -1), ownersOf(item, item.content));
  }

  finish(): void {
    this.#closeRun();
    if (this.#isAnswered()) this.#flush();
    this.#closeLead();
    this.#shaper.finish();
  }

  #closeLead(): void {
    if (!this.#isLeadOpen) return;
    this.#isLeadOpen = false;
    this.#text += '"}';
  }

  /** Whether no call is open; those that nobody has to answer are answered for it, since chat servers want each to be. */
  #isAnswered(): boolean {
    if (this.#open.some(({ isForeign }) => !isForeign)) return false;
    for (const { id } of this.#open) this.#message({ role: "tool", tool_call_id: id, content: "" });
    this.#open = [];
    return true;
  }

  #compaction(item: CompactionItem & Item): void {
    const { replaces, items } = this.#openCompaction(item);
    if (replaces) {
      this.#base = START.closed;
      this.#text = "";
      this.#isLeadOpen = START.isLeadOpen;
      this.#longTexts = [];
      this.#run = START.run;
      this.#open = START.open;
      this.#deferred = START.deferred;
      this.#shaper = this.#newShaper(START.shape);
    }
    for (const each of items) this.add(each);
  }

  #extendRun(item: Item, isForeign: boolean): void {
    const run = this.#run ?? EMPTY_RUN;
    if (isItem(item, "message")) {
      this.#run = { ...run, text: (run.text ?? "") + plainText(item.content, "") };
    } else if (isItem(item, "reasoning")) {
      // The summary stands in where the text itself is not known.
      const parts = item.content?.length ? item.content : (item.summary ?? []);
      this.#run = { ...run, reasoning: run.reasoning + plainText(parts, "") };
    } else if (isToolCall(item)) {
      const text =
        item.type === "function_call" ? argumentsObject(item.arguments) : JSON.stringify({ input: item.input });
      const name = this.#form.renamed.get(keyOf(item.namespace, item.name)) ?? chatName(item.namespace, item.name);
      const call = { id: item.call_id, type: "function", function: { name, arguments: text } } as const;
      this.#run = { ...run, calls: [...run.calls, call], open: [...run.open, { id: item.call_id, isForeign }] };
    }
  }

  #closeRun(): void {
    const run = this.#run;
    if (run === null) return;
    this.#run = null;
    const { reasoning: field } = this.#form.dialect;
    const reasoning = field === "none" ? "" : run.reasoning;
    const hasCalls = run.calls.length > 0;
    if (run.text === null && reasoning === "" && !hasCalls) return;
    // Not null, as OpenAI has it for calls without text: some servers refuse that, and all take an empty string.
    this.#open = [...this.#open, ...run.open];
    this.#message({
      role: "assistant",
      content: run.text ?? "",
      ...(reasoning !== "" && { [field]: reasoning }),
      ...(hasCalls && { tool_calls: run.calls }),
    });
  }

  #toolOutput(item: ToolOutputItem & Item, origin: Item): void {
    this.#closeRun();
    const isForeign = item !== origin;
    const exact = this.#open.findIndex((call) => call.id === item.call_id && call.isForeign === isForeign);
    const index = exact === -1 ? this.#open.findIndex((call) => call.id === item.call_id) : exact;
    if (index === -1 && this.#deferred.length > 0) {
      this.#deferred = [...this.#deferred, origin];
      return;
    }
    if (index === -1) return this.#lateOutput(item);
    this.#open = this.#open.toSpliced(index, 1);
    this.#message(
      { role: "tool", tool_call_id: item.call_id, content: plainText(item.output, "\n") },
      item,
      item.output,
    );
    const images = typeof item.output === "string" ? [] : item.output.filter((part) => part.type === "input_image");
    if (images.length > 0) {
      const label = { type: "input_text", text: `Image output of tool call ${item.call_id}:` };
      this.#deferred = [...this.#deferred, { type: "message", role: "user", content: [label, ...images] }];
    }
    if (this.#open.length === 0) this.#flush();
  }

  /** An output whose call has been given up, or never was there: the model still reads it, from the user. */
  #lateOutput({ call_id, output }: ToolOutputItem & Item): void {
    const label = { type: "input_text", text: `Output of tool call ${call_id}:` };
    const parts = typeof output === "string" ? [{ type: "input_text", text: output }] : output;
    this.add({ type: "message", role: "user", content: [label, ...parts] });
  }

  #flush(): void {
    const items = this.#deferred;
    this.#deferred = [];
    for (const item of items) this.add(item);
  }

  /** @param item what the message is made of, with its parts where it has any */
  #message(message: ChatMessage, item?: Item, content?: string | readonly Part[]): void {
    this.#closeLead();
    this.#shaper.message(message, item === undefined ? [] : ownersOf(item, content));
  }

  #newShaper(state: ShapeState): MessageShaper {
    return new MessageShaper(state, this.#form.dialect, (message, owners) =>
      this.#write(`,${JSON.stringify(message)}`, owners),
    );
  }

  #write(json: string, owners: readonly object[]): void {
    const longTexts = findLongTexts(json, owners, this.#text.length);
    if (longTexts.length > 0) this.#longTexts = [...this.#longTexts, ...longTexts];
    this.#text += json;
  }
}
