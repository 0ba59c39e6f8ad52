import { type ApiError, toApiError } from "../protocol/errors.ts";
import type { ServerEvent, TerminalEvent } from "../protocol/events.ts";
import { ID_PREFIX, itemId } from "../protocol/ids.ts";
import { type Item, isToolCall, type MessagePhase, type OutputItem, type TokenLogprob } from "../protocol/items.ts";
import { listedId } from "../protocol/listed-item.ts";
import { copyOpaque } from "../protocol/opaque.ts";
import { NO_USAGE, type Response, type Usage } from "../protocol/response.ts";
import { EVENT } from "../protocol/table.ts";
import { OpenCompaction } from "./open-compaction.ts";
import { growthOf } from "./item-growth.ts";
import { opensItem, type TurnEvent } from "./turn-event.ts";
import { EventLog, OpenCall, OpenText, type TextKind } from "./open-item.ts";
import { OpenOpaque } from "./open-opaque.ts";
import type { BackendEvent, FinishReason } from "./ports.ts";
import type { Move } from "./recording.ts";
import type { Chance, ResponseFrame } from "./response-frame.ts";

const NO_ITEMS: readonly never[] = Object.freeze([]);

/**
 * Turns what a backend says into the events of one response: numbered from 0 without gaps, ordered and complete, with
 * items that open and close as the API's grammar demands. The growing response never leaves it: every event carries
 * frozen values of its own.
 */
export class Assembler {
  readonly #frame: ResponseFrame;
  readonly #runtime: Chance;
  readonly #moves: Move[] | null;
  readonly #log = new EventLog();
  /** Items that are done, by output index; a hole stands for one that is open or was dropped. */
  readonly #output: OutputItem[] = [];
  readonly #calls = new Map<number, OpenCall>();
  readonly #opaque = new OpenOpaque();
  #text: OpenText | null = null;
  #compaction: OpenCompaction | null = null;
  /** The item that grew last: the one that a cut-off finish has cut. */
  #last: OpenText | OpenCall | null = null;
  #added = 0;
  #characters = 0;
  #usage: Usage | null = null;
  #finish: FinishReason | null = null;
  #boundary: "none" | "wanted" | "reached" = "none";

  /** @param moves takes what the events are made from, so that they can be made again; null records nothing */
  constructor(frame: ResponseFrame, runtime: Chance, moves: Move[] | null = null) {
    this.#runtime = runtime;
    this.#frame = frame;
    this.#moves = moves;
  }

  get id(): string {
    return this.#frame.id;
  }

  /** Where all that is said of the response takes its numbers from, also after its end. */
  get numbers(): Pick<EventLog, "next"> {
    return this.#log;
  }

  get usage(): Usage | null {
    return this.#usage;
  }

  /** How many events there have been. */
  get events(): number {
    return this.#log.length;
  }

  /** Characters of text and of arguments so far. */
  get characters(): number {
    return this.#characters;
  }

  /** Whether the backend has said that it is done. */
  get isFinished(): boolean {
    return this.#finish !== null;
  }

  /** Whether no item is open, so that nothing would be cut in two. */
  get isIdle(): boolean {
    return this.#text === null && this.#calls.size === 0 && this.#compaction === null;
  }

  /** Whether the output has come to the end of an item after `stopAtBoundary`; what the backend still says is not heard. */
  get isAtBoundary(): boolean {
    return this.#boundary === "reached";
  }

