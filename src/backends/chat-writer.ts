import type { BackendRequest } from "../core/ports.ts";
import {
  type CompactionItem,
  isAsyncCall,
  isItem,
  isToolCall,
  isToolOutput,
  type Item,
  type MessageItem,
  type Part,
  type ToolOutputItem,
} from "../protocol/items.ts";
import { type OpaqueFields, opaqueOf } from "../protocol/opaque.ts";
import { toolKey } from "../protocol/tools.ts";
import { argumentsObject, chatContent, plainText } from "./chat-parts.ts";
import { chatName } from "./chat-tools.ts";
import type { Dialect } from "./dialect.ts";
import { inChatTerms, outputName } from "./foreign-items.ts";
import { asUsersText, LEAD, LEAD_SEPARATOR } from "./instructions.ts";
import { joinFields } from "./message-fields.ts";
import { type ChatMessage, type ChatToolCall, MessageShaper, type ShapeState, UNSHAPED } from "./message-shaper.ts";
import { type OpenCall, PendingCalls } from "./pending-calls.ts";
import { Rope } from "./rope.ts";
import { findLongTexts, type LongText, ownersOf, shareTexts } from "./shared-text.ts";

/** What messages look like beside the items that they are made of. */
export type ChatForm = {
  readonly dialect: Dialect;
  /** Names of functions that are not those that `chatName` gives, by `toolKey`. */
  readonly renamed: ReadonlyMap<string, string>;
  /** The model server, whose own opaque fields go back to it; without it none do. */
  readonly origin: string | null;
};

/** The assistant message that is still growing: between two writers nobody changes it, and each goes on with a copy. */
type Run = {
  text: string | null;
  reasoning: string;
  readonly calls: ChatToolCall[];
  readonly open: OpenCall[];
  /** What the model server wants to see again. */
  fields: OpaqueFields;
};

export type Open = BackendRequest["open"];

export type ChatState = {
  /** Finished messages, each behind a comma; while the system still has the first word, its message without its end. */
  readonly closed: Rope;
  readonly isLeadOpen: boolean;
  readonly run: Readonly<Run> | null;
  /** Calls in finished messages that have no answer yet. */
  readonly open: readonly OpenCall[];
  /** Items that wait for those answers. */
  readonly deferred: readonly Item[];
  /** Names of the calls, by id, that were answered with something in the place of an output: that may still come. */
  readonly late: ReadonlyMap<string, string>;
  /** What the dialect still holds back. */
  readonly shape: ShapeState;
};

export const START: ChatState = {
  closed: Rope.empty,
  isLeadOpen: false,
  run: null,
  open: [],
  deferred: [],
  late: new Map(),
  shape: UNSHAPED,
};

/** What the model reads of a call of an async tool until its output is there. */
const STILL_RUNNING = "The tool is still running. Go on without its output: it comes in a later message.";

/** Writes messages behind a state. It copies what it changes, once, so that the state stays what it was. */
export class ChatWriter {
  readonly #form: ChatForm;
  #shaper: MessageShaper;
  readonly #openCompaction: Open;
  #base: Rope;
  #text = "";
  #isLeadOpen: boolean;
  #longTexts: LongText[] = [];
  #run: Run | null;
  #open: PendingCalls;
  #deferred: Item[];
  #late: ReadonlyMap<string, string>;

  constructor(state: ChatState, form: ChatForm, open: Open) {
    this.#form = form;
    this.#shaper = this.#newShaper(state.shape);
    this.#base = state.closed;
    this.#isLeadOpen = state.isLeadOpen;
    this.#run = state.run && { ...state.run, calls: [...state.run.calls], open: [...state.run.open] };
    this.#open = new PendingCalls(state.open);
    this.#deferred = [...state.deferred];
    this.#late = state.late;
    this.#openCompaction = open;
  }

  /** How much it has written since the last flush, in characters. */
  get length(): number {
    return this.#text.length;
  }

