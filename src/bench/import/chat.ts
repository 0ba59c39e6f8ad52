import type { Recording } from "../recording.ts";
import { assistantMessage, functionCall, functionOutput, image, inputText, reasoning, userMessage } from "./items.ts";
import { type Json, isJson, objectIn, objectsIn, textIn } from "./json.ts";
import { RunBuilder } from "./run-builder.ts";

/**
 * Conversations in the format of chat completions, `{"messages": […], "tools": […]}`, one on each line or one in a file. Each
 * message of the assistant is a turn.
 */
export function importChat(conversations: readonly Json[], id: string): readonly Recording[] {
  return conversations.flatMap((conversation, index) => {
    const run = new RunBuilder(conversations.length === 1 ? id : `${id}:${index + 1}`);
    run.model = textIn(conversation, "model") ?? run.model;
    run.tools = objectsIn(conversation, "tools").map((tool) => ({ type: "function", ...objectIn(tool, "function") }));
    const messages = objectsIn(conversation, "messages");
    const first = messages.findIndex(({ role }) => role !== "system" && role !== "developer");
    const system = messages.slice(0, first === -1 ? messages.length : first);
    run.instructions = system.map(contentText).join("\n\n");
    for (const [at, message] of messages.slice(system.length).entries()) readMessage(run, message, `${at}`);
    return run.finish();
  });
}

function readMessage(run: RunBuilder, message: Json, request: string): void {
  if (message["role"] === "assistant") {
    const thought = textIn(message, "reasoning_content") ?? textIn(message, "reasoning");
    if (thought !== undefined && thought !== "") run.output(reasoning(thought), request);
    const text = contentText(message);
    const calls = objectsIn(message, "tool_calls");
    if (text !== "" || calls.length === 0) run.output(assistantMessage(text), request);
    for (const call of calls) {
      const { name, arguments: args } = objectIn(call, "function");
      run.output(functionCall(textIn(call, "id") ?? "", String(name), args), request);
    }
  } else if (message["role"] === "tool") {
    run.input(functionOutput(textIn(message, "tool_call_id") ?? "", contentText(message)));
  } else {
    const { content, role } = message;
    const item = userMessage(typeof content === "string" ? content : objectsIn(message, "content").map(partOf));
    run.input(role === "user" ? item : { ...item, role: "developer" });
  }
}

function contentText(message: Json): string {
  const { content } = message;
  if (typeof content === "string") return content;
  return objectsIn(message, "content")
    .map((part) => textIn(part, "text") ?? "")
    .join("");
}

function partOf(part: Json): object {
  const { image_url: url } = part;
  if (url === undefined) return inputText(textIn(part, "text") ?? "");
  return image(typeof url === "string" ? url : isJson(url) ? (textIn(url, "url") ?? "") : "");
}