  /** From now on the output ends where the next item would begin. */
  stopAtBoundary(): void {
    if (this.#boundary === "none") this.#boundary = "wanted";
  }

  /** The first events: two, and between them that it was queued when it runs in the background. */
  start(): readonly ServerEvent[] {
    const { background } = this.#frame;
    const response = this.#response(background ? "queued" : "in_progress", NO_ITEMS);
    this.#log.write({ type: EVENT.created, sequence_number: this.#log.next(), response });
    if (background) this.#log.write({ type: EVENT.queued, sequence_number: this.#log.next(), response });
    const begun = background ? this.#response("in_progress", NO_ITEMS) : response;
    this.#log.write({ type: EVENT.inProgress, sequence_number: this.#log.next(), response: begun });
    return this.#log.take();
  }

  /** The events that a batch of the backend's amounts to. */
  push(batch: readonly TurnEvent[]): readonly ServerEvent[] {
    for (const event of batch) {
      if (this.#boundary === "wanted" && opensItem(event, this.#text?.kind ?? null) && this.#calls.size === 0) {
        this.#closeText("completed");
        this.#boundary = "reached";
        this.#moves?.push({ type: "boundary" });
      }
      if (this.#boundary !== "reached") this.#accept(event);
    }
    return this.#log.take();
  }

  /**
   * Closes what is open, once the backend has ended, and gives the response as it is to be committed.
   * @throws ApiError when the backend ended without saying that it had finished
   */
  finish(): { readonly events: readonly ServerEvent[]; readonly response: Response } {
    const reason = this.#finish;
    if (reason === null) throw toApiError(new Error("the backend ended its stream without a finish"));
    const cut = reason === "stop" ? null : this.#last;
    const isCut = this.#text !== null && this.#text === cut;
    const phase = this.#output.some(isToolCall) || this.#calls.size > 0 ? "commentary" : "final_answer";
    if (isCut) this.#closeText("incomplete");
    else this.#closeText("completed", phase);
    for (const [key, call] of this.#calls) {
      // A client runs a call as soon as it is done, so one that was cut short is dropped: it is never done.
      if (call !== cut) this.#output[call.index] = this.#opaque.call(key, call.close());
    }
    this.#calls.clear();
    const output = this.#doneItems();
    const response: Response =
      reason === "stop"
        ? this.#response("completed", output)
        : Object.freeze({ ...this.#response("incomplete", output), incomplete_details: { reason } });
    return { events: this.#log.take(), response };
  }

  /**
   * Ends a response whose backend was stopped on purpose. A steer waits for the end of an item, so none is open but text
   * that is whole; an interrupt has dropped what was open.
   */
  cut(reason: "steered" | "interrupted" | "cancelled"): {
    readonly events: readonly ServerEvent[];
    readonly response: Response;
  } {
    if (reason === "cancelled") return { events: this.#log.take(), response: this.snapshot("cancelled") };
    this.#closeText("completed");
    const response = { ...this.#response("incomplete", this.#doneItems()), incomplete_details: { reason } };
    return { events: this.#log.take(), response: Object.freeze(response) };
  }

  /** Drops the open items, each with an event of its own, behind the acknowledgement of the interrupt. */
  interrupt(): readonly ServerEvent[] {
    this.#moves?.push({ type: "interrupt" });
    const response_id = this.id;
    this.#log.write({ type: EVENT.interruptAccepted, sequence_number: this.#log.next(), response_id });
    const open = [this.#text, this.#compaction, ...this.#calls.values()].filter((item) => item !== null);
    for (const { id, index } of open.toSorted((a, b) => a.index - b.index)) {
      const at = { response_id, item_id: id, output_index: index };
      this.#log.write({ type: EVENT.itemInterrupted, sequence_number: this.#log.next(), ...at });
    }
    this.#text = null;
    this.#compaction = null;
    this.#calls.clear();
    return this.#log.take();
  }

  /** An event beside the output, such as an acknowledgement: it takes its number from the same count. */
  aside(make: (sequenceNumber: number) => ServerEvent): ServerEvent {
    const event = make(this.#log.next());
    this.#moves?.push({ type: "aside", event });
    return event;
  }

  /** Makes the events of a recorded move once more. */
  replay(move: Move): readonly ServerEvent[] {
    if (move.type === "interrupt") return this.interrupt();
    if (move.type === "aside") return [this.aside((sequence_number) => ({ ...move.event, sequence_number }))];
    if (move.type === "boundary") this.#closeText("completed");
    else this.#accept(move);
    return this.#log.take();
  }

  /** Ends a warm-up: nothing was generated, and nothing was counted. */
  finishWarmUp(): { readonly events: readonly ServerEvent[]; readonly response: Response } {
    this.#usage = NO_USAGE;
    this.#finish = "stop";
    return this.finish();
  }

  /** The response as it is now, with the items that are done. */
  snapshot(status: "queued" | "in_progress" | "cancelled"): Response {
    return this.#response(status, this.#doneItems());
  }

  /** A response that failed: it shows the items that were done before. */
  failed({ code, message }: ApiError): Response {
    return Object.freeze({ ...this.#response("failed", this.#doneItems()), error: { code, message } });
  }

  /** The last event, of a response that has ended and has been committed if it is to be. */
  terminal(response: Response): TerminalEvent {
    const { status } = response;
    const type = status === "completed" ? EVENT.completed : status === "failed" ? EVENT.failed : EVENT.incomplete;
    return { type, sequence_number: this.#log.next(), response };
  }

  #accept(event: TurnEvent): void {
    if (event.type === "opaque") return this.#opaque.take(event);
    if (event.type !== "usage" && event.type !== "finish" && event.type !== "call") this.#moves?.push(event);
    switch (event.type) {
      case "text.delta":
        return this.#textDelta("message", "output_text", event.delta, event.logprobs);
      case "refusal.delta":
        return this.#textDelta("message", "refusal", event.delta);
      case "reasoning.delta":
        // No backend summarises by itself, so a client that asks for a summary is shown the reasoning as one.
        return this.#textDelta(
          "reasoning",
          this.#frame.reasoning.summary ? "summary_text" : "reasoning_text",
          event.delta,
        );
      case "summary.delta":
        return this.#textDelta("reasoning", "summary_text", event.delta);
      case "call":
        return this.#openCall(event);
      case "call.delta":
        return this.#callDelta(event.key, event.delta);
      case "call.done":
        return this.#closeCall(event.key);
      case "annotation":
        return this.#text?.annotate(event.annotation);
      case "item":
        return this.#wholeItem(event.item);
      case "reasoning.sealed":
        // Without open reasoning the seal makes an item of its own, which holds nothing else.
        return this.#openText("reasoning").seal(event.sealed);
      case "compaction.begun":
        return this.#openCompaction();
      case "compaction.grown":
        return this.#compaction?.grow();
      case "compaction.done":
        return this.#closeCompaction(event.content);
      case "usage":
        this.#usage = event.usage;
        return;
      case "finish":
        this.#finish = event.reason;
        return;
      default:
        event satisfies never;
    }
  }

  #textDelta(kind: "message" | "reasoning", part: TextKind, delta: string, logprobs?: readonly TokenLogprob[]): void {
    if (delta === "") return;
    const text = this.#openText(kind);
    this.#characters += delta.length;
    text.delta(part, delta, logprobs);
    this.#last = text;
  }

  /** The text item of this kind that is open, or a new one. */
  #openText(kind: "message" | "reasoning"): OpenText {
    if (this.#text?.kind === kind) return this.#text;
    this.#closeText("completed", "commentary");
    const index = this.#added++;
    this.#text = new OpenText(kind, itemId(ID_PREFIX[kind], this.id, "output", index), index, this.#log);
    return this.#text;
  }

  /** @param phase what a message was to the turn; left out where the output was cut before that could be known */
  #closeText(status: "completed" | "incomplete", phase?: MessagePhase): void {
    if (this.#text === null) return;
    this.#output[this.#text.index] = this.#text.close(status, phase);
    this.#text = null;
  }

  /** A call stays open until the backend says that it is complete, since a model server may interleave arguments. */
  #openCall(event: Extract<BackendEvent, { type: "call" }>): void {
    if (this.#calls.has(event.key)) return;
    this.#closeText("completed", "commentary");
    const index = this.#added++;
    const prefix = ID_PREFIX[event.kind === "function" ? "functionCall" : "customToolCall"];
    const id = itemId(prefix, this.id, "output", index);
    const callId = event.callId ?? this.#runtime.newId("call");
    this.#moves?.push({ ...event, callId });
    const call = new OpenCall({ ...event, id, callId }, index, this.#log);
    this.#calls.set(event.key, call);
    this.#last = call;
  }

  #callDelta(key: number, delta: string): void {
    const call = this.#calls.get(key);
    if (call === undefined || delta === "") return;
    this.#characters += delta.length;
    call.delta(delta);
    this.#last = call;
  }

  #closeCall(key: number): void {
    const call = this.#calls.get(key);
    if (call === undefined) return;
    this.#calls.delete(key);
    this.#output[call.index] = this.#opaque.call(key, call.close());
  }

  #wholeItem(whole: Item): void {
    this.#closeText("completed", "commentary");
    const output_index = this.#added++;
    const id = listedId(whole, this.id, "output", output_index);
    const item: Item = whole["id"] === id ? whole : { ...whole, id };
    copyOpaque(whole, item);
    this.#output[output_index] = Object.freeze(item);
    const { beginning, grow } = growthOf(item);
    this.#log.write({ type: EVENT.itemAdded, sequence_number: this.#log.next(), output_index, item: beginning });
    for (const event of grow(output_index, () => this.#log.next())) this.#log.write(event);
    this.#log.write({ type: EVENT.itemDone, sequence_number: this.#log.next(), output_index, item });
  }

  #openCompaction(): void {
    const index = this.#added++;
    const id = itemId(ID_PREFIX.compaction, this.id, "output", index);
    this.#compaction = new OpenCompaction(id, index, this.#log);
  }

  #closeCompaction(content: string): void {
    if (this.#compaction === null) return;
    this.#output[this.#compaction.index] = this.#compaction.close(content);
    this.#compaction = null;
  }

  #doneItems(): readonly OutputItem[] {
    return this.#opaque.output(Object.freeze(this.#output.filter((item) => item !== undefined)));
  }

  #response(status: Response["status"], output: readonly OutputItem[]): Response {
    const completed_at = status === "completed" ? Math.floor(this.#runtime.now() / 1000) : null;
    const incomplete_details = null;
    const usage = this.#usage;
    return Object.freeze({ ...this.#frame, status, completed_at, incomplete_details, output, error: null, usage });
  }
}
