import { Quotation } from "../protocol/errors.ts";
import type { CreateRequest } from "../protocol/request.ts";
import type { ResponseNode } from "./node.ts";

/** What the model server said to a request, as an operator may read it. */

/** Contexts that are larger are not searched; then only the numbers of the server's status and its short words stay. */
const MOST_CONTENT = 1024 * 1024;
/** Shorter words tell nothing of a content, unless they have digits. */
const SHORTEST_WORD = 4;
const CUT = "…";

type Request = Pick<CreateRequest, "instructions" | "input" | "store">;

/**
 * The words of the model server in the causes of an error; null when it said nothing. Of a request that may not be kept no
 * word stays in them.
 */
export function serverWords(error: unknown, request: Request, parent: ResponseNode | null): string | null {
  let at = error;
  while (at instanceof Error && !(at instanceof Quotation)) at = at.cause;
  if (!(at instanceof Quotation)) return null;
  return request.store ? at.message : withoutContent(at.message, contentOf(request, parent));
}

/** @param content null when there is too much to look through */
function withoutContent(words: string, content: string | null): string {
  // Servers quote with escapes, which would glue letters to the words behind them.
  const plain = words
    .replaceAll(/\\u([0-9a-f]{4})/gi, (_escape, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replaceAll(/\\+[nrtbf]/g, " ");
  const cut = plain.replaceAll(/[\p{L}\p{N}\p{M}_]+/gu, (word) => (isTelling(word, content) ? CUT : word));
  return cut.replaceAll(/…(?:[^\p{L}\p{N}]*…)+/gu, CUT);
}

function isTelling(word: string, content: string | null): boolean {
  // Scripts without spaces say much in few letters.
  const isShort = word.length < SHORTEST_WORD && /^[a-z]+$/i.test(word);
  return !isShort && (content === null || content.includes(word.toLowerCase()));
}

/** All texts of the context in lower case; null when that is too much. */
function contentOf({ instructions, input }: Request, parent: ResponseNode | null): string | null {
  const texts: string[] = [];
  let size = 0;
  const add = (value: unknown, name: string): void => {
    if (size > MOST_CONTENT) return;
    if (typeof value === "string" || typeof value === "number") {
      if (STRUCTURE.has(name)) return;
      size += String(value).length;
      texts.push(String(value));
    } else if (typeof value === "object" && value !== null) {
      for (const [key, member] of Object.entries(value)) add(member, key);
    }
  };
  add([instructions, input], "");
  let node = parent;
  while (node !== null) {
    add([node.input, node.response.output], "");
    if (size > MOST_CONTENT) return null;
    node = node.parent;
  }
  return size > MOST_CONTENT ? null : texts.join("\n").toLowerCase();
}

/** Fields whose values are words of the protocol. */
const STRUCTURE = new Set(["type", "role", "status", "id", "call_id", "detail", "phase", "object"]);
