import { randomUUID } from "node:crypto";
import type { BackendEvent } from "../core/ports.ts";
import { ApiError } from "../protocol/errors.ts";
import { keepOpaque } from "../protocol/opaque.ts";
import { CallArguments, sameJson } from "./call-arguments.ts";
import type { CallPiece, Fields } from "./call-pieces.ts";
import { brokenStream, unreadable } from "./chat-errors.ts";
import type { ChatHead } from "./chat-request.ts";
import { type ClientTool, clientCall } from "./client-tools.ts";
import { CustomInput } from "./custom-input.ts";
import { appendJoined } from "./join-deltas.ts";

type Call = {
  readonly key: number;
  /** The list of calls that it came in, by its number: two calls of one list are never one call. */
  readonly list: number;
  readonly index: number | null;
  /** As the server has it. */
  id: string | null;
  /** Another call has this id: the client gets one that the server has not given. */
  hasTakenId: boolean;
  name: string;
  extra: Fields | null;
  readonly arguments: CallArguments;
  /** The call that this one may be a repetition of; null once it is known to be another one. */
  twin: Call | null;
  /** Announced calls have an item or, for tools of the client, will have one when they are complete. */
  state: "gathering" | "announced" | "closed";
  custom: CustomInput | null;
  client: ClientTool | null;
};

/**
 * Puts the tool calls of one answer together. Servers tell calls apart by index, by id, by both, or by neither; the rules:
 *
 * - A known id is that call, and else the index is, and else a piece without a name continues the last call.
 * - A new id with a name begins a call, and so does another name once a call has arguments.
 * - A call whose name and arguments another one has, with its id or at its place, is that call once more.
 * - A call is announced when its name is known and its arguments have begun, and calls are announced in order.
 * - A call whose arguments are complete is closed before anything else begins.
 */
export class ChatCalls {
  readonly #head: Pick<ChatHead, "tools" | "allowed">;
  readonly #origin: string;
  readonly #calls: Call[] = [];
  readonly #byIndex = new Map<number, Call>();
  readonly #byId = new Map<string, Call>();
  /** Those that are not closed, in order. */
  #live: Call[] = [];
  #last: Call | null = null;
  #lists = 0;

  /** @param origin names the model server */
  constructor(head: Pick<ChatHead, "tools" | "allowed">, origin: string) {
    this.#head = head;
    this.#origin = origin;
  }

  /** Whether there has been any. */
  get any(): boolean {
    return this.#calls.length > 0;
  }

  /** Reads the calls of one chunk. @throws ApiError */
  read(pieces: readonly CallPiece[], events: BackendEvent[]): void {
    this.#lists += 1;
    for (const piece of pieces) {
      if (piece.id === null && piece.name === "" && piece.text === "" && piece.extra === null) continue;
      const call = this.#callFor(piece, events);
      this.#last = call;
      this.#add(call, piece, events);
    }
  }

