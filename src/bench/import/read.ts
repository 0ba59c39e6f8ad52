import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import type { Recording } from "../recording.ts";
import { BenchError } from "../turn.ts";
import { importChat } from "./chat.ts";
import { importClaudeCode } from "./claude-code.ts";
import { importCodex } from "./codex.ts";
import { isJson, type Json, jsonLines } from "./json.ts";
import { importPi } from "./pi.ts";

/** The formats of recorded runs that are known. */
export const FORMATS = ["trace", "codex", "claude-code", "pi", "chat"] as const;
export type Format = (typeof FORMATS)[number];

/** The runs in a file, or in all `.json` and `.jsonl` files below a folder. @throws BenchError when there are none */
export function readRecordings(path: string, format?: Format): readonly Recording[] {
  let files: readonly string[];
  try {
    files = statSync(path).isDirectory() ? filesBelow(path) : [path];
  } catch (error) {
    throw new BenchError(`${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  const isOneFile = files.length === 1 && files[0] === path;
  const found = files.flatMap((file) => {
    const recordings = parseRecordings(readFileSync(file, "utf8"), basename(file).replace(/\.jsonl?$/, ""), format);
    if (recordings === null && isOneFile) {
      throw new BenchError(`${path} is in no format that is known (${FORMATS.join(", ")}); --format names one`);
    }
    return recordings ?? [];
  });
  if (found.length > 0) return found;
  throw new BenchError(`${path} holds no turn of a model`);
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.jsonl?$/.test(name))
    .toSorted()
    .map((name) => join(folder, name));
}

/** The runs in a text; null when its format is not known. */
export function parseRecordings(text: string, id: string, format?: Format): readonly Recording[] | null {
  const values = valuesOf(text);
  switch (format ?? detect(values)) {
    case "trace":
      return values.filter(isRecording);
    case "codex":
      return importCodex(values, id);
    case "claude-code":
      return importClaudeCode(values, id);
    case "pi":
      return importPi(values, id);
    case "chat":
      return importChat(values, id);
    case undefined:
  }
  return null;
}

/** One object, a list of them, or one on each line; a bare list of chat messages is one conversation. */
function valuesOf(text: string): readonly Json[] {
  try {
    const whole: unknown = JSON.parse(text);
    if (isJson(whole)) return [whole];
    const list = Array.isArray(whole) ? whole.filter(isJson) : [];
    return list.some((entry) => "role" in entry && !("type" in entry)) ? [{ messages: list }] : list;
  } catch {
    return jsonLines(text);
  }
}

/** By what only one format has; the first lines say it, whatever a newer version adds to the others. */
function detect(values: readonly Json[]): Format | undefined {
  const first = values.slice(0, 50);
  if (first.some(isRecording)) return "trace";
  if (first.some((line) => Array.isArray(line["messages"]))) return "chat";
  if (first.some(({ type, payload }) => isJson(payload) && (type === "session_meta" || type === "response_item"))) {
    return "codex";
  }
  if (first.some(({ sessionId, uuid, message }) => typeof (sessionId ?? uuid) === "string" && isJson(message))) {
    return "claude-code";
  }
  if (first.some(({ type, message }) => type === "message" && isJson(message))) return "pi";
  if (first.some(({ type, role, content }) => type === "message" && role !== undefined && Array.isArray(content))) {
    return "codex";
  }
  return undefined;
}

function isRecording(value: Json): value is Json & Recording {
  return Array.isArray(value["turns"]) && value["turns"].every((turn) => isJson(turn) && Array.isArray(turn["input"]));
}
