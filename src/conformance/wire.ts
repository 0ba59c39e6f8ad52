import type { Frame, Json, WireItem, WireResponse } from "./types.ts";
import { demand, skip } from "./violation.ts";

/** Reading what came over the wire, with a message for everything that is not there. */

export const TERMINAL_TYPES = ["response.completed", "response.failed", "response.incomplete"] as const;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function object(value: unknown, what: string): Json {
  demand(isObject(value), `${what} is not a JSON object.`, { got: value });
  return value;
}

export function list(value: unknown, what: string): readonly unknown[] {
  demand(Array.isArray(value), `${what} is not a list.`, { got: value });
  return value;
}

export function text(value: unknown, what: string): string {
  demand(typeof value === "string", `${what} is not a string.`, { got: value });
  return value;
}

/** A message of the server as an event. */
export function parseFrame(message: string, what: string): Frame {
  let value: unknown;
  try {
    value = JSON.parse(message);
  } catch {
    demand(false, `${what} is not JSON.`, { expected: "one JSON object", got: message });
  }
  const frame = object(value, what);
  demand(typeof frame["type"] === "string", `${what} has no 'type' that is a string.`, { got: message });
  return frame as Frame;
}

/** Whether an event ends a turn: one of the three terminal events, or a refusal. */
export function endsTurn(frame: Frame): boolean {
  return frame.type === "error" || (TERMINAL_TYPES as readonly string[]).includes(frame.type);
}

/** A response object, as far as every case relies on it. */
export function asResponse(value: unknown, what: string): WireResponse {
  const response = object(value, what);
  text(response["id"], `${what}: 'id'`);
  text(response["status"], `${what}: 'status'`);
  for (const item of list(response["output"], `${what}: 'output'`)) {
    text(object(item, `${what}: an item of 'output'`)["type"], `${what}: the 'type' of an item of 'output'`);
  }
  return response as WireResponse;
}

/** The error object of a WebSocket error event, of an HTTP error body, or of an SSE error event. */
export function errorOf(value: Json, what: string): Json {
  return object(value["error"], `${what}: 'error'`);
}

/** The error of an HTTP body, whatever that is; null when it has none. */
export function errorIn(body: string): unknown {
  try {
    const value: unknown = JSON.parse(body);
    return isObject(value) ? value["error"] : null;
  } catch {
    return null;
  }
}

/** The words of an error; empty when it has none. */
export function saysOf(error: unknown): string {
  return isObject(error) && typeof error["message"] === "string" ? error["message"] : "";
}

/** The text that the model said, over all of its messages. */
export function textOf(response: WireResponse): string {
  return response.output.flatMap(partsOf).join("");
}

function partsOf(item: WireItem): readonly string[] {
  if (item.type !== "message" || !Array.isArray(item["content"])) return [];
  return item["content"].flatMap((part: unknown) =>
    isObject(part) && typeof part["text"] === "string" ? [part["text"]] : [],
  );
}

/** The tool calls of a response. */
export function callsOf(response: WireResponse): readonly WireItem[] {
  return response.output.filter(({ type }) => type === "function_call");
}

/** How many tokens of input the server says that the model has seen. */
export function inputTokens(response: WireResponse): number {
  return tokens(response, "input_tokens");
}

export function outputTokens(response: WireResponse): number {
  return tokens(response, "output_tokens");
}

function tokens(response: WireResponse, field: string): number {
  const { usage } = response;
  const count = isObject(usage) ? usage[field] : undefined;
  if (typeof count !== "number" || count === 0)
    skip(`the server reports no usage.${field}, so the context cannot be measured`);
  return count;
}
