import type { Item } from "../protocol/items.ts";
import { CLIENT_EVENT } from "../protocol/table.ts";
import { chatMessages, chatTools } from "./chat-messages.ts";
import type { Recording } from "./recording.ts";

/** The ways to bring a turn to a server of the Responses API. */
export const MODES = ["full", "previous", "websocket"] as const;
export type Mode = (typeof MODES)[number];

/** These, and as another baseline the way around every server: the same client straight to the model. */
export const WAYS = ["direct", ...MODES] as const;
export type Way = (typeof WAYS)[number];

/**
 * The request of a turn as a client writes it. `previous` is the id of the response before, null in the first turn.
 * With `once`, turns after the first leave out instructions and tools: the standard does not let them be inherited, so a
 * server has to offer that by an extension of its own, and here it counts bytes only.
 */
export function requestOf(
  recording: Recording,
  mode: Way,
  index: number,
  { previous, once = false }: { readonly previous: string | null; readonly once?: boolean },
): object {
  if (mode === "direct") return chatRequest(recording, index);
  const { model, instructions, tools, turns } = recording;
  const isFull = mode === "full";
  const settings = once && index > 0 && !isFull ? {} : { instructions, tools };
  const input = isFull ? history(turns, index) : (turns[index]?.input ?? []);
  const continued = isFull || previous === null ? {} : { previous_response_id: previous };
  if (mode === "websocket") {
    return { type: CLIENT_EVENT.create, model, ...settings, ...continued, input, store: false };
  }
  return { model, ...settings, ...continued, input, store: mode === "previous", stream: true };
}

/** The whole conversation as chat completions have it. */
function chatRequest({ model, instructions, tools, turns }: Recording, index: number): object {
  const system = instructions === "" ? [] : [{ role: "system", content: instructions }];
  const functions = tools.length === 0 ? {} : { tools: chatTools(tools) };
  const messages = [...system, ...chatMessages(history(turns, index))];
  return { model, ...functions, messages, stream: true, stream_options: { include_usage: true } };
}

/** Everything up to a turn's input: a stateless client sends it all again. */
function history(turns: Recording["turns"], index: number): readonly Item[] {
  return turns.slice(0, index + 1).flatMap(({ input, output }, at) => (at < index ? [...input, ...output] : input));
}

const TITLES: { readonly [W in Way]: string } = {
  direct: "no server, chat completions",
  full: "stateless HTTP",
  previous: "HTTP, previous_response_id",
  websocket: "WebSocket deltas",
};

/** For the lines and bars of a plot. */
const SHORT: { readonly [W in Way]: string } = {
  direct: "direct",
  full: "stateless",
  previous: "previous id",
  websocket: "WebSocket",
};

/** A way in words: `WebSocket deltas, deflate`. */
export function wayTitle(mode: Way, compress = false): string {
  if (!compress) return TITLES[mode];
  return `${TITLES[mode]}, ${mode === "websocket" ? "deflate" : "gzip"}`;
}

/** The same for a plot, where there is less room: `WS, deflate`. */
export function wayLabel(mode: Way, compress = false): string {
  if (!compress) return SHORT[mode];
  return mode === "websocket" ? "WS, deflate" : `${SHORT[mode]}, gzip`;
}
