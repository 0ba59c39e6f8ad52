import { type Fields, isFields } from "./call-pieces.ts";

/** What a delta or a message says, in the order in which it is told. */
export type Said = { readonly kind: "text" | "reasoning" | "refusal"; readonly text: string };

/** Fields in which servers send thinking as text, the most used first. */
const REASONING_FIELDS = ["reasoning_content", "reasoning", "thinking", "reasoning_text"] as const;

/** The thinking of a delta that stands beside its content; an empty field does not hide a full one. */
export function reasoningText(delta: Fields): string {
  for (const field of REASONING_FIELDS) {
    const value = delta[field];
    if (typeof value === "string") {
      if (value !== "") return value;
    } else if (typeof value === "object" && value !== null) {
      const text = textInside(value);
      if (text !== "") return text;
    }
  }
  const details = delta["reasoning_details"];
  return Array.isArray(details) ? details.map(detailText).join("") : "";
}

/** One of OpenRouter's details: a text or a summary can be shown. */
function detailText(detail: unknown): string {
  if (!isFields(detail)) return "";
  const { text, summary } = detail;
  return typeof text === "string" ? text : typeof summary === "string" ? summary : "";
}

/** Content that is no plain text: parts, of which some may be thinking, or a single value. */
export function contentSaid(content: unknown): readonly Said[] {
  if (content === undefined || content === null || content === "") return [];
  if (typeof content === "string") return [{ kind: "text", text: content }];
  if (typeof content !== "object") return [{ kind: "text", text: JSON.stringify(content) }];
  if (Array.isArray(content)) return content.flatMap(contentSaid);
  return partSaid(content as Fields);
}

const THINKING_PARTS: ReadonlySet<unknown> = new Set(["thinking", "reasoning", "reasoning_text", "thought"]);

function partSaid(part: Fields): readonly Said[] {
  const { type } = part;
  if (THINKING_PARTS.has(type)) return said("reasoning", textInside(part));
  if (type === "refusal" && typeof part["refusal"] === "string") return said("refusal", part["refusal"]);
  return said("text", textInside(part));
}

/** The text of a part, wherever it has it: `text`, `thinking`, `content`, as a string or in parts of its own. */
function textInside(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(textInside).join("");
  if (!isFields(value)) return "";
  for (const field of ["text", "thinking", "reasoning", "content", "summary"]) {
    const text = textInside(value[field]);
    if (text !== "") return text;
  }
  return "";
}

function said(kind: Said["kind"], text: string): readonly Said[] {
  return text === "" ? [] : [{ kind, text }];
}
