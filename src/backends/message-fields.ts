import type { BackendEvent } from "../core/ports.ts";
import type { OpaqueFields } from "../protocol/opaque.ts";
import { type Fields, isFields } from "./call-pieces.ts";

/** Fields of an answer's message that its server wants to see again: OpenRouter's details of the thinking, Gemini's extras. */
export class MessageFields {
  readonly #origin: string;
  #details: unknown[] = [];
  #extra: Fields | null = null;
  #isNew = false;

  /** @param origin names the model server */
  constructor(origin: string) {
    this.#origin = origin;
  }

  read({ reasoning_details: details, extra_content: extra }: Fields): void {
    if (Array.isArray(details)) for (const detail of details) this.#detail(detail);
    if (!isFields(extra)) return;
    this.#extra = { ...this.#extra, ...extra };
    this.#isNew = true;
  }

  /** All that has come by now, where it is more than the last time. */
  take(): readonly BackendEvent[] {
    if (!this.#isNew) return NONE;
    this.#isNew = false;
    const details = this.#details.length === 0 ? {} : { reasoning_details: [...this.#details] };
    const fields = { ...details, ...(this.#extra !== null && { extra_content: this.#extra }) };
    return [{ type: "opaque", origin: this.#origin, key: null, fields }];
  }

  /** A text or a summary comes in pieces, one behind the other; anything else is complete. */
  #detail(detail: unknown): void {
    if (detail === null || detail === undefined) return;
    this.#isNew = true;
    const last = this.#details.at(-1);
    const joined = isFields(last) && isFields(detail) ? joinDetails(last, detail) : null;
    if (joined === null) this.#details.push(detail);
    else this.#details[this.#details.length - 1] = joined;
  }
}

const NONE: readonly never[] = [];

function joinDetails(last: Fields, more: Fields): Fields | null {
  const { type } = more;
  if (type !== last["type"] || more["index"] !== last["index"]) return null;
  const field = type === "reasoning.text" ? "text" : type === "reasoning.summary" ? "summary" : null;
  if (field === null) return null;
  const text = textOf(last[field]) + textOf(more[field]);
  return { ...last, ...withoutNull(more), ...(text !== "" && { [field]: text }) };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function withoutNull(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

/** The fields of one message, from those of its parts: lists go on, anything else is replaced. */
export function joinFields(fields: OpaqueFields, more: OpaqueFields): OpaqueFields {
  const joined: Record<string, unknown> = { ...fields };
  for (const [field, value] of Object.entries(more)) {
    const before = joined[field];
    joined[field] =
      Array.isArray(before) && Array.isArray(value) ? [...(before as unknown[]), ...(value as unknown[])] : value;
  }
  return joined;
}
