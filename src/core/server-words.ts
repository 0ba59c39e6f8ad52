import { Quotation } from "../protocol/errors.ts";
import type { Item } from "../protocol/items.ts";
import type { ResponseNode } from "./node.ts";

/** What the model server said to a request, as an operator may read it. */

/** Contexts that are larger are not searched; then only the numbers of the server's status and its short words stay. */
const MOST_CONTENT = 1024 * 1024;
/** Shorter words tell nothing of a content, unless they have digits. */
const SHORTEST_WORD = 4;
const CUT = "…";

type Content = {
  readonly instructions: string | null;
  readonly input: readonly Item[];
  readonly parent: ResponseNode | null;
};

/** The words of the model server in the causes of an error; null when it has none. */
export function serverWords(error: unknown): string | null {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof Quotation) return at.message;
  return null;
}

/** The same without any word of the request: for responses of which no content may be written anywhere. */
export function withoutContent(words: string, content: Content): string {
  const texts: string[] = [];
  const isSmall = collect(content, texts);
  const haystack = isSmall ? texts.join("\n").toLowerCase() : null;
  // Servers quote with escapes, which would glue letters to the words behind them.
  const plain = words
    .replaceAll(/\\u([0-9a-f]{4})/gi, (_escape, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replaceAll(/\\+[nrtbf]/g, " ");
  const cut = plain.replaceAll(/[\p{L}\p{N}\p{M}_]+/gu, (word) => (isTelling(word, haystack) ? CUT : word));
  return cut.replaceAll(/…(?:[^\p{L}\p{N}]*…)+/gu, CUT);
}

function isTelling(word: string, haystack: string | null): boolean {
  // Scripts without spaces say much in few letters.
  const isShort = word.length < SHORTEST_WORD && /^[a-z]+$/i.test(word);
  return !isShort && (haystack === null || haystack.includes(word.toLowerCase()));
}

/** @returns false when there is too much of it */
function collect({ instructions, input, parent }: Content, texts: string[]): boolean {
  let room = MOST_CONTENT;
  const add = (value: unknown, name: string): void => {
    if (room < 0) return;
    if (typeof value === "string") {
      if (STRUCTURE.has(name)) return;
      room -= value.length;
      texts.push(value);
    } else if (typeof value === "number") {
      texts.push(String(value));
    } else if (typeof value === "object" && value !== null) {
      for (const [key, member] of Object.entries(value)) add(member, key);
    }
  };
  add(instructions, "");
  add(input, "");
  for (let node = parent; node !== null && room >= 0; node = node.parent) {
    add(node.input, "");
    add(node.response.output, "");
  }
  return room >= 0;
}

/** Fields whose values are words of the protocol. */
const STRUCTURE = new Set(["type", "role", "status", "id", "call_id", "detail", "phase", "object"]);
