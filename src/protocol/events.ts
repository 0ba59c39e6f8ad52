import type {
  Annotation,
  OutputItem,
  OutputTextPart,
  ReasoningTextPart,
  RefusalPart,
  SummaryTextPart,
  TokenLogprob,
} from "./items.ts";
import type { Response } from "./response.ts";
import {
  type EVENT,
  type InjectErrorCode,
  type INTERRUPT_ERROR,
  type SteerErrorCode,
  TERMINAL_EVENTS,
} from "./table.ts";

type Event<Name extends string, Fields> = { readonly type: Name; readonly sequence_number: number } & Readonly<Fields>;
type OfItem = { readonly item_id: string; readonly output_index: number };
type OfPart = OfItem & { readonly content_index: number };
/** One command of a shell call; OpenAI names no item here. */
type OfCommand = { readonly output_index: number; readonly command_index: number };
type OfSummary = OfItem & { readonly summary_index: number };
type ContentPart = OutputTextPart | RefusalPart | ReasoningTextPart;
type E = typeof EVENT;

export type ServerEvent =
  | Event<E["created"], { response: Response }>
  | Event<E["queued"], { response: Response }>
  | Event<E["inProgress"], { response: Response }>
  | Event<E["completed"], { response: Response }>
  | Event<E["failed"], { response: Response }>
  | Event<E["incomplete"], { response: Response }>
  | Event<E["itemAdded"], { output_index: number; item: OutputItem }>
  | Event<E["itemDone"], { output_index: number; item: OutputItem }>
  | Event<E["partAdded"], OfPart & { part: ContentPart }>
  | Event<E["partDone"], OfPart & { part: ContentPart }>
  | Event<E["textDelta"], OfPart & { delta: string; obfuscation?: string; logprobs: readonly TokenLogprob[] }>
  | Event<E["annotationAdded"], OfPart & { annotation_index: number; annotation: Annotation }>
  | Event<E["textDone"], OfPart & { text: string; logprobs: readonly TokenLogprob[] }>
  | Event<E["refusalDelta"], OfPart & { delta: string; obfuscation?: string }>
  | Event<E["refusalDone"], OfPart & { refusal: string }>
  | Event<E["reasoningDelta"], OfPart & { delta: string; obfuscation?: string }>
  | Event<E["reasoningDone"], OfPart & { text: string }>
  | Event<E["summaryPartAdded"], OfSummary & { part: SummaryTextPart }>
  | Event<E["summaryPartDone"], OfSummary & { part: SummaryTextPart }>
  | Event<E["summaryDelta"], OfSummary & { delta: string; obfuscation?: string }>
  | Event<E["summaryDone"], OfSummary & { text: string }>
  | Event<E["argumentsDelta"], OfItem & { delta: string; obfuscation?: string }>
  | Event<E["argumentsDone"], OfItem & { arguments: string }>
  | Event<E["customInputDelta"], OfItem & { delta: string; obfuscation?: string }>
  | Event<E["customInputDone"], OfItem & { input: string }>
  | Event<E["shellCommandAdded"], OfCommand & { command: string }>
  | Event<E["shellCommandDelta"], OfCommand & { delta: string; obfuscation?: string }>
  | Event<E["shellCommandDone"], OfCommand & { command: string }>
  | Event<E["compacting"], OfItem>
  | Event<E["itemInterrupted"], OfItem & { response_id: string }>
  | Event<E["interruptAccepted"], { response_id: string }>
  | Event<E["interruptFailed"], { response_id: string; error: InterruptError }>
  | Event<E["injectFailed"], { response_id: string; input: unknown; error: InjectError }>
  | Event<E["steerAccepted"], { steer: SteerRef }>
  | Event<E["steerPending"], { steer: SteerRef; reason: "waiting_for_required_input"; required_input: readonly Stub[] }>
  | Event<E["steerFailed"], { steer: FailedSteer; error: SteerError }>
  | Event<E["keepalive"], object>;

type InjectError = { readonly code: InjectErrorCode; readonly message: string };
type InterruptError = { readonly code: (typeof INTERRUPT_ERROR)[number]; readonly message: string };

/** Steering input that the server has taken, and the response that it is meant for. */
export type SteerRef = { readonly id: string; readonly previous_response_id: string };
/** Steering input that comes back. Without an id it was never taken. */
export type FailedSteer = { readonly id?: string; readonly previous_response_id: string; readonly input: unknown };
type SteerError = {
  readonly type: "invalid_request_error";
  readonly code: SteerErrorCode;
  readonly message: string;
};
/** What the client has to fill in before the conversation can go on. */
export type Stub =
  | { readonly type: "function_call_output"; readonly call_id: string; readonly name: string }
  | { readonly type: "custom_tool_call_output"; readonly call_id: string };

export type TerminalEvent = Extract<ServerEvent, { type: (typeof TERMINAL_EVENTS)[number] }>;

export function isTerminal(event: ServerEvent): event is TerminalEvent {
  return (TERMINAL_EVENTS as readonly string[]).includes(event.type);
}
