import { isDeepStrictEqual } from "node:util";

/**
 * The grammar of one response's events, written down a second time: it shares no code with what makes the events. It
 * folds them into a response of its own and compares that with what the snapshots say.
 */

/** An event as it is on the wire. */
export type WireEvent = { readonly type: string; readonly [field: string]: unknown };
type Json = { readonly [field: string]: unknown };

type OpenPart = {
  readonly index: number;
  readonly kind: string;
  readonly annotations: unknown[];
  text: string;
  isDone: boolean;
};
type Item = {
  readonly added: Json;
  readonly id: string;
  readonly type: string;
  readonly content: Json[];
  readonly summary: Json[];
  part: OpenPart | null;
  text: string;
  textIsDone: boolean;
  done: Json | null;
  isInterrupted: boolean;
};

const TERMINAL: { readonly [type: string]: string } = {
  "response.completed": "completed",
  "response.failed": "failed",
  "response.incomplete": "incomplete",
};

/** What may differ between two snapshots of a response. */
/** Items that begin empty: what they come to is known when they are done. */
const GROWING = new Set(["shell_call", "apply_patch_call", "tool_search_call"]);
const CHANGING = new Set(["status", "completed_at", "incomplete_details", "output", "error", "usage"]);

/** The names of the events of a part, by the type of the part. */
const PARTS: { readonly [kind: string]: { readonly delta: string; readonly done: string; readonly field: string } } = {
  output_text: { delta: "response.output_text.delta", done: "response.output_text.done", field: "text" },
  refusal: { delta: "response.refusal.delta", done: "response.refusal.done", field: "refusal" },
  reasoning_text: { delta: "response.reasoning_text.delta", done: "response.reasoning_text.done", field: "text" },
  summary_text: {
    delta: "response.reasoning_summary_text.delta",
    done: "response.reasoning_summary_text.done",
    field: "text",
  },
};

/** The names of the events of a call, by the type of its item. */
const CALLS: { readonly [type: string]: { readonly delta: string; readonly done: string; readonly field: string } } = {
  function_call: {
    delta: "response.function_call_arguments.delta",
    done: "response.function_call_arguments.done",
    field: "arguments",
  },
  custom_tool_call: {
    delta: "response.custom_tool_call_input.delta",
    done: "response.custom_tool_call_input.done",
    field: "input",
  },
};

/** Which parts may stand where in which item. */
const CONTENT: { readonly [type: string]: readonly string[] } = {
  message: ["output_text", "refusal"],
  reasoning: ["reasoning_text"],
};

/** What may be said of a response beside its output, and of these what may also be said after its end. */
const ASIDES = new Set([
  "keepalive",
  "response.inject.failed",
  "response.interrupt.accepted",
  "response.interrupt.failed",
  "response.steer.accepted",
  "response.steer.pending",
  "response.steer.failed",
]);
const AFTER_THE_END = new Set(["response.inject.failed", "response.steer.pending", "response.steer.failed"]);

/**
 * Checks all events of one response, from the first to the last, and returns the response that its terminal event shows.
 * @throws Error that says which event breaks which rule
 */
export function checkGrammar(events: readonly WireEvent[]): Json {
  const stream = new Stream();
  for (const [index, event] of events.entries()) {
    try {
      stream.accept(event, index);
    } catch (error) {
      throw new Error(`event ${index} (${event.type}): ${(error as Error).message}\n${JSON.stringify(event)}`, {
        cause: error,
      });
    }
  }
  return stream.end();
}

class Stream {
  readonly #items: Item[] = [];
  #created: Json | null = null;
  #terminal: Json | null = null;
  #announced: Json | null = null;
  #interrupt: Json | null = null;
  readonly #steers = new Set<unknown>();

