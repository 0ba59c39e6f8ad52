import { brokenStream } from "./chat-errors.ts";

/**
 * The names in a server's list of models: OpenAI's `data`, Ollama's `models`, or a bare array; of objects or of names, with
 * empty places among them.
 * @throws ApiError when the text is no list of models
 */
export function readModelList(text: string): readonly string[] {
  const entries = listIn(parse(text));
  if (entries === null) throw brokenStream("answered GET /models with something that is not a list of models");
  return [...new Set(entries.flatMap(nameOf))];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function listIn(value: unknown): readonly unknown[] | null {
  if (Array.isArray(value)) return value;
  if (typeof value !== "object" || value === null) return null;
  const { data, models, result } = value as { readonly [field: string]: unknown };
  for (const list of [data, models, result]) {
    const found = list === undefined || list === value ? null : listIn(list);
    if (found !== null) return found;
  }
  // `{"object":"list","data":null}`: a server that has none.
  if (data === null || models === null) return [];
  return null;
}

function nameOf(entry: unknown): readonly string[] {
  if (typeof entry === "string") return entry === "" ? [] : [entry];
  if (typeof entry !== "object" || entry === null) return [];
  const { id, name, model, key } = entry as { readonly [field: string]: unknown };
  const found = [id, name, model, key].find((value) => typeof value === "string" && value !== "");
  return found === undefined ? [] : [found as string];
}
