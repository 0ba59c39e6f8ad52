import type { ServerEvent } from "../protocol/events.ts";
import type {
  Annotation,
  ItemStatus,
  MessagePhase,
  OutputItem,
  OutputTextPart,
  ReasoningTextPart,
  RefusalPart,
  SummaryTextPart,
  TokenLogprob,
} from "../protocol/items.ts";
import { EVENT } from "../protocol/table.ts";

/** Output items that have been added and are not done yet. Each writes its own part of the event grammar. */

/** The events of one response as they come into being, with the numbers they carry. */
export class EventLog {
  #sequence = 0;
  #events: ServerEvent[] = [];

  /** The `sequence_number` of the event that is about to be written. */
  next(): number {
    return this.#sequence++;
  }

  /** How many numbers have been given. */
  get length(): number {
    return this.#sequence;
  }

  write(event: ServerEvent): void {
    this.#events.push(event);
  }

  /** What was written since the last call. */
  take(): readonly ServerEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}

export type TextKind = "output_text" | "refusal" | "reasoning_text" | "summary_text";
type ContentPart = OutputTextPart | RefusalPart | ReasoningTextPart;

type OpenPart = {
  readonly kind: TextKind;
  text: string;
  readonly logprobs: TokenLogprob[];
  readonly annotations: Annotation[];
};

const NONE: readonly never[] = Object.freeze([]);

/** A message or a reasoning item: text in parts, one part open at a time. */
export class OpenText {
  readonly kind: "message" | "reasoning";
  readonly index: number;
  readonly id: string;
  readonly #log: EventLog;
  readonly #content: ContentPart[] = [];
  readonly #summary: SummaryTextPart[] = [];
  #sealed: string | null = null;
  #part: OpenPart | null = null;

  constructor(kind: "message" | "reasoning", id: string, index: number, log: EventLog) {
    this.kind = kind;
    this.index = index;
    this.id = id;
    this.#log = log;
    log.write({
      type: EVENT.itemAdded,
      sequence_number: log.next(),
      output_index: index,
      item: this.#item("in_progress"),
    });
  }

  delta(kind: TextKind, delta: string, logprobs: readonly TokenLogprob[] = NONE): void {
    let part = this.#part;
    if (part?.kind !== kind) {
      this.#closePart();
      part = this.#openPart(kind);
    }
    part.text += delta;
    for (const logprob of logprobs) part.logprobs.push(logprob);
    const log = this.#log;
    const item_id = this.id;
    const output_index = this.index;
    const sequence_number = log.next();
    const content_index = this.#content.length;
    switch (kind) {
      case "output_text":
        log.write({
          type: EVENT.textDelta,
          sequence_number,
          item_id,
          output_index,
          content_index,
          delta,
          logprobs,
        });
        break;
      case "refusal":
        log.write({ type: EVENT.refusalDelta, sequence_number, item_id, output_index, content_index, delta });
        break;
      case "reasoning_text":
        log.write({ type: EVENT.reasoningDelta, sequence_number, item_id, output_index, content_index, delta });
        break;
      case "summary_text": {
        const summary_index = this.#summary.length;
        log.write({ type: EVENT.summaryDelta, sequence_number, item_id, output_index, summary_index, delta });
        break;
      }
      default:
        kind satisfies never;
    }
  }

  /** Adds a source to the text that is open; a refusal and reasoning have none. */
  annotate(annotation: Annotation): void {
    const part = this.#part;
    if (part?.kind !== "output_text") return;
    const log = this.#log;
    log.write({
      type: EVENT.annotationAdded,
      sequence_number: log.next(),
      item_id: this.id,
      output_index: this.index,
      content_index: this.#content.length,
      annotation_index: part.annotations.length,
      annotation,
    });
    part.annotations.push(annotation);
  }

  /** What the item carries besides its text, once it has ended: the text in a form that only the server reads. */
  seal(sealed: string): void {
    this.#sealed = sealed;
  }

  /** Ends the item and returns it. */
  close(status: ItemStatus, phase?: MessagePhase): OutputItem {
    this.#closePart();
    const item = this.#item(status, phase);
    this.#log.write({ type: EVENT.itemDone, sequence_number: this.#log.next(), output_index: this.index, item });
    return item;
  }