  /** Turns what was written into bytes. */
  flush(): void {
    const closed = this.#base.append(this.#text);
    shareTexts(this.#longTexts, this.#text, closed);
    this.#base = closed;
    this.#text = "";
    this.#longTexts = [];
  }

  /** Where the writing has come to; nothing is written behind it. */
  end(): ChatState {
    this.flush();
    const open = this.#open.size === 0 ? START.open : this.#open.all();
    return {
      closed: this.#base,
      isLeadOpen: this.#isLeadOpen,
      run: this.#run,
      open,
      deferred: this.#deferred,
      late: this.#late,
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
    if (this.#run === null && !isToolOutput(first)) {
      if (!this.#isAnswered()) return this.#defer(item);
      if (this.#deferred.length > 0) this.#addDeferred();
    }
    for (const each of known) this.#add(each, item);
  }

  /** @param origin what the item stands for, or the item itself */
  #add(item: Item, origin: Item): void {
    if (isToolOutput(item)) return this.#toolOutput(item, origin);
    if (isItem(item, "message") && item.role !== "assistant") {
      this.#closeRun();
      if (this.#open.size > 0) return item === origin ? this.add(item) : this.#defer(item);
      if (item.role === "user") this.#message({ role: "user", content: chatContent(item.content) }, item, item.content);
      else this.#system(item);
      return;
    }
    this.#extendRun(item, origin);
  }

  /** Templates of many models take nothing but one string for the system, at the very beginning. */
  #system(item: MessageItem & Item): void {
    const text = plainText(item.content);
    const { system } = this.#form.dialect;
    const isFirst = system !== "none" && this.#base.length === 0 && this.#text === "" && !this.#shaper.hasBegun;
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
    if (this.#isAnswered()) this.#addDeferred();
    this.#closeLead();
    this.#shaper.finish();
  }

  #closeLead(): void {
    if (!this.#isLeadOpen) return;
    this.#isLeadOpen = false;
    this.#text += '"}';
  }

  /** Whether no call is open; those that need no output get something in its place, since chat servers want each to have one. */
  #isAnswered(): boolean {
    if (this.#open.owed > 0) return false;
    if (this.#open.size === 0) return true;
    const late = new Map(this.#late);
    for (const { id, name, instead } of this.#open.all()) {
      this.#message({ role: "tool", tool_call_id: id, content: instead });
      late.set(id, name);
    }
    this.#late = late;
    this.#open = new PendingCalls();
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
      this.#open = new PendingCalls();
      this.#deferred = [];
      this.#late = START.late;
      this.#shaper = this.#newShaper(START.shape);
    }
    for (const each of items) this.add(each);
  }

  #extendRun(item: Item, origin: Item): void {
    const run = (this.#run ??= { text: null, reasoning: "", calls: [], open: [], fields: {} });
    const opaque = opaqueOf(origin);
    const own = opaque !== undefined && opaque.origin === this.#form.origin ? opaque : undefined;
    const isForeign = item !== origin;
    if (own?.message !== undefined) run.fields = joinFields(run.fields, own.message);
    if (isItem(item, "message")) {
      run.text = apart(run.text ?? "", plainText(item.content));
    } else if (isItem(item, "reasoning")) {
      // The summary stands in where the text itself is not known.
      const parts = item.content?.length ? item.content : (item.summary ?? []);
      run.reasoning = apart(run.reasoning, plainText(parts));
    } else if (isToolCall(item)) {
      const text =
        item.type === "function_call" ? argumentsObject(item.arguments) : JSON.stringify({ input: item.input });
      const name = this.#form.renamed.get(toolKey(item.namespace, item.name)) ?? chatName(item.namespace, item.name);
      run.calls.push({ id: item.call_id, type: "function", function: { name, arguments: text }, ...own?.call });
      const instead = isAsyncCall(item) ? STILL_RUNNING : isForeign ? "" : null;
      run.open.push({ id: item.call_id, name, isForeign, instead });
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
    for (const call of run.open) this.#open.add(call);
    this.#message({
      role: "assistant",
      // Not null, as OpenAI has it for calls without text: some servers refuse that, and nearly all take an empty string.
      content: run.text ?? "",
      ...(reasoning !== "" && { [field]: reasoning }),
      ...run.fields,
      ...(hasCalls && { tool_calls: run.calls }),
    });
  }

  #toolOutput(item: ToolOutputItem & Item, origin: Item): void {
    this.#closeRun();
    const isAnswer = typeof item.call_id === "string" && this.#open.answer(item.call_id, item !== origin);
    if (!isAnswer && this.#deferred.length > 0) return this.#defer(origin);
    if (!isAnswer) return this.#lateOutput(item);
    this.#message(
      { role: "tool", tool_call_id: item.call_id, content: plainText(item.output, "\n") },
      item,
      item.output,
    );
    if (this.#open.size === 0) this.#addDeferred();
  }

  /** An output whose call has been given up, or never was there: the model still reads it, from the user. */
  #lateOutput(item: ToolOutputItem & Item): void {
    const { call_id, output } = item;
    const name = this.#late.get(call_id ?? "");
    const said = name === undefined ? item : { call_id, name };
    const text = `Output of ${outputName(said)}:\n${plainText(output, "\n")}`;
    this.add({ type: "message", role: "user", content: [{ type: "input_text", text }] });
  }

  #defer(item: Item): void {
    this.#deferred.push(item);
  }

  #addDeferred(): void {
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
    for (const found of findLongTexts(json, owners, this.#text.length)) this.#longTexts.push(found);
    this.#text += json;
  }
}

/** Texts of neighbours, so that they are not read as one. */
function apart(before: string, behind: string): string {
  return before === "" || behind === "" ? before + behind : `${before}\n\n${behind}`;
}
