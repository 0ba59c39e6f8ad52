import type { Item } from "../../protocol/items.ts";
import type { Recording } from "../recording.ts";
import { type Json, objectIn, objectsIn, textIn } from "./json.ts";
import { RunBuilder } from "./run-builder.ts";

/**
 * Codex rollouts (`~/.codex/sessions/**`): Responses items as they are, one on each line, in an envelope since 2025. They do
 * not hold the tools. A compaction begins a run of its own.
 */
export function importCodex(lines: readonly Json[], id: string): readonly Recording[] {
  const run = new RunBuilder(id);
  for (const line of lines) {
    const payload = "payload" in line ? objectIn(line, "payload") : line;
    switch (line["type"]) {
      case "session_meta":
        readMeta(run, payload);
        break;
      case "turn_context":
        run.model = textIn(payload, "model") ?? run.model;
        break;
      case "compacted":
        run.restart(objectsIn(payload, "replacement_history").filter(isItem));
        break;
      case "response_item":
        readItem(run, payload);
        break;
      default:
        // Before there were envelopes the first line was the session, and every other one an item.
        if ("payload" in line) break;
        if ("type" in line) readItem(run, line);
        else readMeta(run, line);
    }
  }
  return run.finish();
}

function readMeta(run: RunBuilder, meta: Json): void {
  run.instructions =
    textIn(objectIn(meta, "base_instructions"), "text") ?? textIn(meta, "instructions") ?? run.instructions;
}

/** What Codex keeps for itself, and never sends. */
const PRIVATE = new Set(["ghost_snapshot", "other"]);

function readItem(run: RunBuilder, item: Json): void {
  if (!isItem(item) || PRIVATE.has(item.type)) return;
  const isInput = item.type === "message" ? item["role"] !== "assistant" : item.type.endsWith("_output");
  if (isInput) run.input(item);
  else run.output(item);
}

function isItem(value: Json): value is Item {
  return typeof value["type"] === "string";
}
