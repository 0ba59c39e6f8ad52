import { openChatClient, openHttpClient } from "./http-client.ts";
import type { Recording } from "./recording.ts";
import { requestOf, type Way } from "./requests.ts";
import { openSocketClient } from "./socket-client.ts";
import type { Target } from "./target.ts";
import type { BenchClient, TurnResult } from "./turn.ts";

/** A client that brings its turns in one of the modes. */
export async function openClient(
  target: Target,
  mode: Way,
  options: { readonly compress: boolean } = { compress: false },
): Promise<BenchClient> {
  if (mode === "direct") return openChatClient(target);
  return mode === "websocket" ? openSocketClient(target, options) : openHttpClient(target, options);
}

/** Plays a recording turn by turn, each continuing the one before. */
export async function* play(client: BenchClient, recording: Recording, mode: Way): AsyncGenerator<TurnResult> {
  let previous: string | null = null;
  for (let index = 0; index < recording.turns.length; index += 1) {
    const result: TurnResult = await client.turn(requestOf(recording, mode, index, { previous }));
    previous = result.id;
    yield result;
  }
}
