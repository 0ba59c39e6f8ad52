import type { Part } from "../protocol/items.ts";

/** Content parts as chat has them. */

/** Text parts as one string; other parts have no place in it. */
export function plainText(content: string | readonly Part[], separator: string): string {
  if (typeof content === "string") return content;
  const [only] = content;
  if (content.length === 1 && only !== undefined) return textOf(only) ?? "";
  return content.flatMap((part) => textOf(part) ?? []).join(separator);
}

function textOf(part: Part): string | undefined {
  if (part.type === "refusal") return part["refusal"] as string;
  const text = part["text"];
  return typeof text === "string" ? text : undefined;
}

/** Text alone becomes a string, which every server takes; with anything else it becomes a list of chat parts. */
export function chatContent(content: string | readonly Part[]): string | readonly object[] {
  if (typeof content === "string") return content;
  const isText = content.every((part) => textOf(part) !== undefined);
  return isText ? plainText(content, "\n") : content.map(chatPart);
}

/** What chat servers know of the detail of images; others refuse the whole request for another word. */
const DETAILS: ReadonlySet<unknown> = new Set(["low", "high", "auto"]);

/** Every part becomes one that chat servers know. What none of them could show is named, so that the model knows of it. */
function chatPart(part: Part): object {
  const text = textOf(part);
  if (text !== undefined) return { type: "text", text };
  const { type, image_url: url, detail, file_id: fileId } = part;
  if (type === "input_image") {
    if (typeof url !== "string") return { type: "text", text: unseen("image", fileId) };
    return { type: "image_url", image_url: DETAILS.has(detail) ? { url, detail } : { url } };
  }
  if (type === "input_file") return filePart(part);
  // What chat servers know has a field of its own name: `input_audio`, `video_url` and their like.
  return part[type] === undefined ? { type: "text", text: unseen(type, fileId) } : part;
}

function filePart({ file_data: data, filename, file_id, file_url: url }: Part): object {
  const name = typeof filename === "string" ? filename : (file_id ?? url);
  if (typeof data !== "string") return { type: "text", text: unseen("file", name) };
  const text = textInside(data);
  if (text === undefined)
    return { type: "file", file: { ...(typeof filename === "string" && { filename }), file_data: data } };
  return { type: "text", text: `File ${typeof name === "string" ? `'${name}'` : "without a name"}:\n${text}` };
}

/** The text of a data URL whose media type says that it is text: few chat servers take files, and all take text. */
function textInside(data: string): string | undefined {
  const [, head = "", base64] = /^data:(text\/[^,]*|application\/json[^,]*),(.*)$/s.exec(data) ?? [];
  if (base64 === undefined) return undefined;
  return head.endsWith(";base64") ? Buffer.from(base64, "base64").toString("utf8") : decodeURIComponent(base64);
}

function unseen(kind: string, name: unknown): string {
  return `[${kind}${typeof name === "string" ? ` '${name}'` : ""} that cannot be shown here]`;
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
