import { isDeepStrictEqual } from "node:util";
import type { Aspect } from "./findings.ts";
import type { Frame, Json } from "./types.ts";
import { isObject } from "./wire.ts";

export type Report = (aspect: Aspect, message: string) => void;

type Part = { readonly kind: string; text: string; textIsDone: boolean; done: Json | null };
type Place = "content" | "summary";

/** Where the text of a call stands in its item, by the type of the item. */
const CALL_FIELDS: { readonly [type: string]: string } = { function_call: "arguments", custom_tool_call: "input" };
/** Where the text of a part stands. */
const PART_FIELDS: { readonly [kind: string]: string } = {
  output_text: "text",
  reasoning_text: "text",
  summary_text: "text",
  refusal: "refusal",
};
const STREAMED_TEXT = /^response\.(output_text|refusal|reasoning_text|reasoning|reasoning_summary_text)\.(delta|done)$/;
const CALL_TEXT = /^response\.(function_call_arguments|custom_tool_call_input)\.(delta|done)$/;
const PART_EVENT = /^response\.(content_part|reasoning_summary_part)\.(added|done)$/;

/** One output item, as its events build it up. */
export class ItemFold {
  readonly type: string;
  readonly id: string | null;
  readonly callId: string | null;
  /** What `response.output_item.done` showed. */
  done: Json | null = null;
  readonly #added: Json;
  readonly #parts: { readonly [place in Place]: Part[] } = { content: [], summary: [] };
  #callText = "";
  #callTextIsDone = false;

  constructor(item: Json, report: Report) {
    this.#added = item;
    this.type = String(item["type"]);
    this.id = typeof item["id"] === "string" && item["id"] !== "" ? item["id"] : null;
    this.callId = typeof item["call_id"] === "string" ? item["call_id"] : null;
    if (this.id === null) report("ids", `A ${this.type} item was added without an id.`);
    this.#checkAdded(item, report);
  }

  accept(event: Frame, report: Report): void {
    const { type } = event;
    if (this.done !== null) {
      report("items", `${type} comes after the item was done.`);
      return;
    }
    if (type === "response.output_item.done") this.#finish(event, report);
    else if (type === "response.output_item.interrupted") this.done = null;
    else if (PART_EVENT.test(type)) this.#part(event, report);
    else if (STREAMED_TEXT.test(type)) this.#text(event, report);
    else if (CALL_TEXT.test(type)) this.#call(event, report);
  }

