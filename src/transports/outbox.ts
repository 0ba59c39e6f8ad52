import type { MemoryLease } from "../core/budget.ts";
import type { TransportLimits } from "./limits.ts";

/** Where an outbox puts its frames: one socket, whatever is spoken on it. */
export interface Wire {
  /** Sends one whole frame; `sent` is called when it has left this process, or when it never will. */
  send(frame: string, sent?: () => void): void;
  /** Bytes of what was sent and has not left this process. */
  readonly buffered: number;
  /** From here on frames are held back, … */
  cork(): void;
  /** … and here they leave, in one write. */
  uncork(): void;
  /** Ends the connection of a client that reads too slowly. */
  giveUp(): void;
}

type OutboxLimits = Pick<TransportLimits, "outboxHighWater" | "outboxLowWater" | "outboxExcess" | "slowClientMs">;

/** What may be in flight to a client without being accounted: usually it is on its way at once. */
const UNACCOUNTED_BYTES = 64 * 1024;

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
 * What is on its way to one client. All that is written before the event loop goes on leaves in one write: what that costs
 * hardly depends on how much is in it. Whoever writes is told to wait when the client does not keep up, and a client that
 * does not catch up in time is given up.
 */
export class Outbox {
  readonly #wire: Wire;
  readonly #limits: OutboxLimits;
  readonly #lease: MemoryLease;
  #state: OutboxState = { phase: "flowing" };
  #isCorked = false;
  #written = 0;

  /** @param lease takes what is in flight, and is released with the outbox */
  constructor(wire: Wire, limits: OutboxLimits, lease: MemoryLease) {
    this.#wire = wire;
    this.#limits = limits;
    this.#lease = lease;
  }

  /** Bytes of all frames so far. */
  get written(): number {
    return this.#written;
  }

  /** Sends frames. A promise means that the client is behind; it resolves when it no longer is, or is gone. */
  write(frames: readonly string[]): void | Promise<void> {
    if (this.#state.phase === "closed") return;
    this.#cork();
    for (const frame of frames) this.#send(frame);
    // A broken socket may have ended all this from within `send`.
    const state = this.#state as OutboxState;
    if (state.phase === "full" && this.#wire.buffered > state.ceiling) this.#giveUp();
    return this.full;
  }

  /** While the client is behind: resolves when it no longer is, or is gone. */
  get full(): Promise<void> | undefined {
    return this.#state.phase === "full" ? this.#state.drained.promise : undefined;
  }

  /** The client is gone: nobody waits for it any more. */
  close(): void {
    this.#lease.release();
    const state = this.#state;
    this.#state = { phase: "closed" };
    if (state.phase !== "full") return;
    clearTimeout(state.patience);
    state.drained.resolve();
  }

  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#wire.cork();
    // Behind all that promises have still to do in this turn of the event loop.
    process.nextTick(this.#uncork);
  }

  #send(frame: string): void {
    const bytes = Buffer.byteLength(frame);
    this.#written += bytes;
    const inFlight = this.#wire.buffered + bytes;
    const isTooMuch = inFlight > this.#limits.outboxHighWater;
    if (inFlight > UNACCOUNTED_BYTES && !this.#lease.tryResize(inFlight)) return this.#giveUp();
    // Only what is accounted, or a client that is behind, needs to know what has left.
    if (!isTooMuch && this.#lease.bytes === 0 && this.#state.phase === "flowing") return this.#wire.send(frame);
    this.#wire.send(frame, this.#onSent);
    if (isTooMuch && this.#state.phase === "flowing") this.#fallBehind();
  }

  #fallBehind(): void {
    const patience = setTimeout(() => this.#giveUp(), this.#limits.slowClientMs);
    // One answer may be as large as it likes; only what comes on top of it is bounded.
    const ceiling = this.#wire.buffered + this.#limits.outboxExcess;
    this.#state = { phase: "full", drained: Promise.withResolvers<void>(), patience, ceiling };
  }

  #giveUp(): void {
    this.close();
    this.#wire.giveUp();
  }

  readonly #onSent = (): void => {
    const { buffered } = this.#wire;
    this.#lease.tryResize(buffered > UNACCOUNTED_BYTES ? buffered : 0);
    if (this.#state.phase !== "full" || this.#wire.buffered > this.#limits.outboxLowWater) return;
    const { patience, drained } = this.#state;
    clearTimeout(patience);
    this.#state = { phase: "flowing" };
    drained.resolve();
  };

  readonly #uncork = (): void => {
    this.#isCorked = false;
    this.#wire.uncork();
  };
}
