import type { ApiError } from "../protocol/errors.ts";
import type { ServerEvent } from "../protocol/events.ts";
import type { Item } from "../protocol/items.ts";
import type { Response } from "../protocol/response.ts";
import { Assembler } from "./assembler.ts";
import type { FinishReason, JsonValue } from "./ports.ts";
import { type Move, movesOf } from "./recording.ts";
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
/** Characters of deltas that are made into events at once. */
const SLICE_LENGTH = 64 * 1024;

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

/**
 * All events of a response, in slices that are made when they are asked for.
 * @param recording null where nothing was recorded: each item then comes complete
 */
export function* replayed(response: Response, recording: JsonValue | null): Generator<readonly ServerEvent[]> {
  const replay = new Replay(response);
  yield replay.start();
  let slice: Move[] = [];
  let length = 0;
  for (const move of recording === null ? itemMoves(response) : movesOf(recording)) {
    slice.push(move);
    length += "delta" in move ? move.delta.length : SLICE_LENGTH / SLICE;
    if (slice.length < SLICE && length < SLICE_LENGTH) continue;
    yield replay.push(slice);
    slice = [];
    length = 0;
  }
  if (slice.length > 0) yield replay.push(slice);
  yield replay.end(response);
}

function* itemMoves(response: Response): Generator<Move, void> {
  for (const item of response.output as readonly Item[]) yield { type: "item", item };
}

/** How the backend finished the response; null when it was not the backend that ended it. */
function finishOf({ status, incomplete_details }: Response): FinishReason | null {
  if (status === "completed") return "stop";
  const reason = incomplete_details?.reason;
  return reason === "max_output_tokens" || reason === "content_filter" ? reason : null;
}
