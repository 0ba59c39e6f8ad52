import { ApiError, type ErrorEvent, errorEvent, type ErrorFrame } from "./errors.ts";
import type { ServerEvent } from "./events.ts";
import { parseExactJson } from "./exact-json.ts";
import { EVENT } from "./table.ts";
import { toolsJson } from "./tools.ts";

/** Bytes of the wire to values and back: JSON bodies, WebSocket frames and SSE blocks. */

/** Parses JSON text. @throws ApiError `invalid_json` */
export function parseJson(text: string): unknown {
  try {
    return parseExactJson(text);
  } catch (error) {
    throw new ApiError("invalid_json", "We could not parse the JSON of your request.", { cause: error });
  }
}

/** One WebSocket text frame; with the lane's name, when the client gave it one. */
export function encodeFrame(event: ServerEvent | ErrorFrame, streamId: string | null): string {
  const json = jsonOf(event);
  return streamId === null ? json : `${json.slice(0, -1)},"stream_id":${JSON.stringify(streamId)}}`;
}

/** What ends an SSE stream. */
export const SSE_DONE = "data: [DONE]\n\n";

/**
 * The SSE blocks of one event. A failure takes two: Open Responses announces it by an `error` event before
 * `response.failed`, and that event takes a sequence number of its own.
 */
export function encodeSse(event: ServerEvent): readonly string[] {
  if (event.type !== EVENT.failed) return [block(event)];
  const { code, message } = event.response.error ?? { code: "server_error" as const, message: "" };
  const announcement = errorEvent(new ApiError(code, message), event.sequence_number);
  return [block(announcement), block({ ...event, sequence_number: event.sequence_number + 1 })];
}

/** The SSE block of an error that ends a stream by itself. */
export function encodeSseError(error: ApiError, sequenceNumber: number): string {
  return block(errorEvent(error, sequenceNumber));
}

/** Those of the blocks whose number comes behind this one. */
export function encodeSseAfter(event: ServerEvent, after: number): readonly string[] {
  return encodeSse(event).slice(Math.max(0, after + 1 - event.sequence_number));
}

function block(event: ServerEvent | ErrorEvent): string {
  return `event: ${event.type}\ndata: ${jsonOf(event)}\n\n`;
}

/** Tools are most of what a response says of itself, and it says them in three events: they are serialised once. */
function jsonOf(event: ServerEvent | ErrorEvent | ErrorFrame): string {
  if (!("response" in event) || event.response.tools.length === 0) return JSON.stringify(event);
  const { response, ...about } = event;
  const { tools, ...fields } = response;
  return `${openJson(about)},"response":${openJson(fields)},"tools":${toolsJson(tools)}}}`;
}

/** The JSON of an object that has more to come. */
function openJson(value: object): string {
  return JSON.stringify(value).slice(0, -1);
}
