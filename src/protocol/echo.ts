import type { ServerEvent } from "./events.ts";
import type { Response } from "./response.ts";

/**
 * How much of its own request a client hears back in events. Instructions and tools are the bulk of what agents receive,
 * three times in each turn, and few clients look at them.
 */
export type Echo = "full" | "minimal";

const NO_TOOLS: readonly never[] = Object.freeze([]);

/** The event as it goes out to a client with this echo; what is kept of the response is another matter, and whole. */
export function withEcho(event: ServerEvent, echo: Echo): ServerEvent {
  if (echo === "full" || !("response" in event)) return event;
  return { ...event, response: minimal(event.response) };
}

function minimal(response: Response): Response {
  return { ...response, instructions: null, tools: NO_TOOLS };
}
