import { createHash } from "node:crypto";
import type { OpaqueFields } from "../protocol/opaque.ts";
import type { Dialect } from "./dialect.ts";
import { joinFields } from "./message-fields.ts";

/**
 * Messages in the dialect of a model. Takes them in the common form, one after another, and writes them in that of the
 * dialect; what may still change (a message that the next one may join, calls that get messages of their own) is held until
 * then. What is written is a function of the messages alone, and what is held is a value, so contexts can be continued.
 */

export type ChatRole = "system" | "user" | "assistant" | "tool";

type ChatContent = string | readonly object[] | null;

/** A message; besides these fields those that carry reasoning, and whatever else its server wants back. */
export type ChatMessage = {
  readonly role: ChatRole;
  readonly content: ChatContent;
  readonly tool_calls?: readonly ChatToolCall[];
  readonly tool_call_id?: string;
  readonly [field: string]: unknown;
};

export type ChatToolCall = {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
  readonly [field: string]: unknown;
};

/** A message, and what its texts belong to. */
type Held = { readonly message: ChatMessage; readonly owners: readonly object[] };

/** An assistant message with several calls, and the outputs that have come: each call gets a message of its own. */
type HeldCalls = { readonly by: Held; readonly outputs: readonly Held[] };

export type ShapeState = {
  /** The role of the last message behind the system's first one. */
  readonly last: ChatRole | null;
  /** Whether anybody but the system has spoken. */
  readonly hasBegun: boolean;
  /** Messages of one role that become one; the next may still join them. */
  readonly pending: readonly Held[];
  readonly calls: HeldCalls | null;
};

export const UNSHAPED: ShapeState = { last: null, hasBegun: false, pending: [], calls: null };

const BEGINNING: ChatMessage = { role: "user", content: "[The beginning of this conversation is not shown.]" };
const BETWEEN: ChatMessage = { role: "assistant", content: "I have read the output." };
const GO_ON: ChatMessage = { role: "user", content: "Continue." };
const NO_OUTPUT = "(no output)";
const CALLS_IN_WORDS = "(calls tools)";
const BETWEEN_TEXTS = "\n\n";

/** Goes on from a state. It copies what it changes, once, so that the state stays what it was. */
export class MessageShaper {
  readonly #dialect: Dialect;
  readonly #emit: (message: ChatMessage, owners: readonly object[]) => void;
  #last: ChatRole | null;
  #hasBegun: boolean;
  #pending: Held[];
  #calls: { readonly by: Held; readonly outputs: Held[] } | null;

  constructor(state: ShapeState, dialect: Dialect, emit: (message: ChatMessage, owners: readonly object[]) => void) {
    this.#last = state.last;
    this.#hasBegun = state.hasBegun;
    this.#pending = [...state.pending];
    this.#calls = state.calls && { by: state.calls.by, outputs: [...state.calls.outputs] };
    this.#dialect = dialect;
    this.#emit = emit;
  }

  /** Where it has come to; it takes no more messages then. */
  get state(): ShapeState {
    return { last: this.#last, hasBegun: this.#hasBegun, pending: this.#pending, calls: this.#calls };
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Takes the next message. @param owners what its texts belong to */
  message(message: ChatMessage, owners: readonly object[]): void {
    if (this.#calls !== null && message.role === "tool") {
      const { by, outputs } = this.#calls;
      outputs.push({ message, owners });
      if (outputs.length >= (by.message.tool_calls?.length ?? 0)) this.#splitCalls();
      return;
    }
    this.#splitCalls();
    const { callsPerMessage, toolMessages } = this.#dialect;
    if (callsPerMessage === "one" && toolMessages === "tool" && (message.tool_calls?.length ?? 0) > 1) {
      this.#calls = { by: { message, owners }, outputs: [] };
      return;
    }
    this.#deliver({ message, owners });
  }

  /** Writes what is held, as the end of a request wants it. */
  finish(): void {
    this.#splitCalls();
    const { firstMessage, lastMessage } = this.#dialect;
    if (firstMessage === "user" && !this.#hasBegun) this.#put({ message: BEGINNING, owners: [] });
    if (lastMessage === "user" && this.#last === "assistant") this.#put({ message: GO_ON, owners: [] });
    this.#release();
  }

  /** Whether there is nothing that `finish` would write. */
  static isFinished({ pending, calls, last, hasBegun }: ShapeState, { firstMessage, lastMessage }: Dialect): boolean {
    if (pending.length > 0 || calls !== null) return false;
    if (firstMessage === "user" && !hasBegun) return false;
    return lastMessage === "any" || last !== "assistant";
  }

  /** One message for each call, its output behind it. */
  #splitCalls(): void {
    const held = this.#calls;
    if (held === null) return;
    this.#calls = null;
    const { message, owners } = held.by;
    const outputs = new Map<string, Held[]>();
    for (const output of held.outputs.toReversed()) {
      const id = output.message.tool_call_id ?? "";
      const known = outputs.get(id);
      if (known === undefined) outputs.set(id, [output]);
      else known.push(output);
    }
    for (const [index, call] of (message.tool_calls ?? []).entries()) {
      const own: ChatMessage = index === 0 ? message : { role: "assistant", content: "" };
      this.#deliver({ message: { ...own, tool_calls: [call] }, owners: index === 0 ? owners : [] });
      const output = outputs.get(call.id)?.pop();
      if (output !== undefined) this.#deliver(output);
    }
    for (const output of [...outputs.values()].flat()) this.#deliver(output);
  }

  #deliver(held: Held): void {
    const shaped = this.#shape(held.message);
    if (shaped === null) return;
    const { firstMessage, afterTool } = this.#dialect;
    const isFirst = !this.#hasBegun && shaped.role !== "system";
    if (firstMessage === "user" && isFirst && shaped.role !== "user") this.#put({ message: BEGINNING, owners: [] });
    if (afterTool === "assistant" && this.#last === "tool" && shaped.role === "user") {
      this.#put({ message: this.#withReasoning(BETWEEN), owners: [] });
    }
    this.#put({ message: shaped, owners: held.owners });
  }

  #put(held: Held): void {
    const { role } = held.message;
    const isSeparate = this.#dialect.sameRole === "separate" || role === "tool";
    if (isSeparate || this.#last !== role) this.#release();
    this.#last = role;
    this.#hasBegun ||= role !== "system";
    if (isSeparate) this.#emit(held.message, held.owners);
    else this.#pending.push(held);
  }

  #release(): void {
    if (this.#pending.length === 0) return;
    const messages = this.#pending;
    this.#pending = [];
    this.#emit(
      joined(messages.map(({ message }) => message)),
      messages.flatMap(({ owners }) => owners),
    );
  }

  /** The message by itself in the dialect; null for one that is left out. */
  #shape(message: ChatMessage): ChatMessage | null {
    const { toolMessages, callIds, content } = this.#dialect;
    if (message.role === "assistant") return this.#assistant(message);
    if (message.role === "tool") {
      const said = contentText(message.content);
      const text = said === "" && this.#dialect.emptyMessages === "avoided" ? NO_OUTPUT : said;
      if (toolMessages === "text") {
        return { role: "user", content: `<tool_response>\n${text}\n</tool_response>` };
      }
      const id = message.tool_call_id ?? "";
      return { ...message, tool_call_id: callIds === "any" ? id : shortId(id), content: text };
    }
    if (content === "text" && Array.isArray(message.content)) {
      return { ...message, content: contentText(message.content) };
    }
    return message;
  }

