import Type from "typebox";
import { ApiError } from "./errors.ts";
import { finish } from "./input.ts";
import { type CreateRequest, createRequestInSteps } from "./request.ts";
import { parseSteer, type SteerRequest } from "./steer.ts";
import { CLIENT_EVENT, IGNORED_CLIENT_EVENTS } from "./table.ts";
import { compileCheck } from "./validation.ts";

/** What a WebSocket client may say. */
export type ClientEvent =
  | { readonly type: "create"; readonly request: CreateRequest; readonly streamId: string | null }
  | { readonly type: "steer"; readonly steer: SteerRequest }
  /** Without an id: whatever runs on the default lane. */
  | { readonly type: "interrupt"; readonly responseId: string | null; readonly mode: string | null }
  | { readonly type: "inject"; readonly responseId: string; readonly input: unknown }
  | { readonly type: "ignored" };

const STREAM_ID = /^[A-Za-z0-9_.-]{1,256}$/;

/**
 * Reads the value of one frame.
 * @throws ApiError when it is not an object, not a known event, or not well-formed
 */
export function parseClientEvent(value: unknown): ClientEvent {
  return finish(clientEventInSteps(value));
}

/** The same, in steps that each take little time. */
export function* clientEventInSteps(value: unknown): Generator<void, ClientEvent> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ApiError("invalid_type", "A WebSocket message must be a JSON object.");
  }
  const { type } = value as { readonly type?: unknown };
  switch (type) {
    case CLIENT_EVENT.create:
      return { type: "create", streamId: parseStreamId(value), request: yield* foregroundInSteps(value) };
    case CLIENT_EVENT.steer:
      return { type: "steer", steer: parseSteer(value) };
    case CLIENT_EVENT.inject:
      return parseInject(value);
    case CLIENT_EVENT.interrupt:
    case CLIENT_EVENT.cancel:
      return parseInterrupt(value, type);
    case undefined:
      throw new ApiError("missing_required_parameter", "Missing required parameter: 'type'.", { param: "type" });
    default: {
      if ((IGNORED_CLIENT_EVENTS as readonly unknown[]).includes(type)) return { type: "ignored" };
      const name = typeof type === "string" ? `'${type.slice(0, 100)}'` : "that is not a string";
      throw new ApiError("unsupported_event_type", `Unsupported event type ${name}.`, { param: "type" });
    }
  }
}

/** A connection has no use for a response that outlives it: it could not show its events. */
function* foregroundInSteps(value: object): Generator<void, CreateRequest> {
  const request = yield* createRequestInSteps(value);
  if (!request.background) return request;
  const message = "Background responses are not supported over WebSocket: create them by POST.";
  throw new ApiError("unsupported_parameter", message, { param: "background" });
}

/** The lane that a frame names; null for the default lane. @throws ApiError `invalid_stream_id` */
function parseStreamId(value: object): string | null {
  const id = (value as { readonly stream_id?: unknown }).stream_id;
  if (id === undefined || id === null) return null;
  if (typeof id === "string" && STREAM_ID.test(id)) return id;
  const message =
    "The 'stream_id' field must be a non-empty string with at most 256 characters and may only contain letters, numbers, " +
    "underscores, hyphens, and periods.";
  throw new ApiError("invalid_stream_id", message, { param: "stream_id" });
}

/** What can be said of a frame that could not be read: whether a lane waits for an answer, and which. */
export function describeRefused(value: unknown): {
  readonly isCreate: boolean;
  readonly streamId: string | null;
} {
  const { type, stream_id } = (value ?? {}) as Record<string, unknown>;
  return {
    isCreate: type === CLIENT_EVENT.create,
    streamId: typeof stream_id === "string" && STREAM_ID.test(stream_id) ? stream_id : null,
  };
}

const checkInject = compileCheck(Type.Object({ response_id: Type.String() }));

/** What is wrong with the input is answered by `response.inject.failed`, which gives it back. */
function parseInject(value: object): ClientEvent {
  checkInject(value, "");
  const { response_id, input } = value as { readonly response_id: string; readonly input?: unknown };
  return { type: "inject", responseId: response_id, input: input ?? null };
}

const text = Type.Optional(Type.Union([Type.String(), Type.Null()]));
const checkInterrupt = compileCheck(Type.Object({ response_id: Type.String(), mode: text }));
const checkCancel = compileCheck(Type.Object({ response_id: text, mode: text }));

function parseInterrupt(value: object, type: string): ClientEvent {
  (type === CLIENT_EVENT.interrupt ? checkInterrupt : checkCancel)(value, "");
  const { response_id, mode } = value as { readonly response_id?: string | null; readonly mode?: string | null };
  return { type: "interrupt", responseId: response_id ?? null, mode: mode ?? null };
}
