/**
 * Our words of the wire against those of the official SDK. Nothing here runs: `tsc` fails when they part. A name in a
 * mismatch says which event, item or field it is.
 */

import type OpenAI from "openai";
import type { InputTokenCountParams, InputTokenCountResponse } from "openai/resources/responses/input-tokens";
import type {
  CompactedResponse,
  EasyInputMessage,
  FunctionTool,
  Response as TheirResponse,
  ResponseCompactionItem,
  ResponseCompactionItemParam,
  ResponseCompactParams,
  ResponseCreateParams,
  ResponseCustomToolCall,
  ResponseCustomToolCallOutput,
  ResponseErrorEvent,
  ResponseFunctionToolCall,
  ResponseInputItem,
  ResponseInputText,
  ResponseOutputMessage,
  ResponseOutputRefusal,
  ResponseOutputText,
  ResponseReasoningItem,
  ResponsesClientEvent,
  ResponsesServerEvent,
  ResponseSteerAcceptedEvent,
  ResponseSteerEvent,
  ResponseSteerFailedEvent,
  ResponseSteerPendingEvent,
  ResponseSteerRequiredInput,
  ResponseStreamEvent,
  ResponseUsage,
} from "openai/resources/responses/responses";
import type { Static } from "typebox";
import type { CompactedContext, InputTokens } from "../../src/protocol/context-request.ts";
import type { ErrorBody, ErrorEvent, ErrorFrame, ErrorObject } from "../../src/protocol/errors.ts";
import type { FailedSteer, ServerEvent, SteerRef, Stub, TerminalEvent } from "../../src/protocol/events.ts";
import type {
  ITEM_SCHEMAS,
  OutputCompaction,
  OutputCustomToolCall,
  OutputFunctionCall,
  OutputItem,
  OutputMessage,
  OutputReasoning,
  OutputTextPart,
  PART_SCHEMAS,
  RefusalPart,
} from "../../src/protocol/items.ts";
import type { CreateRequest, CreateRequestSchema } from "../../src/protocol/request.ts";
import type { Response, ResponseStatus, Usage } from "../../src/protocol/response.ts";
import type { CLIENT_EVENT, EVENT, IncompleteReason } from "../../src/protocol/table.ts";
import type { ToolChoice } from "../../src/protocol/tools.ts";

/** Does not compile unless every value of ours is one of theirs. */
type Assignable<Ours extends Theirs, Theirs> = [Ours, Theirs];
/** Does not compile unless nothing is left over; what is left over is in the message. */
type Nothing<Rest extends never> = Rest;
/** Theirs are mutable, ours are not, and the wire does not know the difference. */
type DeepReadonly<T> = T extends object ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> } : T;
type UnknownKeys<Ours, Theirs> = Exclude<keyof Ours, keyof Theirs>;

// --- Items -----------------------------------------------------------------------------------------------------------

export type OutputItems = [
  Assignable<OutputMessage, DeepReadonly<ResponseOutputMessage>>,
  Assignable<OutputFunctionCall, DeepReadonly<ResponseFunctionToolCall>>,
  Assignable<OutputCustomToolCall, DeepReadonly<ResponseCustomToolCall>>,
  Assignable<OutputReasoning, DeepReadonly<ResponseReasoningItem>>,
  Assignable<OutputTextPart, DeepReadonly<ResponseOutputText>>,
  Assignable<RefusalPart, DeepReadonly<ResponseOutputRefusal>>,
];

export type OutputItemKeys = [
  Nothing<UnknownKeys<OutputMessage, ResponseOutputMessage>>,
  Nothing<UnknownKeys<OutputFunctionCall, ResponseFunctionToolCall>>,
  // Open Responses wants a status on every item; OpenAI's custom tool calls have none.
  Nothing<Exclude<UnknownKeys<OutputCustomToolCall, ResponseCustomToolCall>, "status">>,
  Nothing<UnknownKeys<OutputReasoning, ResponseReasoningItem>>,
];

