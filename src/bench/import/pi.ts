import type { Recording } from "../recording.ts";
import { assistantMessage, functionCall, functionOutput, image, inputText, reasoning, userMessage } from "./items.ts";
import { type Json, objectIn, objectsIn, textIn } from "./json.ts";
import { RunBuilder } from "./run-builder.ts";

/**
 * Sessions of pi (`~/.pi/agent/sessions/**`): one message on each line. They hold neither instructions nor tools. A
 * compaction begins a run of its own; of a session with branches the lines are taken as they stand.
 */
export function importPi(lines: readonly Json[], id: string): readonly Recording[] {
  const run = new RunBuilder(id);
  for (const [index, line] of lines.entries()) {
    if (line["type"] === "session" || line["type"] === "model_change") run.model = textIn(line, "modelId") ?? run.model;
    if (line["type"] === "compaction") run.restart([userMessage(textIn(line, "summary") ?? "")]);
    if (line["type"] === "message") readMessage(run, objectIn(line, "message"), `${index}`);
  }
  return run.finish();
}

function readMessage(run: RunBuilder, message: Json, request: string): void {
  switch (message["role"]) {
    case "assistant":
      run.model = textIn(message, "model") ?? run.model;
      for (const part of objectsIn(message, "content")) readPart(run, part, request);
      break;
    case "toolResult":
      run.input(
        functionOutput(textIn(message, "toolCallId") ?? "", plain(objectsIn(message, "content").flatMap(partOf))),
      );
      break;
    case "bashExecution":
      run.input(userMessage(`$ ${textIn(message, "command") ?? ""}\n${textIn(message, "output") ?? ""}`));
      break;
    case "user":
      run.input(userMessage(textIn(message, "content") ?? objectsIn(message, "content").flatMap(partOf)));
      break;
    default:
  }
}

function readPart(run: RunBuilder, part: Json, request: string): void {
  if (part["type"] === "text") run.output(assistantMessage(textIn(part, "text") ?? ""), request);
  if (part["type"] === "thinking") {
    run.output(reasoning(textIn(part, "thinking") ?? "", textIn(part, "thinkingSignature")), request);
  }
  if (part["type"] === "toolCall") {
    run.output(functionCall(textIn(part, "id") ?? "", textIn(part, "name") ?? "", part["arguments"]), request);
  }
}

type Part = { readonly type?: unknown; readonly text?: unknown };

/** One text is sent as a string, as pi does. */
function plain(parts: readonly object[]): string | readonly object[] {
  const [only] = parts as readonly Part[];
  return parts.length === 1 && typeof only?.text === "string" ? only.text : parts;
}

function partOf(part: Json): readonly object[] {
  if (part["type"] === "text") return [inputText(textIn(part, "text") ?? "")];
  if (part["type"] !== "image") return [];
  return [image(`data:${textIn(part, "mimeType") ?? "image/png"};base64,${textIn(part, "data") ?? ""}`)];
}
