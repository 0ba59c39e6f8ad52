import { isDeepStrictEqual } from "node:util";
import { EVENT_FIELDS, isKind } from "./event-fields.ts";
import type { Aspect, Finding } from "./findings.ts";
import { ItemFold, type Report } from "./item-fold.ts";
import type { Frame, Json } from "./types.ts";
import { isObject, TERMINAL_TYPES } from "./wire.ts";

/** What may differ between the first snapshot of a response and the last. */
const CHANGING: ReadonlySet<string> = new Set([
  "status",
  "completed_at",
  "incomplete_details",
  "output",
  "error",
  "usage",
  // What the server really used may be known only in the end.
  "service_tier",
  "model",
]);

/**
 * Reads the events of one response as a client would, folds them into a response of its own, and compares. It knows
 * nothing of the server: only what the protocol says. Events and items of types that it does not know are counted and left alone.
 */
export function examine(events: readonly Frame[]): readonly Finding[] {
  const grammar = new Grammar();
  for (const [index, event] of events.entries()) grammar.accept(event, index);
  grammar.end();
  return grammar.findings;
}

class Grammar {
  readonly findings: Finding[] = [];
  readonly #items: ItemFold[] = [];
  #first: Json | null = null;
  #terminal: Frame | null = null;
  #lastNumber: number | null = null;
  #count = 0;
  #at: Frame | null = null;

  accept(event: Frame, index: number): void {
    this.#at = event;
    if (this.#terminal !== null) this.#report("lifecycle", `${event.type} comes after ${this.#terminal.type}.`);
    if (index === 0 && event.type !== "response.created") {
      this.#report("lifecycle", `The first event is ${event.type}; it has to be response.created.`);
    }
    if (index > 0 && event.type === "response.created") this.#report("lifecycle", "response.created comes twice.");
    this.#number(event);
    this.#fields(event);
    if (isObject(event["response"])) this.#snapshot(event, event["response"]);
    this.#items_(event);
  }

  end(): void {
    this.#at = this.#terminal;
    if (this.#terminal === null) {
      this.#report("lifecycle", "The stream has no terminal event: completed, failed or incomplete.");
      return;
    }
    const response = this.#terminal["response"];
    if (isObject(response)) this.#compareOutput(this.#terminal.type, response);
  }

  #report(aspect: Aspect, message: string): void {
    this.findings.push({ aspect, message, frame: this.#at });
  }

  #number(event: Frame): void {
    const number = event["sequence_number"];
    if (!Number.isInteger(number)) {
      this.#report("numbers", `${event.type} has no integer sequence_number.`);
      return;
    }
    const now = number as number;
    if (this.#lastNumber !== null && now <= this.#lastNumber) {
      this.#report("numbers", `sequence_number ${now} follows ${this.#lastNumber}; it has to rise.`);
    }
    if (now !== this.#count) {
      this.#report("counting", `event ${this.#count} of the response has the sequence_number ${now}.`);
      this.#count = now;
    }
    this.#count += 1;
    this.#lastNumber = now;
  }

  #fields(event: Frame): void {
    const fields = EVENT_FIELDS[event.type];
    if (fields === undefined) return;
    for (const [field, kind] of Object.entries(fields)) {
      if (!isKind(event[field], kind)) {
        this.#report(
          "fields",
          `${event.type}: '${field}' has to be of type ${kind}, not ${JSON.stringify(event[field]) ?? "missing"}.`,
        );
      }
    }
  }

  #snapshot(event: Frame, response: Json): void {
    const { type } = event;
    if (this.#first === null) this.#first = response;
    else {
      if (response["id"] !== this.#first["id"])
        this.#report("ids", `${type}: the response has another id than before.`);
      for (const [field, value] of Object.entries(this.#first)) {
        if (!CHANGING.has(field) && !isDeepStrictEqual(response[field], value)) {
          this.#report("snapshots", `${type}: '${field}' of the response differs from what the first snapshot said.`);
        }
      }
    }
    if ((TERMINAL_TYPES as readonly string[]).includes(type)) {
      this.#terminal = event;
      const status = type.slice("response.".length);
      if (response["status"] !== status) {
        this.#report("snapshots", `${type}: the status is '${String(response["status"])}' and not '${status}'.`);
      }
      return;
    }
    if (response["status"] !== "in_progress" && response["status"] !== "queued") {
      this.#report("snapshots", `${type}: the status is '${String(response["status"])}' before the end.`);
    }
    if (!isDeepStrictEqual(response["output"], [])) {
      this.#report("snapshots", `${type}: 'output' is not empty before anything was generated.`);
    }
    if ((response["error"] ?? null) !== null)
      this.#report("snapshots", `${type}: 'error' is set in a response that runs.`);
  }

  #items_(event: Frame): void {
    const { type } = event;
    if (type === "response.output_item.added") {
      this.#added(event);
      return;
    }
    const index = event["output_index"];
    if (typeof index !== "number") return;
    const item = this.#items[index];
    if (item === undefined) {
      this.#report("items", `${type} is about output_index ${index}, where no item was added.`);
      return;
    }
    if ("item_id" in event && item.id !== null && event["item_id"] !== item.id) {
      this.#report("ids", `${type}: item_id is '${String(event["item_id"])}', but the item was added as '${item.id}'.`);
    }
    item.accept(event, this.#reporter);
  }

  #added(event: Frame): void {
    const item = event["item"];
    if (!isObject(item)) return;
    if (event["output_index"] !== this.#items.length) {
      this.#report(
        "items",
        `Item number ${this.#items.length} was added with output_index ${String(event["output_index"])}.`,
      );
    }
    const fold = new ItemFold(item, this.#reporter);
    const isTaken = (field: "id" | "callId"): boolean =>
      fold[field] !== null && this.#items.some((other) => other[field] === fold[field]);
    if (isTaken("id")) this.#report("ids", `Two items have the id '${fold.id}'.`);
    if (isTaken("callId")) this.#report("ids", `Two calls have the call_id '${fold.callId}'.`);
    this.#items.push(fold);
  }

  readonly #reporter: Report = (aspect, message) => this.#report(aspect, message);

  #compareOutput(type: string, response: Json): void {
    const open = this.#items.filter(({ done }) => done === null);
    if (type === "response.completed" && open.length > 0) {
      this.#report("items", `${open.length} items were added and never done, and the response is completed.`);
    }
    const done = this.#items.flatMap((item) => (item.done === null ? [] : [item.done]));
    const output: readonly unknown[] = Array.isArray(response["output"]) ? response["output"] : [];
    if (type === "response.completed" && output.length !== done.length) {
      this.#report("output", `${type} shows ${output.length} items, but ${done.length} were done.`);
    }
    for (const [index, item] of done.entries()) {
      const shown = output[index];
      if (shown !== undefined && !isDeepStrictEqual(shown, item)) {
        this.#report(
          "output",
          `${type}: output[${index}] is ${JSON.stringify(shown)}, but response.output_item.done showed ${JSON.stringify(item)}.`,
        );
      }
    }
    const cut = done.findIndex((item) => item["status"] === "incomplete");
    if (cut !== -1 && type === "response.completed") {
      this.#report("items", "A completed response has an item that is incomplete.");
    }
    if (cut !== -1 && cut !== done.length - 1) this.#report("items", "An incomplete item is not the last one.");
  }
}