  #assistant(message: ChatMessage): ChatMessage | null {
    const { toolMessages, callIds, emptyContent, emptyMessages } = this.#dialect;
    const calls = message.tool_calls ?? [];
    const isEmpty = message.content === "" || message.content === null;
    if (calls.length === 0) {
      return isEmpty && emptyMessages === "avoided" ? null : this.#withReasoning(message);
    }
    if (toolMessages === "text") {
      const { tool_calls: _, ...rest } = message;
      const texts = [...(isEmpty ? [] : [contentText(message.content)]), ...calls.map(callInWords)];
      return this.#withReasoning({ ...rest, content: texts.join("\n") });
    }
    const named = callIds === "any" ? calls : calls.map((call) => ({ ...call, id: shortId(call.id) }));
    const empty = { string: "", null: null, words: CALLS_IN_WORDS }[emptyContent];
    return this.#withReasoning({ ...message, content: isEmpty ? empty : message.content, tool_calls: named });
  }

  #withReasoning(message: ChatMessage): ChatMessage {
    const { reasoning, reasoningOn } = this.#dialect;
    if (reasoning === "none" || reasoningOn === "thoughts" || message[reasoning] !== undefined) return message;
    return { ...message, [reasoning]: "" };
  }
}

/** Messages of one role as one: their texts and parts in order, and their calls behind. */
function joined(messages: readonly ChatMessage[]): ChatMessage {
  const [only] = messages;
  if (messages.length === 1 && only !== undefined) return only;
  const message: ChatMessage = {
    ...(messages.reduce<OpaqueFields>(joinFields, {}) as ChatMessage),
    content: joinedContent(messages.map(({ content }) => content)),
  };
  const calls = messages.flatMap(({ tool_calls: own = [] }) => own);
  return { ...message, ...joinedReasoning(messages), ...(calls.length > 0 && { tool_calls: calls }) };
}

function joinedReasoning(messages: readonly ChatMessage[]): object {
  const found: Record<string, string> = {};
  for (const field of ["reasoning_content", "reasoning"] as const) {
    const texts = messages.map((message) => message[field]).filter((text) => typeof text === "string");
    if (texts.length > 0) found[field] = texts.filter((text) => text !== "").join(BETWEEN_TEXTS);
  }
  return found;
}

function joinedContent(contents: readonly ChatContent[]): ChatContent {
  const texts: string[] = [];
  const parts: object[] = [];
  const closeText = (): void => {
    if (texts.length > 0) parts.push({ type: "text", text: texts.splice(0).join(BETWEEN_TEXTS) });
  };
  for (const content of contents) {
    if (typeof content === "string") {
      if (content !== "") texts.push(content);
      continue;
    }
    if (content === null) continue;
    closeText();
    for (const part of content) parts.push(part);
  }
  if (parts.length === 0) return texts.join(BETWEEN_TEXTS);
  closeText();
  return parts;
}

function contentText(content: ChatContent): string {
  return typeof content === "string" ? content : (content ?? []).map(textOf).join("\n");
}

function textOf(part: object): string {
  const { type, text } = part as { readonly type?: unknown; readonly text?: unknown };
  return typeof text === "string" ? text : `[${String(type)} that cannot be shown here]`;
}

function callInWords({ function: { name, arguments: given } }: ChatToolCall): string {
  return `<tool_call>\n{"name":${JSON.stringify(name)},"arguments":${given}}\n</tool_call>`;
}

const SHORT_ID = /^[a-zA-Z0-9]{9}$/;
const ALPHANUMERICS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** An id of nine letters and digits, the same for the same id each time. */
export function shortId(id: string): string {
  if (SHORT_ID.test(id)) return id;
  const digest = createHash("sha256").update(id).digest();
  let rest = digest.readBigUInt64BE();
  let short = "";
  while (short.length < 9) {
    short += ALPHANUMERICS[Number(rest % 62n)];
    rest /= 62n;
  }
  return short;
}
