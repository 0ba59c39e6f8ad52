/** The other direction of `openai.test-d.ts`: what the SDK has is ours, or is left out on purpose. Nothing here runs. */

import type {
  Response as TheirResponse,
  ResponseCreateParams,
  ResponseCustomToolCall,
  ResponseFunctionToolCall,
  ResponseOutputMessage,
  ResponseReasoningItem,
  ResponsesClientEvent,
  ResponsesServerEvent,
  ResponseStreamEvent,
  ResponseUsage,
} from "openai/resources/responses/responses";
import type { ServerEvent } from "../../src/protocol/events.ts";
import type {
  OutputCustomToolCall,
  OutputFunctionCall,
  OutputMessage,
  OutputReasoning,
} from "../../src/protocol/items.ts";
import type { CreateRequestSchema, NOT_FOR_THE_MODEL } from "../../src/protocol/request.ts";
import type { Response, Usage } from "../../src/protocol/response.ts";
import type { EVENT } from "../../src/protocol/table.ts";
import type { LEFT_OUT } from "../support/left-out.ts";

/** Does not compile unless nothing is left over; what is left over is in the message. */
type Nothing<Rest extends never> = Rest;
type LeftOut<Of extends keyof typeof LEFT_OUT> = keyof (typeof LEFT_OUT)[Of];
/** Theirs that is neither ours nor left out. */
type Missing<Theirs, Ours, Of extends keyof typeof LEFT_OUT> = Exclude<keyof Theirs, keyof Ours | LeftOut<Of>>;
/** Left out, and not theirs, or ours by now: a line that says nothing. */
type Stale<Theirs, Ours, Of extends keyof typeof LEFT_OUT> =
  | Exclude<LeftOut<Of>, keyof Theirs>
  | Extract<LeftOut<Of>, keyof Ours>;

export type Responses = [
  Nothing<Missing<TheirResponse, Response, "response">>,
  Nothing<Stale<TheirResponse, Response, "response">>,
];

export type Usages = [
  Nothing<Missing<ResponseUsage, Usage, "usage">>,
  Nothing<Missing<ResponseUsage["input_tokens_details"], Usage["input_tokens_details"], "inputTokens">>,
  Nothing<Exclude<keyof ResponseUsage["output_tokens_details"], keyof Usage["output_tokens_details"]>>,
];

export type Items = [
  Nothing<Missing<ResponseOutputMessage, OutputMessage, "message">>,
  Nothing<Missing<ResponseFunctionToolCall, OutputFunctionCall, "functionCall">>,
  Nothing<Stale<ResponseFunctionToolCall, OutputFunctionCall, "functionCall">>,
  Nothing<Missing<ResponseCustomToolCall, OutputCustomToolCall, "customCall">>,
  Nothing<Stale<ResponseCustomToolCall, OutputCustomToolCall, "customCall">>,
  Nothing<Missing<ResponseReasoningItem, OutputReasoning, "reasoning">>,
  Nothing<Stale<ResponseReasoningItem, OutputReasoning, "reasoning">>,
];

type TheirEvent = ResponseStreamEvent["type"] | ResponsesServerEvent["type"];
type OurEvent = ServerEvent["type"] | typeof EVENT.error;
/** The keys of every member of a union. */
type KeyOf<Union> = Union extends unknown ? keyof Union & string : never;
/** The fields of their event that ours of the same name lacks, in the form `event.field`. */
type MissingFields = {
  [Name in ServerEvent["type"] & TheirEvent]: `${Name}.${Exclude<
    KeyOf<Extract<ResponseStreamEvent | ResponsesServerEvent, { type: Name }>>,
    KeyOf<Extract<ServerEvent, { type: Name }>>
  >}`;
}[ServerEvent["type"] & TheirEvent];
/** `stream_id` and the like are put on by the connection. */
type OfTheConnection = `${string}.stream_id` | `${string}.agent`;

export type Events = [
  Nothing<Exclude<TheirEvent, OurEvent | LeftOut<"events">>>,
  Nothing<Exclude<LeftOut<"events">, TheirEvent>>,
  Nothing<Extract<LeftOut<"events">, OurEvent>>,
  Nothing<Exclude<MissingFields, OfTheConnection | LeftOut<"fields">>>,
  Nothing<Exclude<LeftOut<"fields">, MissingFields>>,
];

type OurField = keyof typeof CreateRequestSchema.properties | (typeof NOT_FOR_THE_MODEL)[number];
/** No field of the API's goes to a model server as one that the API does not know. */
export type Requests = [
  Nothing<Exclude<keyof ResponseCreateParams, OurField>>,
  Nothing<Exclude<keyof ResponsesClientEvent.ResponseCreate, OurField>>,
];
