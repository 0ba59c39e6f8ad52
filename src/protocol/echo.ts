import { isTerminal, type ServerEvent } from "./events.ts";
import type { Response } from "./response.ts";

/**
 * How much of its own request a client receives again. Instructions and tools are most of what agents download: each of
 * the two first events and the last one shows the whole response. `terminal` keeps them in the last event only, `minimal`
 * in none.
 */
export const ECHOES = ["full", "terminal", "minimal"] as const;
export type Echo = (typeof ECHOES)[number];

/** How the events of one turn are shown to its client. */
export type EventView = {
  readonly echo: Echo;
  /** Characters to pad deltas with, at least 16; null leaves deltas as they are. */
  readonly padding: string | null;
};

const NO_TOOLS: readonly never[] = Object.freeze([]);
/** Deltas are padded to a multiple of this many characters, as OpenAI pads them. */
const BLOCK = 16;

/** The event as its client receives it. What is stored of the response is always complete. */
export function shownEvent(event: ServerEvent, { echo, padding }: EventView): ServerEvent {
  if ("response" in event) {
    const isWhole = echo === "full" || (echo === "terminal" && isTerminal(event));
    return isWhole ? event : { ...event, response: minimal(event.response) };
  }
  if (padding === null || !("delta" in event)) return event;
  const obfuscation = padding.slice(0, (BLOCK - (characters(event.delta) % BLOCK)) % BLOCK);
  return { ...event, obfuscation };
}

function minimal(response: Response): Response {
  return { ...response, instructions: null, tools: NO_TOOLS };
}

/** Code points, as OpenAI counts them. */
function characters(text: string): number {
  let surrogates = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit >= 0xd800 && unit < 0xdc00) surrogates++;
  }
  return text.length - surrogates;
}
