import type { CompactionEvent } from "./compaction.ts";
import type { BackendEvent } from "./ports.ts";
import type { SealedReasoning } from "./sealed-reasoning.ts";

/** What the assembler of a response takes in: what the backend yields, and what the turn adds to it. */
export type TurnEvent = BackendEvent | CompactionEvent | SealedReasoning;

/** Whether the event begins a new item. @param openText the kind of the text item that is open, if any */
export function opensItem(event: TurnEvent, openText: "message" | "reasoning" | null): boolean {
  switch (event.type) {
    case "text.delta":
    case "refusal.delta":
      return openText !== "message";
    case "reasoning.delta":
    case "summary.delta":
    case "reasoning.sealed":
      return openText !== "reasoning";
    case "call":
    case "item":
    case "compaction.begun":
      return true;
    case "call.delta":
    case "call.done":
    case "annotation":
    case "opaque":
    case "compaction.grown":
    case "compaction.done":
    case "usage":
    case "finish":
      return false;
    default:
      return event satisfies never;
  }
}