// What an SDK user sends as input is what our schemas let in.
export type InputItems = [
  // `type` may be left out of a message: `parseCreateRequest` puts it there before the schema is asked.
  Assignable<Omit<EasyInputMessage, "type"> & { type: "message" }, Static<typeof ITEM_SCHEMAS.message>>,
  Assignable<Omit<ResponseInputItem.Message, "type"> & { type: "message" }, Static<typeof ITEM_SCHEMAS.message>>,
  Assignable<ResponseOutputMessage, Static<typeof ITEM_SCHEMAS.message>>,
  Assignable<ResponseFunctionToolCall, Static<typeof ITEM_SCHEMAS.function_call>>,
  Assignable<ResponseInputItem.FunctionCallOutput, Static<typeof ITEM_SCHEMAS.function_call_output>>,
  Assignable<ResponseCustomToolCall, Static<typeof ITEM_SCHEMAS.custom_tool_call>>,
  Assignable<ResponseCustomToolCallOutput, Static<typeof ITEM_SCHEMAS.custom_tool_call_output>>,
  Assignable<ResponseReasoningItem, Static<typeof ITEM_SCHEMAS.reasoning>>,
  // A reference may leave out its type there; here it may not, and is refused in any case.
  Assignable<
    Omit<ResponseInputItem.ItemReference, "type"> & { type: "item_reference" },
    Static<typeof ITEM_SCHEMAS.item_reference>
  >,
  Assignable<ResponseInputText, Static<typeof PART_SCHEMAS.input_text>>,
];

/** Field by field of what our schemas name: a schema for a field that OpenAI does not have is a misspelt one. */
export type InputItemKeys = [
  Nothing<UnknownKeys<Static<typeof ITEM_SCHEMAS.message>, ResponseOutputMessage>>,
  Nothing<UnknownKeys<Static<typeof ITEM_SCHEMAS.function_call>, ResponseFunctionToolCall>>,
  Nothing<UnknownKeys<Static<typeof ITEM_SCHEMAS.function_call_output>, ResponseInputItem.FunctionCallOutput>>,
  Nothing<UnknownKeys<Static<typeof ITEM_SCHEMAS.custom_tool_call>, ResponseCustomToolCall>>,
  // Clients that keep outputs without a call name their tool in outputs of both kinds.
  Nothing<
    Exclude<
      UnknownKeys<Static<typeof ITEM_SCHEMAS.custom_tool_call_output>, ResponseCustomToolCallOutput>,
      "name" | "namespace"
    >
  >,
  Nothing<UnknownKeys<Static<typeof ITEM_SCHEMAS.reasoning>, ResponseReasoningItem>>,
  Nothing<UnknownKeys<Static<typeof PART_SCHEMAS.input_image>, OpenAI.Responses.ResponseInputImage>>,
];

// --- Response --------------------------------------------------------------------------------------------------------

/** What cannot be compared as a whole, and why; each is looked at on its own below where there is something to see. */
type NotComparable =
  // Put together by the SDK, from the output.
  | "output_text"
  // An item of a type that we do not know is passed on as it is; the known ones are compared above.
  | "output"
  // Tools and their choice are shown as the client gave them, of any type.
  | "tools"
  | "tool_choice"
  // Settings that go to the model server as they came: a name that OpenAI does not know yet is no mistake.
  | "text"
  | "reasoning"
  | "service_tier"
  // How Codex knows a response that it interrupted; the SDK does not know that reason.
  | "incomplete_details"
  // Their list of codes is closed and has none for an overlong context, although their server sends one.
  | "error"
  // An integer beyond 2^53 is shown digit by digit.
  | "max_tool_calls"
  // Null before a model has counted anything; the rest is compared below.
  | "usage"
  // Shown as the client sent it.
  | "prompt_cache_retention"
  // Null in recordings of the real API, although its type says that it is then absent.
  | "user";

export type ResponseIsTheirs = Assignable<
  Omit<Response, NotComparable>,
  Omit<DeepReadonly<TheirResponse>, NotComparable>
>;