  accept(event: WireEvent, index: number): void {
    demand(this.#terminal === null || AFTER_THE_END.has(event.type), "comes after the terminal event");
    demand(event["sequence_number"] === index, `has the sequence_number ${String(event["sequence_number"])}`);
    const { type } = event;
    demand((type === "response.created") === (index === 0), "response.created is the first event, and only that");
    demand((type === "response.in_progress") === (index === 1), "response.in_progress is the second, and only that");
    demand(this.#announced === null || type === "response.failed", "what follows an error event is response.failed");
    if (index <= 1) return this.#start(event);
    if (type in TERMINAL) return this.#finish(event);
    if (ASIDES.has(type)) return this.#aside(event);
    switch (type) {
      case "error":
        this.#announced = object(event["error"]);
        return;
      case "response.output_item.added":
        return this.#itemAdded(event);
      case "response.output_item.done":
        return this.#itemDone(event);
      case "response.output_item.interrupted":
        return this.#itemInterrupted(event);
      case "response.compaction.compacting":
        return equal(this.#itemOf(event).type, "compaction", "the type of the item");
      case "response.content_part.added":
        return openPart(this.#itemOf(event), event, "content");
      case "response.content_part.done":
        return closePart(this.#itemOf(event), event, "content");
      case "response.reasoning_summary_part.added":
        return openPart(this.#itemOf(event), event, "summary");
      case "response.reasoning_summary_part.done":
        return closePart(this.#itemOf(event), event, "summary");
      default:
        return growItem(this.#itemOf(event), event);
    }
  }

  end(): Json {
    return this.#terminal ?? missing();
  }

  #start(event: WireEvent): void {
    const response = object(event["response"]);
    demand(response["status"] === "in_progress", "status is in_progress");
    equal(response["output"], [], "output");
    for (const field of ["error", "incomplete_details", "usage", "completed_at"]) equal(response[field], null, field);
    if (this.#created === null) this.#created = structuredClone(response);
    else equal(response, this.#created, "the snapshot");
  }

  #finish(event: WireEvent): void {
    const response = object(event["response"]);
    const status = TERMINAL[event.type];
    equal(response["status"], status, "status");
    const created = object(this.#created);
    equal(Object.keys(response).toSorted(), Object.keys(created).toSorted(), "the keys of the snapshot");
    for (const [field, value] of Object.entries(created)) {
      if (!CHANGING.has(field)) equal(response[field], value, field);
    }
    equal(response["error"] === null, status !== "failed", "error === null");
    equal(response["incomplete_details"] === null, status !== "incomplete", "incomplete_details === null");
    equal(Number.isInteger(response["completed_at"]), status === "completed", "completed_at is a number");

    const reason = response["incomplete_details"] === null ? null : object(response["incomplete_details"])["reason"];
    if (status !== "failed") equal(reason === "interrupted", this.#interrupt !== null, "incomplete by interrupt");
    const open = this.#items.filter((item) => item.done === null && !item.isInterrupted);
    if (reason === "interrupted" || reason === "steered") equal(open.length, 0, "the number of items left open");
    if (status === "completed") equal(open.length, 0, "the number of items that were never done");
    if (status === "incomplete") {
      demand(open.length <= 1, "at most one item is cut off");
      demand(
        open.every((item) => item.type in CALLS),
        "only a call may be dropped",
      );
    }
    const done = this.#items.flatMap((item) => (item.done === null ? [] : [item.done]));
    equal(response["output"], done, "output");
    const cut = done.findIndex((item) => item["status"] === "incomplete");
    if (cut !== -1) {
      // A failure may come after an item was cut, when the response could not be kept.
      demand(status !== "completed", "a completed response has no incomplete item");
      equal(cut, done.length - 1, "the place of the incomplete item");
    }
    if (this.#announced !== null) {
      const error = object(response["error"]);
      equal(this.#announced["code"], error["code"], "the announced code");
      equal(this.#announced["message"], error["message"], "the announced message");
    }
    this.#terminal = response;
  }

  /** What stands beside the output: about this response, and steers in their order. */
  #aside(event: WireEvent): void {
    const id = object(this.#created)["id"];
    const family = event.type.split(".")[1];
    if (family === "interrupt") {
      equal(event["response_id"], id, "response_id");
      if (event.type === "response.interrupt.accepted") {
        demand(this.#interrupt === null, "the response was interrupted before");
        this.#interrupt = event;
      } else string(object(event["error"])["code"], "error.code");
    }
    if (family !== "steer") return;
    const steer = object(event["steer"]);
    equal(steer["previous_response_id"], id, "steer.previous_response_id");
    if (event.type === "response.steer.accepted") {
      string(steer["id"], "steer.id");
      demand(!this.#steers.has(steer["id"]), "the id of a steer is its own");
      this.#steers.add(steer["id"]);
    } else {
      const known = steer["id"] === undefined || this.#steers.has(steer["id"]);
      demand(known, "the steer was never accepted");
    }
    if (event.type === "response.steer.pending") {
      demand(this.#terminal !== null, "a steer is pending only once its response has ended");
      demand(Array.isArray(event["required_input"]), "required_input is a list");
      equal(event["reason"], "waiting_for_required_input", "reason");
    }
    if (event.type === "response.steer.failed") {
      demand("input" in steer, "the input comes back");
      string(object(event["error"])["code"], "error.code");
    }
  }

  #itemInterrupted(event: WireEvent): void {
    demand(this.#interrupt !== null, "nobody interrupted the response");
    equal(event["response_id"], object(this.#created)["id"], "response_id");
    this.#itemOf(event).isInterrupted = true;
  }

  #itemAdded(event: WireEvent): void {
    demand(this.#interrupt === null, "no item begins after an interrupt");
    const item = object(event["item"]);
    equal(event["output_index"], this.#items.length, "output_index");
    const type = string(item["type"], "item.type");
    const id = type in CONTENT || type in CALLS ? string(item["id"], "item.id") : String(item["id"]);
    demand(id === "undefined" || this.#items.every((other) => other.id !== id), "the id of an item is its own");
    if (type === "reasoning") equal("status" in item, false, "a reasoning item has a status");
    else if (type in CONTENT || type in CALLS) equal(item["status"], "in_progress", "item.status");
    if (type === "compaction") equal(item["encrypted_content"], "", "item.encrypted_content");
    if (type === "message") {
      equal(item["content"], [], "item.content");
      equal(item["role"], "assistant", "item.role");
    }
    if (type === "reasoning") equal([item["summary"], item["content"]], [[], []], "item.summary and item.content");
    const call = CALLS[type];
    if (call !== undefined) {
      equal(item[call.field], "", `item.${call.field}`);
      string(item["call_id"], "item.call_id");
      string(item["name"], "item.name");
    }
    this.#items.push({
      added: structuredClone(item),
      id,
      type,
      content: [],
      summary: [],
      part: null,
      text: "",
      textIsDone: false,
      done: null,
      isInterrupted: false,
    });
  }

  #itemDone(event: WireEvent): void {
    const item = this.#items[event["output_index"] as number];
    if (item === undefined) throw new Error("no item has this output_index");
    demand(item.done === null && !item.isInterrupted, "the item was done or interrupted before");
    demand(item.part === null, "a part of the item is open");
    const done = object(event["item"]);
    item.done = structuredClone(done);
    const call = CALLS[item.type];
    if (call !== undefined) {
      demand(item.textIsDone, `the ${call.field} of the call are not done`);
      equal(done, { ...item.added, status: "completed", [call.field]: item.text }, "the call");
    } else if (item.type in CONTENT) {
      const { status, phase } = done;
      const isMessage = item.type === "message";
      if (isMessage) demand(status === "completed" || status === "incomplete", "an item ends completed or incomplete");
      // What a message was to its turn is known at its end.
      if (phase !== undefined) demand(phase === "commentary" || phase === "final_answer", "a phase is one of two");
      const own = isMessage ? { status, ...(phase !== undefined && { phase }) } : { summary: item.summary };
      equal(done, { ...item.added, content: item.content, ...own }, "the item");
      const isSealed = typeof done["encrypted_content"] === "string";
      demand(isSealed || item.content.length + item.summary.length > 0, "the item is empty");
    } else if (item.type === "compaction") {
      const encrypted_content = string(done["encrypted_content"], "item.encrypted_content");
      equal(done, { ...item.added, encrypted_content }, "the compaction");
    } else if (GROWING.has(item.type)) {
      equal(done["call_id"], item.added["call_id"], "the call_id");
    } else equal(done, item.added, "an item of an unknown type");
  }

  #itemOf(event: WireEvent): Item {
    const item = this.#items[event["output_index"] as number];
    if (item === undefined) throw new Error("no item has this output_index");
    equal(event["item_id"], item.id, "item_id");
    demand(item.done === null && !item.isInterrupted, "the item is done or interrupted");
    return item;
  }
}

function missing(): never {
  throw new Error("the stream has no terminal event");
}

type Place = "content" | "summary";

function openPart(item: Item, event: WireEvent, place: Place): void {
  const part = object(event["part"]);
  const kind = string(part["type"], "part.type");
  const allowed = place === "content" ? CONTENT[item.type] : item.type === "reasoning" ? ["summary_text"] : [];
  demand(allowed?.includes(kind) === true, `a ${kind} part has no place in the ${place} of a ${item.type}`);
  demand(item.part === null, "another part is open");
  equal(event[`${place}_index`], item[place].length, `${place}_index`);
  equal(part, partOf(kind, "", []), "part");
  item.part = { index: item[place].length, kind, annotations: [], text: "", isDone: false };
}

function closePart(item: Item, event: WireEvent, place: Place): void {
  const { part } = item;
  if (part === null) throw new Error("no part is open");
  equal(part.kind === "summary_text", place === "summary", "the place of the part");
  demand(part.isDone, "the text of the part is not done");
  equal(event[`${place}_index`], part.index, `${place}_index`);
  const full = partOf(part.kind, part.text, part.annotations);
  equal(event["part"], full, "part");
  item[place].push(full);
  item.part = null;
}

function growItem(item: Item, event: WireEvent): void {
  const call = CALLS[item.type];
  if (call !== undefined) {
    demand(!item.textIsDone, `the ${call.field} are done`);
    if (event.type === call.delta) item.text += nonEmpty(event["delta"]);
    else if (event.type === call.done) {
      equal(event[call.field], item.text, call.field);
      item.textIsDone = true;
    } else throw new Error(`a ${item.type} has no such event`);
    return;
  }
  const { part } = item;
  if (part === null) throw new Error("no part is open");
  if (event.type === "response.output_text.annotation.added") {
    equal(part.kind, "output_text", "the kind of the part");
    demand(!part.isDone, "the text of the part is done");
    equal(event["content_index"], part.index, "content_index");
    equal(event["annotation_index"], part.annotations.length, "annotation_index");
    part.annotations.push(object(event["annotation"]));
    return;
  }
  const names = PARTS[part.kind];
  demand(names !== undefined && (event.type === names.delta || event.type === names.done), "the part is another kind");
  const place: Place = part.kind === "summary_text" ? "summary" : "content";
  equal(event[`${place}_index`], part.index, `${place}_index`);
  demand(!part.isDone, "the text of the part is done");
  if (part.kind === "output_text") equal(event["logprobs"], [], "logprobs");
  if (event.type === names?.delta) part.text += nonEmpty(event["delta"]);
  else {
    equal(event[names?.field ?? ""], part.text, names?.field ?? "");
    part.isDone = true;
  }
}

function partOf(kind: string, text: string, annotations: readonly unknown[]): Json {
  if (kind === "refusal") return { type: kind, refusal: text };
  return kind === "output_text" ? { type: kind, text, annotations, logprobs: [] } : { type: kind, text };
}

function demand(holds: boolean, rule: string): void {
  if (!holds) throw new Error(rule);
}

function equal(actual: unknown, expected: unknown, what: string): void {
  // Undefined fields and the prototypes of frozen values are nothing that the wire could show.
  const [left, right] = [plain(actual), plain(expected)];
  if (!isDeepStrictEqual(left, right)) {
    throw new Error(`${what} is ${JSON.stringify(left)} and should be ${JSON.stringify(right)}`);
  }
}

function plain(value: unknown): unknown {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);
}

function object(value: unknown): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("an object is missing");
  return value as Json;
}

function string(value: unknown, what: string): string {
  if (typeof value !== "string" || value === "") throw new Error(`${what} is not a string, or empty`);
  return value;
}

function nonEmpty(value: unknown): string {
  return string(value, "delta");
}
