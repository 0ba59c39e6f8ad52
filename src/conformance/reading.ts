import type { Socket } from "./socket.ts";
import type { Frame } from "./types.ts";
import { isObject, TERMINAL_TYPES, text } from "./wire.ts";

/** Looking for what matters in the frames of a turn that is still running. */

type Matches = (frame: Frame) => boolean;

/** The frames from here to the first one that matches, that one included. */
export async function until(socket: Socket, matches: Matches, what: string): Promise<readonly Frame[]> {
  const frames: Frame[] = [];
  for (;;) {
    const frame = await socket.frame(undefined, what);
    frames.push(frame);
    if (matches(frame)) return frames;
  }
}

/** Matches events of these types. */
export function isOf(...types: readonly string[]): Matches {
  return ({ type }) => types.includes(type);
}

export const isTerminal: Matches = isOf(...TERMINAL_TYPES);

/** Matches a piece of output, from when on the model is at work. */
export function isDelta({ type }: Frame): boolean {
  return type.endsWith(".delta");
}

/** Matches events of one lane; null is the default lane. */
export function isOn(lane: string | null): Matches {
  return (frame) => (frame["stream_id"] ?? null) === lane;
}

/** The id of the response that an event of its lifecycle shows. */
export function idOf(frame: Frame): string {
  const response = frame["response"];
  return text(isObject(response) ? response["id"] : undefined, `'response.id' of ${frame.type}`);
}