  /** Closes the calls whose arguments are complete: another item begins. @throws ApiError */
  closeComplete(events: BackendEvent[]): void {
    for (const call of this.#live) if (call.arguments.isComplete && call.name !== "") this.#close(call, events);
    this.#live = this.#live.filter(({ state }) => state !== "closed");
  }

  /**
   * Ends the calls that are left.
   * @param isCut whether the server stopped before the model did: what is unfinished is then left out
   * @throws ApiError when a call cannot be understood
   */
  end(isCut: boolean, events: BackendEvent[]): void {
    for (const call of this.#live) {
      if (isCut && !call.arguments.isComplete) {
        if (call.state === "announced" && call.client === null) this.#say(call, call.arguments.end(), events);
        continue;
      }
      const rest = call.arguments.end();
      if (call.twin !== null && sameJson(call.arguments.text, call.twin.arguments.text)) continue;
      if (call.name === "") throw unreadable("made a tool call without a name", call.arguments.text);
      if (call.state === "gathering") this.#announce(call, events);
      this.#say(call, rest, events);
      this.#finish(call, events);
    }
    this.#live = [];
  }

  #callFor(piece: CallPiece, events: BackendEvent[]): Call {
    const { index, id, name } = piece;
    const atIndex = index === null ? this.#last : (this.#byIndex.get(index) ?? null);
    if (id !== null) {
      const known = atIndex?.id === id ? atIndex : this.#byId.get(id);
      if (known !== undefined) return this.#sameOrOther(known, piece, events);
    }
    if (atIndex === null) return this.#continuesLast(piece) ?? this.#open(piece, events);
    if (id === null) return this.#sameOrOther(atIndex, piece, events);
    const { arguments: text } = atIndex;
    // An id that comes behind the beginning of its call.
    if (atIndex.id === null && atIndex.name === "") return atIndex;
    if (atIndex.id === null && (name === "" || (name === atIndex.name && text.isEmpty)) && !text.isComplete)
      return atIndex;
    // Servers that make up an id for each piece name the call only once.
    if (name === "" && !text.isComplete && atIndex.state !== "closed") return atIndex;
    return this.#open(piece, events);
  }

