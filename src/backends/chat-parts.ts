import type { Item, Part } from "../protocol/items.ts";
import { textFile } from "./text-file.ts";

/** Content parts as chat has them. */

/** What a part comes to: text of a message, a block of text that stands for it, or a part that chat servers know. */
type Shown =
  | { readonly kind: "text"; readonly text: string }
  /** `isNamed`: the model reads that it is there, and nothing of it. */
  | { readonly kind: "block"; readonly text: string; readonly isNamed: boolean }
  | { readonly kind: "part"; readonly part: object; readonly name: string };

/** What chat servers know of the detail of images; others refuse the whole request for another word. */
const DETAILS: ReadonlySet<unknown> = new Set(["low", "high", "auto"]);

/** Parts that chat servers know under a field of their own name, as OpenAI's API and vLLM have them. */
const CHAT_PARTS: ReadonlySet<string> = new Set(["input_audio", "image_url", "video_url", "audio_url", "file"]);

function show(part: Part): Shown {
  const { type, image_url: url, detail, file_id: fileId } = part;
  if (type === "refusal") return { kind: "text", text: String(part["refusal"]) };
  const { text } = part;
  if (typeof text === "string") return { kind: "text", text };
  if (type === "input_image" || type === "computer_screenshot") {
    if (typeof url !== "string") return unseen("image", fileId);
    const image_url = DETAILS.has(detail) ? { url, detail } : { url };
    return { kind: "part", name: "image", part: { type: "image_url", image_url } };
  }
  if (type === "input_file") return showFile(part);
  if (CHAT_PARTS.has(type)) {
    const held = part[type];
    const name = type.replace(/^input_|_url$/g, "");
    if (typeof held === "string" && type.endsWith("_url"))
      return { kind: "part", name, part: { type, [type]: { url: held } } };
    if (typeof held === "object" && held !== null) return { kind: "part", name, part };
  }
  return unseen(type, fileId);
}

function showFile({ file_data: data, filename, file_id: fileId, file_url: url }: Part): Shown {
  const name = [filename, fileId, url].find((each) => typeof each === "string");
  if (typeof data !== "string") return unseen("file", name);
  const text = textFile(data, typeof filename === "string" ? filename : null);
  if (text === undefined) {
    const file = { ...(typeof filename === "string" && { filename }), file_data: data };
    return { kind: "part", name: "file", part: { type: "file", file } };
  }
  return {
    kind: "block",
    text: `File ${name === undefined ? "without a name" : `'${name}'`}:\n${text}`,
    isNamed: false,
  };
}

function unseen(kind: string, name: unknown): Shown {
  const text = `[${kind}${typeof name === "string" ? ` '${name}'` : ""} that cannot be shown here]`;
  return { kind: "block", text, isNamed: true };
}

/** Texts of one message follow each other as they are; a block stands in lines of its own. */
function join(shown: readonly Shown[], separator: string): string {
  let joined = "";
  let last: Shown["kind"] | null = null;
  for (const each of shown) {
    if (each.kind === "part") continue;
    if (last !== null) joined += last === "text" && each.kind === "text" ? separator : "\n";
    joined += each.text;
    last = each.kind;
  }
  return joined;
}

/** All that can be said of the content in text. */
export function plainText(content: string | readonly Part[], separator = ""): string {
  if (typeof content === "string") return content;
  const [only] = content;
  if (content.length === 1 && typeof only?.["text"] === "string") return only["text"];
  return join(content.map(show), separator);
}

/** Text alone becomes a string, which every server takes; with anything else it becomes a list of chat parts. */
export function chatContent(content: string | readonly Part[]): string | readonly object[] {
  if (typeof content === "string") return content;
  const shown = content.map(show);
  if (shown.every(({ kind }) => kind !== "part")) return plainText(content);
  return shown.map((each) => (each.kind === "part" ? each.part : { type: "text", text: each.text }));
}

/** The parts that are no text, for the places where chat servers take nothing else; and what they are called. */
export function attachments(content: string | readonly Part[]): {
  readonly name: string;
  readonly parts: readonly Part[];
} {
  if (typeof content === "string" || content.every(({ type }) => TEXTS.has(type))) return NOTHING_ATTACHED;
  const parts: Part[] = [];
  const names = new Set<string>();
  for (const part of content) {
    const shown = show(part);
    if (shown.kind !== "part") continue;
    parts.push(part);
    names.add(shown.name);
  }
  return { name: [...names].join(" and "), parts };
}

const TEXTS: ReadonlySet<string> = new Set(["input_text", "output_text", "text", "refusal", "summary_text"]);
const NOTHING_ATTACHED = { name: "", parts: [] } as const;

/** What of an item the model only reads by name: parts that no chat server could show. */
export function namedParts(item: Item): readonly string[] {
  return [item["content"], item["output"]].flatMap((parts) => {
    if (!Array.isArray(parts)) return [];
    return (parts as readonly unknown[]).flatMap((part) => {
      if (typeof part !== "object" || part === null || typeof (part as Part).type !== "string") return [];
      const shown = show(part as Part);
      return shown.kind === "block" && shown.isNamed ? [(part as Part).type] : [];
    });
  });
}

/** The arguments of a call, as the object that servers and templates take them for; models do not always write one. */
export function argumentsObject(json: string): string {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return json;
  } catch {
    if (json.trim() === "") return "{}";
  }
  return JSON.stringify({ arguments: json });
}