/** Open Responses demands these; the SDK does not have them. */
type OnlyOpenResponses = "presence_penalty" | "frequency_penalty" | "store";
export type ResponseKeys = Nothing<Exclude<UnknownKeys<Response, TheirResponse>, OnlyOpenResponses>>;

export type ResponseFields = [
  Assignable<ResponseStatus, OpenAI.Responses.ResponseStatus>,
  Assignable<Exclude<IncompleteReason, "interrupted">, TheirResponse.IncompleteDetails["reason"]>,
  Assignable<keyof NonNullable<Response["incomplete_details"]>, keyof TheirResponse.IncompleteDetails>,
  Assignable<Usage, DeepReadonly<ResponseUsage>>,
  Assignable<keyof NonNullable<Response["error"]>, keyof NonNullable<TheirResponse["error"]>>,
  Assignable<keyof Response["text"], keyof NonNullable<TheirResponse["text"]>>,
  Assignable<keyof NonNullable<Response["reasoning"]>, keyof NonNullable<TheirResponse["reasoning"]>>,
  Assignable<Extract<ToolChoice, string>, TheirResponse["tool_choice"]>,
];

/** A function tool, as `parseCreateRequest` completes it, has every field that the SDK requires of one. */
export type FunctionToolKeys = Assignable<
  { type: "function"; name: string; description: null; parameters: null; strict: null },
  FunctionTool
>;

// --- Events ----------------------------------------------------------------------------------------------------------

/** What Codex and OpenAI's servers say to each other, and no SDK speaks of. */
type Undocumented =
  | typeof EVENT.injectFailed
  | typeof EVENT.interruptAccepted
  | typeof EVENT.interruptFailed
  | typeof EVENT.itemInterrupted
  | typeof EVENT.keepalive;
/** What is only said over WebSocket. */
type Steering = typeof EVENT.steerAccepted | typeof EVENT.steerPending | typeof EVENT.steerFailed;
type OnSocket = Exclude<ServerEvent["type"], Undocumented>;
type OnStream = Exclude<OnSocket, Steering>;

/** What holds items or responses is compared above, and the input of a steer is the client's own; here it has to be there. */
type Whole = "response" | "item" | "steer";
type Comparable<Event> = Omit<Event, Whole> & { readonly [Key in keyof Event & Whole]: object };
type Our<Name extends OnSocket> = Comparable<Extract<ServerEvent, { type: Name }>>;
type Their<Name extends OnSocket, Events> = Comparable<DeepReadonly<Extract<Events, { type: Name }>>>;

/** The names of the events (padding of deltas aside, which their types have for some deltas and their server for all) that are not what the SDK expects under that name. */
type Mismatch<Names extends OnSocket, Events> = {
  [Name in Names]: [Our<Name>] extends [Their<Name, Events>]
    ? [Exclude<UnknownKeys<Our<Name>, Their<Name, Events>>, "obfuscation">] extends [never]
      ? never
      : Name
    : Name;
}[Names];

export type EventsAreTheirs = [
  Nothing<Mismatch<OnStream, ResponseStreamEvent>>,
  Nothing<Mismatch<OnSocket, ResponsesServerEvent>>,
];
export type EventNames = [
  Assignable<OnStream, ResponseStreamEvent["type"]>,
  Assignable<OnSocket, ResponsesServerEvent["type"]>,
  // None of these has been documented since.
  Nothing<Extract<Undocumented, ResponsesServerEvent["type"]>>,
];
export type SteerEvents = [
  Assignable<SteerRef, ResponseSteerAcceptedEvent["steer"]>,
  Assignable<SteerRef, ResponseSteerPendingEvent["steer"]>,
  Assignable<Omit<FailedSteer, "input">, Omit<ResponseSteerFailedEvent["steer"], "input">>,
  Nothing<UnknownKeys<FailedSteer, ResponseSteerFailedEvent["steer"]>>,
  Assignable<Stub, ResponseSteerRequiredInput>,
];
/** Parts and items of an event are ours, and so they have been compared. */
export type EventItems = Assignable<Extract<ServerEvent, { item: unknown }>["item"], OutputItem>;
export type Terminals = [
  Assignable<
    TerminalEvent["type"],
    | OpenAI.Responses.ResponseCompletedEvent["type"]
    | OpenAI.Responses.ResponseFailedEvent["type"]
    | OpenAI.Responses.ResponseIncompleteEvent["type"]
  >,
  Assignable<OpenAI.Responses.ResponseCompletedEvent["type"], TerminalEvent["type"]>,
  Assignable<OpenAI.Responses.ResponseFailedEvent["type"], TerminalEvent["type"]>,
  Assignable<OpenAI.Responses.ResponseIncompleteEvent["type"], TerminalEvent["type"]>,
];

