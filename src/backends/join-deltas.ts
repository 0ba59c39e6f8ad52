import type { BackendEvent } from "../core/ports.ts";

/**
 * Puts an event behind others of one batch; a delta that says more of the same is joined to the last. What comes together
 * is told together: every event costs the server and its client the same, however little it says.
 */
export function appendJoined(events: BackendEvent[], event: BackendEvent): void {
  const last = events.at(-1);
  const joined = last === undefined ? null : join(last, event);
  if (joined === null) events.push(event);
  else events[events.length - 1] = joined;
}

/** The two as one; null where they are not more of the same. */
function join(last: BackendEvent, next: BackendEvent): BackendEvent | null {
  switch (next.type) {
    case "text.delta": {
      if (last.type !== "text.delta") return null;
      const delta = last.delta + next.delta;
      if (last.logprobs === undefined && next.logprobs === undefined) return { type: "text.delta", delta };
      return { type: "text.delta", delta, logprobs: [...(last.logprobs ?? []), ...(next.logprobs ?? [])] };
    }
    case "call.delta":
      if (last.type !== "call.delta" || last.key !== next.key) return null;
      return { type: "call.delta", key: next.key, delta: last.delta + next.delta };
    case "refusal.delta":
    case "reasoning.delta":
    case "summary.delta":
      return last.type === next.type ? { type: next.type, delta: last.delta + next.delta } : null;
    case "call":
    case "call.done":
    case "annotation":
    case "opaque":
    case "item":
    case "usage":
    case "finish":
      return null;
    default:
      return next satisfies never;
  }
}
