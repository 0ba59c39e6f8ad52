import type { OutputItem, OutputTextPart, ReasoningTextPart, RefusalPart, SummaryTextPart } from "./items.ts";
import type { CreateRequest } from "./request.ts";
import type { Response } from "./response.ts";
import { type CLIENT_EVENT, type EVENT, TERMINAL_EVENTS } from "./table.ts";

/** What a WebSocket client may say. */
export type CreateEvent = { readonly type: typeof CLIENT_EVENT.create; readonly request: CreateRequest };
export type ClientEvent = CreateEvent;

type Event<Name extends string, Fields> = { readonly type: Name; readonly sequence_number: number } & Readonly<Fields>;
type OfItem = { readonly item_id: string; readonly output_index: number };
type OfPart = OfItem & { readonly content_index: number };
type OfSummary = OfItem & { readonly summary_index: number };
type ContentPart = OutputTextPart | RefusalPart | ReasoningTextPart;
type E = typeof EVENT;

export type ServerEvent =
  | Event<E["created"], { response: Response }>
  | Event<E["inProgress"], { response: Response }>
  | Event<E["completed"], { response: Response }>
  | Event<E["failed"], { response: Response }>
  | Event<E["incomplete"], { response: Response }>
  | Event<E["itemAdded"], { output_index: number; item: OutputItem }>
  | Event<E["itemDone"], { output_index: number; item: OutputItem }>
  | Event<E["partAdded"], OfPart & { part: ContentPart }>
  | Event<E["partDone"], OfPart & { part: ContentPart }>
  | Event<E["textDelta"], OfPart & { delta: string; logprobs: readonly never[] }>
  | Event<E["textDone"], OfPart & { text: string; logprobs: readonly never[] }>
  | Event<E["refusalDelta"], OfPart & { delta: string }>
  | Event<E["refusalDone"], OfPart & { refusal: string }>
  | Event<E["reasoningDelta"], OfPart & { delta: string }>
  | Event<E["reasoningDone"], OfPart & { text: string }>
  | Event<E["summaryPartAdded"], OfSummary & { part: SummaryTextPart }>
  | Event<E["summaryPartDone"], OfSummary & { part: SummaryTextPart }>
  | Event<E["summaryDelta"], OfSummary & { delta: string }>
  | Event<E["summaryDone"], OfSummary & { text: string }>
  | Event<E["argumentsDelta"], OfItem & { delta: string }>
  | Event<E["argumentsDone"], OfItem & { arguments: string }>
  | Event<E["customInputDelta"], OfItem & { delta: string }>
  | Event<E["customInputDone"], OfItem & { input: string }>;

export type TerminalEvent = Extract<ServerEvent, { type: (typeof TERMINAL_EVENTS)[number] }>;

export function isTerminal(event: ServerEvent): event is TerminalEvent {
  return (TERMINAL_EVENTS as readonly string[]).includes(event.type);
}
