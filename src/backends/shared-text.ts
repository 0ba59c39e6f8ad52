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

/** How far a text may begin behind the one before it: what a message writes around its texts is short. */
const GAP = 256;
/** An escape makes six characters of one. */
const LONGEST_ESCAPE = 6;

/**
 * Long texts of the owners that stand in the message, in the order in which they stand there. Each is looked for only where
 * it is to be expected, so that a message of many texts is not searched from its beginning for each of them; one that
 * stands elsewhere is not shared.
 * @param json the message
 * @param owners in the order in which the message has them
 * @param at where it begins in what is being written
 */
export function findLongTexts(json: string, owners: readonly object[], at: number): readonly LongText[] {
  if (json.length < LONG_TEXT) return [];
  const found: LongText[] = [];
  let from = 0;
  let gap = GAP;
  for (const owner of owners) {
    for (const field of FIELDS) {
      const described = Object.getOwnPropertyDescriptor(owner, field);
      if (described === undefined) continue;
      const value: unknown = described.configurable === true ? described.value : undefined;
      if (typeof value !== "string" || value.length < LONG_TEXT) {
        // It may stand in the message all the same, before what comes next.
        gap += GAP + (typeof value === "string" ? LONGEST_ESCAPE * value.length : 0);
        continue;
      }
      const written = JSON.stringify(value).slice(1, -1);
      const place = json.slice(from, from + gap + written.length).indexOf(written);
      if (place === -1) return found;
      const start = from + place;
      from = start + written.length;
      gap = GAP;
      found.push({ owner, field, start: at + start, end: at + from });
    }
  }
  return found;
}

/** Has the texts, which stand one behind another, read from the rope, whose end is what was written. */
export function shareTexts(texts: readonly LongText[], written: string, rope: Rope): void {
  if (texts.length === 0) return;
  const bytes = rope.last(Buffer.byteLength(written));
  const isOneByte = bytes.length === written.length;
  let index = 0;
  let byte = 0;
  const place = (next: number): number => {
    byte += isOneByte ? next - index : Buffer.byteLength(written.slice(index, next));
    index = next;
    return byte;
  };
  for (const { owner, field, start, end } of texts) {
    const first = place(start);
    readFrom(bytes.subarray(first, place(end)), owner, field);
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
