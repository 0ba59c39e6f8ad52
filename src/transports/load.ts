import { monitorEventLoopDelay } from "node:perf_hooks";
import { ApiError } from "../protocol/errors.ts";
import type { TransportLimits } from "./limits.ts";

/** Whether the process can take more work. */
export interface Load {
  readonly isOverloaded: boolean;
  /** Stops the watching. */
  close(): void;
}

const RESOLUTION_MS = 50;
const SAMPLE_MS = 1000;
/** Samples in a row that it takes to begin, and to end. */
const SAMPLES_TO_TURN = 3;

/**
 * Tells overload from delays. It begins with several delays in a row beyond the limit, since one alone may be a single large
 * request, and ends after as many below half of it, so that it does not come and go with every turn that is let in.
 */
export class Overload {
  readonly #limitMs: number;
  #state: "calm" | "overloaded" = "calm";
  /** Samples in a row that speak against the state. */
  #against = 0;

  /** @param limitMs 0 takes no delay for overload */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  get isOverloaded(): boolean {
    return this.#state === "overloaded";
  }

  sample(delayMs: number): void {
    if (this.#limitMs === 0) return;
    const isAgainst = this.isOverloaded ? delayMs < this.#limitMs / 2 : delayMs > this.#limitMs;
    this.#against = isAgainst ? this.#against + 1 : 0;
    if (this.#against < SAMPLES_TO_TURN) return;
    this.#state = this.isOverloaded ? "calm" : "overloaded";
    this.#against = 0;
  }
}

/** The delay of this process's event loop: how late, on average over a second, what is due gets its turn. */
export class LoopLoad implements Load {
  readonly #overload: Overload;
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #timer: NodeJS.Timeout;

  constructor(limits: Pick<TransportLimits, "maxLoopDelayMs">, sampleMs = SAMPLE_MS) {
    this.#overload = new Overload(limits.maxLoopDelayMs);
    this.#timer = setInterval(() => this.#sample(), sampleMs).unref();
    if (limits.maxLoopDelayMs > 0) this.#delays.enable();
    else clearInterval(this.#timer);
  }

  get isOverloaded(): boolean {
    return this.#overload.isOverloaded;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#delays.disable();
  }

  #sample(): void {
    // Without a single measurement the loop had no time for one; the next sample shows it.
    if (this.#delays.count === 0) return;
    // What is measured is the time from one tick to the next; only what goes beyond its due is delay.
    this.#overload.sample(this.#delays.mean / 1e6 - RESOLUTION_MS);
    this.#delays.reset();
  }
}

/** Why a turn is not taken now. */
export function overloaded({ retryAfterSeconds }: Pick<TransportLimits, "retryAfterSeconds">): ApiError {
  const message = "The server is overloaded and takes no new turns at the moment. Send this request again later.";
  return new ApiError("server_overloaded", message, { retryAfter: retryAfterSeconds });
}