// --- Errors ----------------------------------------------------------------------------------------------------------

type TheirFrame = DeepReadonly<ResponsesServerEvent.ResponseWsError>;

export type Errors = [
  Assignable<ErrorFrame, TheirFrame>,
  Assignable<ErrorObject, TheirFrame["error"]>,
  Nothing<UnknownKeys<ErrorObject, TheirFrame["error"]>>,
  // The copy of the headers at the top is for a client that is not the SDK.
  Nothing<Exclude<UnknownKeys<ErrorFrame, TheirFrame>, "headers">>,
  Assignable<ErrorEvent, ResponseErrorEvent>,
  // Open Responses wants the error nested as well.
  Nothing<Exclude<UnknownKeys<ErrorEvent, ResponseErrorEvent>, "error">>,
  Assignable<ErrorBody["error"], OpenAI.ErrorObject>,
];

// --- Requests --------------------------------------------------------------------------------------------------------

/** Who uses a prompt template may leave out the model; there are no templates here. */
type WithModel<Params> = Omit<Params, "model"> & { model: string };

export type Requests = [
  Assignable<WithModel<ResponseCreateParams>, Static<typeof CreateRequestSchema>>,
  Assignable<WithModel<ResponsesClientEvent.ResponseCreate>, Static<typeof CreateRequestSchema>>,
  Assignable<typeof CLIENT_EVENT.create | typeof CLIENT_EVENT.steer, ResponsesClientEvent["type"]>,
  Assignable<ResponsesClientEvent["type"], typeof CLIENT_EVENT.create | typeof CLIENT_EVENT.steer>,
  Assignable<"previous_response_id" | "input", keyof ResponseSteerEvent>,
];

/** Requests about a context, read by the same schema. */
export type ContextRequests = [
  // Theirs has fewer cache options than a create request.
  Assignable<Omit<WithModel<ResponseCompactParams>, "prompt_cache_options">, Static<typeof CreateRequestSchema>>,
  Assignable<WithModel<InputTokenCountParams>, Static<typeof CreateRequestSchema>>,
  Assignable<CompactedContext["object"], CompactedResponse["object"]>,
  Assignable<CompactedContext["usage"], Usage>,
  Nothing<UnknownKeys<CompactedContext, CompactedResponse>>,
  Assignable<InputTokens, DeepReadonly<InputTokenCountResponse>>,
  Nothing<UnknownKeys<InputTokens, InputTokenCountResponse>>,
  Assignable<OutputCompaction, DeepReadonly<ResponseCompactionItem>>,
  Assignable<ResponseCompactionItemParam, Static<(typeof ITEM_SCHEMAS)["compaction"]>>,
];

/** A field of our schema that no request of theirs has is a misspelt one. */
type TheirField = keyof ResponseCreateParams | keyof ResponsesClientEvent.ResponseCreate;
export type RequestKeys = [
  Nothing<Exclude<keyof typeof CreateRequestSchema.properties, TheirField | OnlyOpenResponses>>,
  Nothing<
    Exclude<
      keyof CreateRequest,
      | keyof typeof CreateRequestSchema.properties
      | "extra"
      | "compaction"
      | "logprobs"
      | "sealedReasoning"
      | "obfuscated"
      | "echo"
    >
  >,
];