  #checkAdded(item: Json, report: Report): void {
    const { type } = this;
    const callField = CALL_FIELDS[type];
    const isOurs = type === "message" || callField !== undefined;
    if (isOurs && item["status"] !== "in_progress") {
      report("items", `A ${type} was added with the status '${String(item["status"])}' instead of 'in_progress'.`);
    }
    if (type === "message") {
      if (item["role"] !== "assistant") report("items", `A message was added with the role '${String(item["role"])}'.`);
      if (!isDeepStrictEqual(item["content"], [])) report("items", "A message was added with content instead of [].");
    }
    if (callField === undefined) return;
    if (item[callField] !== "") report("items", `A ${type} was added with '${callField}' filled in instead of "".`);
    for (const field of ["call_id", "name"]) {
      if (typeof item[field] !== "string" || item[field] === "")
        report("items", `A ${type} was added without '${field}'.`);
    }
  }

  #part(event: Frame, report: Report): void {
    const isSummary = event.type.includes("summary");
    const place: Place = isSummary ? "summary" : "content";
    const parts = this.#parts[place];
    const index = event[`${place}_index`];
    const shown = event["part"];
    if (!isObject(shown)) return;
    const kind = String(shown["type"]);
    if (event.type.endsWith(".added")) {
      if (this.type !== "message" && this.type !== "reasoning") {
        report("parts", `A ${this.type} has no content parts, but one was added.`);
      }
      if (index !== parts.length) report("parts", `Part number ${parts.length} was added with index ${String(index)}.`);
      const field = PART_FIELDS[kind];
      if (field !== undefined && shown[field] !== "") report("parts", `A ${kind} part was added that is not empty.`);
      if (kind === "output_text" && !Array.isArray(shown["annotations"])) {
        report("parts", "An output_text part was added without an 'annotations' list.");
      }
      parts.push({ kind, text: "", textIsDone: false, done: null });
      return;
    }
    const part = typeof index === "number" ? parts[index] : undefined;
    if (part === undefined) return report("parts", `${event.type} is about a part that was never added.`);
    if (part.done !== null) report("parts", "A part was done twice.");
    const field = PART_FIELDS[part.kind];
    if (field !== undefined) {
      if (!part.textIsDone) report("parts", `A ${part.kind} part was done before its text was.`);
      if (shown[field] !== part.text) {
        report(
          "folding",
          `content_part.done shows ${JSON.stringify(shown[field])}, but the deltas say ${JSON.stringify(part.text)}.`,
        );
      }
    }
    if (kind !== part.kind) report("parts", `A part was added as ${part.kind} and done as ${kind}.`);
    part.done = shown;
  }

  #text(event: Frame, report: Report): void {
    const place: Place = event.type.includes("summary") ? "summary" : "content";
    const index = event[`${place}_index`];
    const part = typeof index === "number" ? this.#parts[place][index] : undefined;
    if (part === undefined) return report("parts", `${event.type} comes before the part was added.`);
    if (part.textIsDone) report("parts", `${event.type} comes after the text was done.`);
    if (event.type.endsWith(".delta")) {
      part.text += String(event["delta"]);
      return;
    }
    part.textIsDone = true;
    const whole = event.type.includes("refusal") ? event["refusal"] : event["text"];
    if (whole !== part.text) {
      report(
        "folding",
        `${event.type} says ${JSON.stringify(whole)}, but the deltas say ${JSON.stringify(part.text)}.`,
      );
    }
  }

  #call(event: Frame, report: Report): void {
    const field = CALL_FIELDS[this.type];
    if (field === undefined) return report("items", `${event.type} is about a ${this.type}.`);
    if (this.#callTextIsDone) report("items", `${event.type} comes after the ${field} were done.`);
    if (event.type.endsWith(".delta")) {
      this.#callText += String(event["delta"]);
      return;
    }
    this.#callTextIsDone = true;
    if (event[field] !== this.#callText && this.#callText !== "") {
      report(
        "folding",
        `${event.type} says ${JSON.stringify(event[field])}, but the deltas say ${JSON.stringify(this.#callText)}.`,
      );
    }
    this.#callText = String(event[field]);
  }

  #finish(event: Frame, report: Report): void {
    const item = event["item"];
    if (!isObject(item)) return;
    this.done = item;
    if (item["type"] !== this.type)
      report("items", `An item was added as ${this.type} and done as ${String(item["type"])}.`);
    if ((item["id"] ?? null) !== this.id)
      report("ids", `An item was added as '${this.id}' and done as '${String(item["id"])}'.`);
    for (const field of ["call_id", "name", "role"]) {
      if (field in this.#added && item[field] !== this.#added[field]) {
        report(
          "ids",
          `'${field}' of an item changed from '${String(this.#added[field])}' to '${String(item[field])}'.`,
        );
      }
    }
    const callField = CALL_FIELDS[this.type];
    if (
      (this.type === "message" || callField !== undefined) &&
      item["status"] !== "completed" &&
      item["status"] !== "incomplete"
    ) {
      report("items", `A ${this.type} was done with the status '${String(item["status"])}'.`);
    }
    if (callField !== undefined) {
      if (!this.#callTextIsDone) report("items", `A ${this.type} was done before its ${callField} were.`);
      if (item[callField] !== this.#callText) {
        report(
          "folding",
          `The item shows ${callField} ${JSON.stringify(item[callField])}, but the events said ${JSON.stringify(this.#callText)}.`,
        );
      }
    }
    this.#compareParts(item, "content", report);
    this.#compareParts(item, "summary", report);
  }

  #compareParts(item: Json, place: Place, report: Report): void {
    const parts = this.#parts[place];
    if (parts.some(({ done }) => done === null)) report("parts", "An item was done while one of its parts was open.");
    const shown = item[place];
    // A reasoning item may show what no event has told, such as encrypted content.
    if (parts.length === 0 && (this.type !== "message" || place === "summary")) return;
    const done = parts.map((part) => part.done);
    if (!isDeepStrictEqual(shown, done)) {
      report(
        "folding",
        `'${place}' of the item is ${JSON.stringify(shown)}, but its parts were ${JSON.stringify(done)}.`,
      );
    }
  }
}