  /** Servers that count pieces instead of calls. */
  #continuesLast({ index, id, name }: CallPiece): Call | null {
    const last = this.#last;
    if (index === null || id !== null || name !== "" || last === null || last.index === null) return null;
    return last.arguments.isEmpty || last.arguments.isComplete ? null : last;
  }

  /** The call itself, or one that has its id or its place. */
  #sameOrOther(call: Call, piece: CallPiece, events: BackendEvent[]): Call {
    const { index, id, name } = piece;
    if (name === "" || call.name === "") return call;
    const isElsewhere = index !== null && call.index !== null && index !== call.index;
    if (name !== call.name) {
      if (!isElsewhere && this.#isPartOfName(call, name)) return call;
      return this.#open(piece, events);
    }
    if (isElsewhere) return this.#open(piece, events, call);
    if (id === null && index === null && call.list === this.#lists) return this.#open(piece, events);
    // Before the arguments are complete, and without any, it is the name once more.
    return piece.text === "" || !call.arguments.isComplete ? call : this.#open(piece, events, call);
  }

  /** Whether the text goes on with the name of a call. */
  #isPartOfName(call: Call, text: string): boolean {
    if (call.state !== "gathering") return false;
    const offered = this.#head.tools.behind;
    const joined = joinNames(call.name, text, offered);
    return offered.has(joined) || (call.arguments.isEmpty && !(offered.has(call.name) && offered.has(text)));
  }

  #open(piece: CallPiece, events: BackendEvent[], twin: Call | null = null): Call {
    this.closeComplete(events);
    const { index, id } = piece;
    const call: Call = {
      key: this.#calls.length,
      list: this.#lists,
      index,
      id,
      hasTakenId: id !== null && this.#byId.has(id),
      name: "",
      extra: null,
      arguments: new CallArguments(),
      twin,
      state: "gathering",
      custom: null,
      client: null,
    };
    this.#calls.push(call);
    this.#live.push(call);
    if (index !== null) this.#byIndex.set(index, call);
    if (id !== null && !call.hasTakenId) this.#byId.set(id, call);
    return call;
  }

  #add(call: Call, piece: CallPiece, events: BackendEvent[]): void {
    if (piece.id !== null && call.id === null) {
      call.id = piece.id;
      call.hasTakenId = this.#byId.has(piece.id);
      if (!call.hasTakenId) this.#byId.set(piece.id, call);
    }
    if (piece.extra !== null) {
      call.extra = { ...call.extra, ...piece.extra };
      if (call.state !== "gathering") this.#sayExtra(call, events);
    }
    if (call.state === "closed") {
      if (call.arguments.repeats(piece.text)) return;
      throw unreadable("went on with a tool call after its arguments were complete", call.name);
    }
    if (call.state === "gathering" && piece.name !== "") {
      call.name = joinNames(call.name, piece.name, this.#head.tools.behind);
    }
    call.arguments.push(piece.text);
    if (call.twin !== null && !call.twin.arguments.text.startsWith(call.arguments.text)) {
      if (!call.arguments.isComplete || !sameJson(call.arguments.text, call.twin.arguments.text)) call.twin = null;
    }
    if (this.#mayBeAnnounced(call)) this.#announce(call, events);
    if (call.state === "announced") this.#say(call, call.arguments.take(), events);
  }

  /** The name is known when arguments have begun, unless it is only the beginning of a name that was offered. */
  #mayBeAnnounced({ state, twin, name, arguments: text }: Call): boolean {
    if (state !== "gathering" || twin !== null || name === "" || text.isEmpty) return false;
    const offered = this.#head.tools.behind;
    return offered.has(name) || ![...offered.keys()].some((known) => known.startsWith(name));
  }

  #announce(call: Call, events: BackendEvent[]): void {
    for (const earlier of this.#live) {
      if (earlier === call) break;
      if (earlier.state === "gathering" && earlier.name !== "" && earlier.twin === null) this.#begin(earlier, events);
    }
    this.#begin(call, events);
  }

  #begin(call: Call, events: BackendEvent[]): void {
    const { allowed, tools } = this.#head;
    if (allowed !== null && !allowed.has(call.name)) {
      throw new ApiError("server_error", `The model called the tool '${call.name}', which tool_choice does not allow.`);
    }
    call.state = "announced";
    // A model may call what it was never offered: the client knows best what to say to that.
    const tool = tools.behind.get(call.name);
    if (tool?.kind === "client") {
      call.client = tool;
      return;
    }
    const { kind, name, namespace } = tool ?? { kind: "function", name: call.name, namespace: null };
    if (kind === "custom") call.custom = new CustomInput();
    this.#sayExtra(call, events);
    const said = { type: "call", key: call.key, kind, callId: call.hasTakenId ? null : call.id, name } as const;
    events.push(namespace === null ? said : { ...said, namespace });
  }

  /** What the server wants to see again beside the call. */
  #sayExtra({ key, extra, client }: Call, events: BackendEvent[]): void {
    if (extra !== null && client === null) events.push({ type: "opaque", origin: this.#origin, key, fields: extra });
  }

  #say(call: Call, text: string, events: BackendEvent[]): void {
    if (text === "" || call.client !== null) return;
    const delta = call.custom === null ? text : call.custom.push(text);
    if (delta !== "") appendJoined(events, { type: "call.delta", key: call.key, delta });
  }

  /** Ends a call whose arguments are complete, before another item begins. */
  #close(call: Call, events: BackendEvent[]): void {
    const rest = call.arguments.end();
    if (call.twin === null || !sameJson(call.arguments.text, call.twin.arguments.text)) {
      if (call.state === "gathering") this.#announce(call, events);
      this.#say(call, rest, events);
      this.#finish(call, events);
      if (call.client === null) events.push({ type: "call.done", key: call.key });
    }
    call.state = "closed";
  }

  #finish(call: Call, events: BackendEvent[]): void {
    if (call.client !== null) {
      const callId = call.hasTakenId ? null : call.id;
      const item = clientCall(call.client.type, callId ?? `call_${randomUUID()}`, call.arguments.text);
      if (item === undefined) throw brokenStream(`made a call of '${call.client.type}' that cannot be read`);
      if (call.extra !== null) keepOpaque(item, { origin: this.#origin, call: call.extra });
      events.push({ type: "item", item });
      return;
    }
    const rest = call.custom?.end() ?? "";
    if (rest !== "") appendJoined(events, { type: "call.delta", key: call.key, delta: rest });
  }
}

/** A name and what came behind it: the next part, the name once more, or the name as far as it is known by now. */
function joinNames(name: string, more: string, offered: ReadonlyMap<string, unknown>): string {
  if (name === "" || offered.has(name + more)) return name + more;
  return more.startsWith(name) ? more : name + more;
}
