import { ApiError } from "../protocol/errors.ts";
import type { Limits } from "./ports.ts";

/** The lane of turns that name none. */
export const DEFAULT_LANE = "";

/** One thing that a lane does after another. It never fails: whatever becomes of it is its own affair. */
export interface Job {
  run(): Promise<void>;
}

type Lane<J> = { readonly name: string; readonly waiting: J[]; running: boolean };

/**
 * The lanes of one connection. In a lane one job runs at a time, in order; lanes do not wait for each other, but all
 * together run no more jobs at once than the limit says. Lanes that have work take turns, so one that is flooded delays
 * itself and nobody else.
 */
export class Lanes<J extends Job> {
  readonly #limits: Pick<Limits, "turnsInFlight" | "queuedTurns" | "laneNames">;
  readonly #lanes = new Map<string, Lane<J>>();
  /** Names that were ever used; the default lane does not count. */
  readonly #names = new Set<string>();
  /** Lanes that could run a job now, in the order in which they will be served. */
  readonly #ready: Lane<J>[] = [];
  #inFlight = 0;
  #waiting = 0;

  constructor(limits: Pick<Limits, "turnsInFlight" | "queuedTurns" | "laneNames">) {
    this.#limits = limits;
  }

  /**
   * Puts the job behind the others of its lane; it starts at once where it can.
   * @throws ApiError `websocket_stream_limit_reached`, `too_many_queued_turns`
   */
  add(name: string, job: J): void {
    if (name !== DEFAULT_LANE && !this.#names.has(name) && this.#names.size >= this.#limits.laneNames) {
      throw new ApiError(
        "websocket_stream_limit_reached",
        `This WebSocket connection has reached its maximum number of distinct stream IDs (${this.#limits.laneNames}). ` +
          "Reuse an existing stream_id or open a new WebSocket connection.",
        { param: "stream_id" },
      );
    }
    this.addRefusal(name, job);
    if (name !== DEFAULT_LANE) this.#names.add(name);
  }

  /**
   * Puts a job behind the others of its lane that only says no: the name it was sent under is not used up.
   * @throws ApiError `too_many_queued_turns`
   */
  addRefusal(name: string, job: J): void {
    // A lane that nobody uses is not there, so a job for it starts at once where there is room.
    const waits = this.#lanes.has(name) || this.#inFlight >= this.#limits.turnsInFlight;
    if (waits && this.#waiting >= this.#limits.queuedTurns) {
      const message = `This connection already has ${this.#waiting} turns waiting.`;
      throw new ApiError("too_many_queued_turns", message, { retryAfter: 1 });
    }
    this.#lane(name).waiting.push(job);
    this.#waiting += 1;
    this.#wake(this.#lane(name));
  }

  /** Puts the job before the others of its lane: it belongs to what the lane has just done. */
  addNext(name: string, job: J): void {
    this.#lane(name).waiting.unshift(job);
    this.#waiting += 1;
    this.#wake(this.#lane(name));
  }

  /** The first waiting job of the lane that fits. */
  findWaiting(name: string, fits: (job: J) => boolean): J | undefined {
    return this.#lanes.get(name)?.waiting.find(fits);
  }

  #lane(name: string): Lane<J> {
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { name, waiting: [], running: false };
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  #wake(lane: Lane<J>): void {
    if (!lane.running && !this.#ready.includes(lane)) this.#ready.push(lane);
    this.#pump();
  }

  #pump(): void {
    while (this.#inFlight < this.#limits.turnsInFlight) {
      const lane = this.#ready.shift();
      const job = lane?.waiting.shift();
      if (lane === undefined || job === undefined) return;
      this.#waiting -= 1;
      this.#inFlight += 1;
      lane.running = true;
      const proceed = (): void => {
        this.#inFlight -= 1;
        lane.running = false;
        if (lane.waiting.length > 0) this.#ready.push(lane);
        else this.#lanes.delete(lane.name);
        this.#pump();
      };
      // Jobs do not fail; should one, the lane goes on all the same.
      void job.run().catch(ignore).then(proceed);
    }
  }
}

function ignore(): void {}
