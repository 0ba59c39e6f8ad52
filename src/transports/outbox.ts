import type { TransportLimits } from "./limits.ts";

/** Where an outbox puts its frames: one socket, whatever is spoken on it. */
export interface Wire {
  /** Sends one whole frame; `sent` is called when it has left this process, or when it never will. */
  send(frame: string, sent: () => void): void;
  /** From here on frames are held back, … */
  cork(): void;
  /** … and here they leave, in one write. */
  uncork(): void;
  /** Ends the connection of a client that reads too slowly. */
  giveUp(): void;
}

type OutboxLimits = Pick<TransportLimits, "outboxHighWater" | "outboxLowWater" | "outboxExcess" | "slowClientMs">;

type OutboxState =
  | { readonly phase: "flowing" }
  | {
      readonly phase: "full";
      readonly drained: PromiseWithResolvers<void>;
      readonly patience: NodeJS.Timeout;
      /** Bytes in flight that are too many even for writers who do not wait. */
      readonly ceiling: number;
    }
  | { readonly phase: "closed" };

/**
 * What is on its way to one client. Whoever writes is told to wait when the client does not keep up, and a client that does
 * not catch up in time is given up.
 */
export class Outbox {
  readonly #wire: Wire;
  readonly #limits: OutboxLimits;
  #state: OutboxState = { phase: "flowing" };
  #inFlight = 0;
  #written = 0;

  constructor(wire: Wire, limits: OutboxLimits) {
    this.#wire = wire;
    this.#limits = limits;
  }

  /** Bytes of all frames so far. */
  get written(): number {
    return this.#written;
  }

  /** Sends frames together. A promise means that the client is behind; it resolves when it no longer is, or is gone. */
  write(frames: readonly string[]): void | Promise<void> {
    if (this.#state.phase === "closed") return;
    this.#wire.cork();
    try {
      for (const frame of frames) this.#send(frame);
    } finally {
      this.#wire.uncork();
    }
    // A broken socket may have ended all this from within `send`.
    const state = this.#state as OutboxState;
    if (state.phase === "flowing" && this.#inFlight > this.#limits.outboxHighWater) return this.#wait();
    if (state.phase === "full" && this.#inFlight > state.ceiling) this.#giveUp();
    return this.full;
  }

  /** While the client is behind: resolves when it no longer is, or is gone. */
  get full(): Promise<void> | undefined {
    return this.#state.phase === "full" ? this.#state.drained.promise : undefined;
  }

  /** The client is gone: nobody waits for it any more. */
  close(): void {
    const state = this.#state;
    this.#state = { phase: "closed" };
    if (state.phase !== "full") return;
    clearTimeout(state.patience);
    state.drained.resolve();
  }

  #send(frame: string): void {
    const bytes = Buffer.byteLength(frame);
    this.#inFlight += bytes;
    this.#written += bytes;
    this.#wire.send(frame, () => {
      this.#inFlight -= bytes;
      if (this.#state.phase !== "full" || this.#inFlight > this.#limits.outboxLowWater) return;
      const { patience, drained } = this.#state;
      clearTimeout(patience);
      this.#state = { phase: "flowing" };
      drained.resolve();
    });
  }

  #wait(): Promise<void> {
    const patience = setTimeout(() => this.#giveUp(), this.#limits.slowClientMs);
    const drained = Promise.withResolvers<void>();
    // One answer may be as large as it likes; only what comes on top of it is bounded.
    this.#state = { phase: "full", drained, patience, ceiling: this.#inFlight + this.#limits.outboxExcess };
    return drained.promise;
  }

  #giveUp(): void {
    this.close();
    this.#wire.giveUp();
  }
}
