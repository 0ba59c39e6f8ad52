import { createHash } from "node:crypto";
import type { Dialect } from "./dialect.ts";

/**
 * Messages in the dialect of a model. Takes them in the common form, one after another, and writes them in that of the
 * dialect; what may still change (a message that the next one may join, calls that get messages of their own) is held until
 * then. What is written is a function of the messages alone, and what is held is a value, so contexts can be continued.
 */

export type ChatRole = "system" | "user" | "assistant" | "tool";

export type ChatContent = string | readonly object[] | null;

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

export type ShapeState = {
  /** The role of the last message behind the system's first one. */
  readonly last: ChatRole | null;
  /** Whether anybody but the system has spoken. */
  readonly hasBegun: boolean;
  /** The last message, while the next one may still join it. */
  readonly pending: Held | null;
  /** An assistant message with several calls, and the outputs that have come: each call gets a message of its own. */
  readonly calls: { readonly by: Held; readonly outputs: readonly Held[] } | null;
};

export const UNSHAPED: ShapeState = { last: null, hasBegun: false, pending: null, calls: null };

const BEGINNING: ChatMessage = { role: "user", content: "[The beginning of this conversation is not shown.]" };
const BETWEEN: ChatMessage = { role: "assistant", content: "I have read the output." };
const GO_ON: ChatMessage = { role: "user", content: "Continue." };
const NO_OUTPUT = "(no output)";
const CALLS_IN_WORDS = "(calls tools)";
const BETWEEN_TEXTS = "\n\n";

export class MessageShaper {
  readonly #dialect: Dialect;
  readonly #emit: (message: ChatMessage, owners: readonly object[]) => void;
  #state: ShapeState;

  constructor(state: ShapeState, dialect: Dialect, emit: (message: ChatMessage, owners: readonly object[]) => void) {
    this.#state = state;
    this.#dialect = dialect;
    this.#emit = emit;
  }

  get state(): ShapeState {
    return this.#state;
  }

  /** Takes the next message. @param owners what its texts belong to */
  message(message: ChatMessage, owners: readonly object[]): void {
    const { calls } = this.#state;
    if (calls !== null && message.role === "tool") {
      const outputs = [...calls.outputs, { message, owners }];
      this.#state = { ...this.#state, calls: { ...calls, outputs } };
      if (outputs.length >= (calls.by.message.tool_calls?.length ?? 0)) this.#splitCalls();
      return;
    }
    this.#splitCalls();
    const { callsPerMessage, toolMessages } = this.#dialect;
    if (callsPerMessage === "one" && toolMessages === "tool" && (message.tool_calls?.length ?? 0) > 1) {
      this.#state = { ...this.#state, calls: { by: { message, owners }, outputs: [] } };
      return;
    }
    this.#deliver({ message, owners });
  }

  /** Writes what is held, as the end of a request wants it. */
  finish(): void {
    this.#splitCalls();
    const { firstMessage, lastMessage } = this.#dialect;
    if (firstMessage === "user" && !this.#state.hasBegun) this.#put({ message: BEGINNING, owners: [] });
    if (lastMessage === "user" && this.#state.last === "assistant") this.#put({ message: GO_ON, owners: [] });
    this.#release();
  }

  /** Whether there is nothing that `finish` would write. */
  static isFinished({ pending, calls, last, hasBegun }: ShapeState, { firstMessage, lastMessage }: Dialect): boolean {
    if (pending !== null || calls !== null) return false;
    if (firstMessage === "user" && !hasBegun) return false;
    return lastMessage === "any" || last !== "assistant";
  }

  /** One message for each call, its output behind it. */
  #splitCalls(): void {
    const { calls } = this.#state;
    if (calls === null) return;
    this.#state = { ...this.#state, calls: null };
    const { message, owners } = calls.by;
    const outputs = [...calls.outputs];
    for (const [index, call] of (message.tool_calls ?? []).entries()) {
      const own: ChatMessage =
        index === 0 ? { ...message, tool_calls: [call] } : { role: "assistant", content: "", tool_calls: [call] };
      this.#deliver({ message: own, owners: index === 0 ? owners : [] });
      const at = outputs.findIndex((output) => output.message.tool_call_id === call.id);
      const [output] = at === -1 ? [] : outputs.splice(at, 1);
      if (output !== undefined) this.#deliver(output);
    }
    for (const output of outputs) this.#deliver(output);
  }

  #deliver(held: Held): void {
    const shaped = this.#shape(held.message);
    if (shaped === null) return;
    const { last, hasBegun } = this.#state;
    const { firstMessage, afterTool } = this.#dialect;
    const isFirst = !hasBegun && shaped.role !== "system";
    if (firstMessage === "user" && isFirst && shaped.role !== "user") this.#put({ message: BEGINNING, owners: [] });
    if (afterTool === "assistant" && last === "tool" && shaped.role === "user") {
      this.#put({ message: this.#withReasoning(BETWEEN), owners: [] });
    }
    this.#put({ message: shaped, owners: held.owners });
  }

  #put(held: Held): void {
    const { role } = held.message;
    const hasBegun = this.#state.hasBegun || role !== "system";
    if (this.#dialect.sameRole === "separate" || role === "tool") {
      this.#release();
      this.#emit(held.message, held.owners);
      this.#state = { ...this.#state, last: role, hasBegun };
      return;
    }
    const { pending } = this.#state;
    const isJoined = pending !== null && pending.message.role === role;
    if (!isJoined) this.#release();
    this.#state = { ...this.#state, pending: isJoined ? joined(pending, held) : held, last: role, hasBegun };
  }

  #release(): void {
    const { pending } = this.#state;
    if (pending === null) return;
    this.#emit(pending.message, pending.owners);
    this.#state = { ...this.#state, pending: null };
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

function joined(first: Held, second: Held): Held {
  const { tool_calls: calls = [], ...one } = first.message;
  const { tool_calls: more = [], ...other } = second.message;
  const message = {
    ...one,
    ...other,
    ...joinedReasoning(one, other),
    content: joinedContent(one.content, other.content),
  };
  const all = [...calls, ...more];
  return {
    message: all.length === 0 ? message : { ...message, tool_calls: all },
    owners: [...first.owners, ...second.owners],
  };
}

function joinedReasoning(one: object, other: object): object {
  const found: Record<string, string> = {};
  for (const field of ["reasoning_content", "reasoning"] as const) {
    const texts = [one, other].flatMap((message) => {
      const text = (message as Record<string, unknown>)[field];
      return typeof text === "string" ? text : [];
    });
    if (texts.length > 0) found[field] = texts.filter((text) => text !== "").join(BETWEEN_TEXTS);
  }
  return found;
}

function joinedContent(one: ChatContent, other: ChatContent): ChatContent {
  if (typeof one === "object" && one !== null) return [...one, ...partsOf(other)];
  if (typeof other === "object" && other !== null) return [...partsOf(one), ...other];
  return [one, other].filter((text) => text !== null && text !== "").join(BETWEEN_TEXTS);
}

function partsOf(content: ChatContent): readonly object[] {
  if (typeof content !== "string") return content ?? [];
  return content === "" ? [] : [{ type: "text", text: content }];
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