  #openPart(kind: TextKind): OpenPart {
    const log = this.#log;
    const at = { sequence_number: log.next(), item_id: this.id, output_index: this.index };
    const part = makePart(kind, "", NONE, NONE);
    if (part.type === "summary_text") {
      log.write({ type: EVENT.summaryPartAdded, ...at, summary_index: this.#summary.length, part });
    } else {
      log.write({ type: EVENT.partAdded, ...at, content_index: this.#content.length, part });
    }
    this.#part = { kind, text: "", logprobs: [], annotations: [] };
    return this.#part;
  }

  #closePart(): void {
    if (this.#part === null) return;
    const { kind, text, logprobs, annotations } = this.#part;
    this.#part = null;
    const log = this.#log;
    const at = { item_id: this.id, output_index: this.index };
    const part = makePart(kind, text, Object.freeze(logprobs), Object.freeze(annotations));
    if (part.type === "summary_text") {
      const summary_index = this.#summary.length;
      log.write({ type: EVENT.summaryDone, sequence_number: log.next(), ...at, summary_index, text });
      log.write({ type: EVENT.summaryPartDone, sequence_number: log.next(), ...at, summary_index, part });
      this.#summary.push(part);
      return;
    }
    const content_index = this.#content.length;
    const sequence_number = log.next();
    if (part.type === "output_text") {
      log.write({ type: EVENT.textDone, sequence_number, ...at, content_index, text, logprobs });
    } else if (part.type === "refusal") {
      log.write({ type: EVENT.refusalDone, sequence_number, ...at, content_index, refusal: text });
    } else {
      log.write({ type: EVENT.reasoningDone, sequence_number, ...at, content_index, text });
    }
    log.write({ type: EVENT.partDone, sequence_number: log.next(), ...at, content_index, part });
    this.#content.push(part);
  }

  #item(status: ItemStatus, phase?: MessagePhase): OutputItem {
    const content = Object.freeze([...this.#content]);
    if (this.kind === "message") {
      const known = phase === undefined ? {} : { phase };
      return Object.freeze({ type: "message", id: this.id, status, role: "assistant", content, ...known } as const);
    }
    const summary = Object.freeze([...this.#summary]);
    const sealed = this.#sealed === null ? {} : { encrypted_content: this.#sealed };
    return Object.freeze({ type: "reasoning", id: this.id, summary, content, ...sealed } as const);
  }
}

/** A call of a function, with JSON arguments, or of a custom tool, with free text. */
export class OpenCall {
  readonly index: number;
  readonly #kind: "function" | "custom";
  readonly id: string;
  readonly #callId: string;
  readonly #name: string;
  readonly #namespace: string | null;
  readonly #isAsync: boolean;
  readonly #log: EventLog;
  #text = "";

  constructor(
    call: {
      readonly kind: "function" | "custom";
      readonly id: string;
      readonly callId: string;
      readonly name: string;
      readonly namespace?: string | null;
      readonly async?: boolean;
    },
    index: number,
    log: EventLog,
  ) {
    this.index = index;
    this.#kind = call.kind;
    this.id = call.id;
    this.#callId = call.callId;
    this.#name = call.name;
    this.#namespace = call.namespace ?? null;
    this.#isAsync = call.async ?? false;
    this.#log = log;
    log.write({
      type: EVENT.itemAdded,
      sequence_number: log.next(),
      output_index: index,
      item: this.#item("in_progress"),
    });
  }

  delta(delta: string): void {
    this.#text += delta;
    const type = this.#kind === "function" ? EVENT.argumentsDelta : EVENT.customInputDelta;
    const sequence_number = this.#log.next();
    this.#log.write({ type, sequence_number, item_id: this.id, output_index: this.index, delta });
  }

  /** Ends the call and returns it: from here on a client may run it. */
  close(): OutputItem {
    // Models leave out the arguments of a function that takes none; clients parse them as JSON all the same.
    if (this.#kind === "function" && this.#text === "") this.delta("{}");
    const log = this.#log;
    const at = { sequence_number: log.next(), item_id: this.id, output_index: this.index };
    if (this.#kind === "function") log.write({ type: EVENT.argumentsDone, ...at, arguments: this.#text });
    else log.write({ type: EVENT.customInputDone, ...at, input: this.#text });
    const item = this.#item("completed");
    log.write({ type: EVENT.itemDone, sequence_number: log.next(), output_index: this.index, item });
    return item;
  }

  #item(status: ItemStatus): OutputItem {
    const name = this.#namespace === null ? { name: this.#name } : { name: this.#name, namespace: this.#namespace };
    const fields = { id: this.id, status, ...(this.#isAsync && { async: true }), call_id: this.#callId, ...name };
    return this.#kind === "function"
      ? Object.freeze({ type: "function_call", ...fields, arguments: this.#text } as const)
      : Object.freeze({ type: "custom_tool_call", ...fields, input: this.#text } as const);
  }
}

function makePart(
  kind: TextKind,
  text: string,
  logprobs: readonly TokenLogprob[],
  annotations: readonly Annotation[],
): ContentPart | SummaryTextPart {
  switch (kind) {
    case "output_text":
      return Object.freeze({ type: kind, text, annotations, logprobs });
    case "refusal":
      return Object.freeze({ type: kind, refusal: text });
    case "reasoning_text":
    case "summary_text":
      return Object.freeze({ type: kind, text });
    default:
      return kind satisfies never;
  }
}
