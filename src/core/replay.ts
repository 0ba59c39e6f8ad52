import type { ApiError } from "../protocol/errors.ts";
import type { ServerEvent } from "../protocol/events.ts";
import type { Item } from "../protocol/items.ts";
import type { Response } from "../protocol/response.ts";
import { Assembler } from "./assembler.ts";
import type { FinishReason } from "./ports.ts";
import type { Move } from "./recording.ts";
import type { Chance } from "./response-frame.ts";

/** A recording holds all that time and chance had a part in. */
const NO_CHANCE: Chance = {
  now: () => 0,
  newId: () => {
    throw new Error("a recording leaves no id to be made");
  },
};

/** How many moves are made into events at once. */
export const SLICE = 256;

/** Makes the events of a response once more, from what was recorded of it. */
export class Replay {
  readonly #assembler: Assembler;

  /** @param response any snapshot of the response */
  constructor(response: Response) {
    this.#assembler = new Assembler(response, NO_CHANCE);
  }

  /** The first events. */
  start(): readonly ServerEvent[] {
    return this.#assembler.start();
  }

  push(moves: readonly Move[]): readonly ServerEvent[] {
    return moves.flatMap((move) => this.#assembler.replay(move));
  }

  /** The response so far. */
  get snapshot(): Response {
    return this.#assembler.snapshot("in_progress");
  }

  /** The response as one that failed here. */
  failed(error: ApiError): Response {
    return this.#assembler.failed(error);
  }

  /** The last events, up to the terminal one. @param response the response as it was committed */
  end(response: Response): readonly ServerEvent[] {
    const assembler = this.#assembler;
    const reason = finishOf(response);
    const cut = response.incomplete_details?.reason;
    if (cut === "steered" || cut === "interrupted") return [...assembler.cut(cut).events, assembler.terminal(response)];
    if (reason === null) return [assembler.terminal(response)];
    assembler.push([{ type: "finish", reason }]);
    return [...assembler.finish().events, assembler.terminal(response)];
  }
}

/** All events of a response, in slices. @param moves null where nothing was recorded: each item then comes whole */
export function* replayed(response: Response, moves: readonly Move[] | null): Generator<readonly ServerEvent[]> {
  const replay = new Replay(response);
  const all = moves ?? (response.output as readonly Item[]).map((item): Move => ({ type: "item", item }));
  yield replay.start();
  for (let from = 0; from < all.length; from += SLICE) yield replay.push(all.slice(from, from + SLICE));
  yield replay.end(response);
}

/** How the backend finished the response; null when it was not the backend that ended it. */
function finishOf({ status, incomplete_details }: Response): FinishReason | null {
  if (status === "completed") return "stop";
  const reason = incomplete_details?.reason;
  return reason === "max_output_tokens" || reason === "content_filter" ? reason : null;
}
