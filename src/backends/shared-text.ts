import type { Item, Part } from "../protocol/items.ts";
import type { Rope } from "./rope.ts";

/**
 * Long texts of items and of their parts, which the messages made of them hold as well: what a connection keeps is mostly
 * these, and would be there twice. A text that stands in the messages word for word is read from there instead. Its owner
 * has the same value as before, whoever reads, copies or serialises it.
 */

/** A text, and where the messages that are being written have it in a JSON string, between its quotes or others' words. */
export type LongText = {
  readonly owner: object;
  readonly field: string;
  readonly start: number;
  readonly end: number;
};

/** Below this a text costs less than reading it from elsewhere. */
export const LONG_TEXT = 8 * 1024;

const FIELDS = ["content", "output", "text", "image_url"] as const;

/**
 * Long texts of the owners that stand in the message.
 * @param json the message
 * @param at where it begins in what is being written
 */
export function findLongTexts(json: string, owners: readonly object[], at: number): readonly LongText[] {
  if (json.length < LONG_TEXT) return [];
  const found: LongText[] = [];
  for (const owner of owners) {
    for (const field of FIELDS) {
      const described = Object.getOwnPropertyDescriptor(owner, field);
      const value: unknown = described?.value;
      if (described?.configurable !== true || typeof value !== "string" || value.length < LONG_TEXT) continue;
      const written = JSON.stringify(value).slice(1, -1);
      const start = json.indexOf(written);
      if (start !== -1) found.push({ owner, field, start: at + start, end: at + start + written.length });
    }
  }
  return found;
}

/** Has the texts read from the rope, whose end is what was written. */
export function shareTexts(texts: readonly LongText[], written: string, rope: Rope): void {
  if (texts.length === 0) return;
  const bytes = rope.last(Buffer.byteLength(written));
  const isOneByte = bytes.length === written.length;
  const place = (index: number): number => (isOneByte ? index : Buffer.byteLength(written.slice(0, index)));
  for (const { owner, field, start, end } of texts) {
    readFrom(bytes.subarray(place(start), place(end)), owner, field);
  }
}

/** A function of its own, so that what is kept for good knows nothing but the bytes. */
function readFrom(written: Buffer, owner: object, field: string): void {
  const get = (): string => JSON.parse(`"${written.toString("utf8")}"`) as string;
  Object.defineProperty(owner, field, { enumerable: true, get });
}

/** What the texts of an item may belong to: the item, and its parts where it has any. */
export function ownersOf(item: Item, content?: string | readonly Part[]): readonly object[] {
  return [item, ...(Array.isArray(content) ? (content as readonly Part[]) : [])];
}
