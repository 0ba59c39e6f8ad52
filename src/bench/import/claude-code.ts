import type { Recording } from "../recording.ts";
import { assistantMessage, functionCall, functionOutput, image, inputText, reasoning, userMessage } from "./items.ts";
import { type Json, objectIn, objectsIn, textIn } from "./json.ts";
import { RunBuilder } from "./run-builder.ts";

/**
 * Claude Code transcripts (`~/.claude/projects/**`): one line for each block of an answer; lines with one message id are one
 * request. They hold neither instructions nor tools. Subagents have contexts of their own and are left out where they
 * stand beside the main run; their own files are read as what they are.
 */
export function importClaudeCode(lines: readonly Json[], id: string): readonly Recording[] {
  const run = new RunBuilder(id);
  const isOfSubagent = lines.every((line) => line["isSidechain"] !== false);
  for (const line of lines) {
    if (line["isSidechain"] === true && !isOfSubagent) continue;
    const message = objectIn(line, "message");
    if (line["type"] === "assistant") readAnswer(run, message);
    if (line["type"] === "user") {
      if (line["isCompactSummary"] === true) run.restart([]);
      readUser(run, message);
    }
  }
  return run.finish();
}

function readAnswer(run: RunBuilder, message: Json): void {
  // What the program says itself, such as "interrupted", came from no model.
  if (message["model"] === "<synthetic>") return;
  run.model = textIn(message, "model") ?? run.model;
  const request = textIn(message, "id");
  for (const block of objectsIn(message, "content")) {
    if (block["type"] === "text") run.output(assistantMessage(textIn(block, "text") ?? ""), request);
    if (block["type"] === "thinking") {
      run.output(reasoning(textIn(block, "thinking") ?? "", textIn(block, "signature")), request);
    }
    if (block["type"] === "tool_use") {
      const call = functionCall(textIn(block, "id") ?? "", textIn(block, "name") ?? "", block["input"]);
      run.output(call, request);
    }
  }
}

function readUser(run: RunBuilder, message: Json): void {
  const { content } = message;
  if (typeof content === "string") {
    run.input(userMessage(content));
    return;
  }
  const blocks = objectsIn(message, "content");
  for (const block of blocks) {
    if (block["type"] !== "tool_result") continue;
    const result = textIn(block, "content") ?? objectsIn(block, "content").flatMap(partOf);
    run.input(functionOutput(textIn(block, "tool_use_id") ?? "", result));
  }
  const parts = blocks.flatMap(partOf);
  if (parts.length > 0) run.input(userMessage(parts));
}

function partOf(block: Json): readonly object[] {
  if (block["type"] === "text") return [inputText(textIn(block, "text") ?? "")];
  if (block["type"] !== "image") return [];
  const { media_type: kind, data, url } = objectIn(block, "source");
  return [image(typeof url === "string" ? url : `data:${String(kind)};base64,${String(data)}`)];
}
