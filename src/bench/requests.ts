import { CLIENT_EVENT } from "../protocol/table.ts";
import type { Recording } from "./recording.ts";

/** The ways to bring a turn to a server. */
export const MODES = ["full", "previous", "websocket"] as const;
export type Mode = (typeof MODES)[number];

/**
 * The request of a turn as a client writes it. `previous` is the id of the response before, null in the first turn.
 * With `once`, turns after the first leave out instructions and tools: the standard does not let them be inherited, so a
 * server has to offer that by an extension of its own, and here it counts bytes only.
 */
export function requestOf(
  { model, instructions, tools, turns }: Recording,
  mode: Mode,
  index: number,
  { previous, once = false }: { readonly previous: string | null; readonly once?: boolean },
): object {
  const isFull = mode === "full";
  const settings = once && index > 0 && !isFull ? {} : { instructions, tools };
  const input = isFull ? history(turns, index) : (turns[index]?.input ?? []);
  const continued = isFull || previous === null ? {} : { previous_response_id: previous };
  if (mode === "websocket") {
    return { type: CLIENT_EVENT.create, model, ...settings, ...continued, input, store: false };
  }
  return { model, ...settings, ...continued, input, store: mode === "previous", stream: true };
}

/** Everything up to a turn's input: a stateless client sends it all again. */
function history(turns: Recording["turns"], index: number): readonly object[] {
  return turns.slice(0, index + 1).flatMap(({ input, output }, at) => (at < index ? [...input, ...output] : input));
}
export const MODE_TITLES: { readonly [M in Mode]: string } = {
  full: "stateless HTTP",
  previous: "HTTP, previous_response_id",
  websocket: "WebSocket deltas",
};
