import type { TransportLimits } from "./limits.ts";

/** What is read from: one socket. */
export interface Source {
  pause(): void;
  resume(): void;
}

/** What a client has sent and has had no answer to yet; while that is too much, nothing more is read. */
export class Inbox {
  readonly #source: Source;
  readonly #limits: Pick<TransportLimits, "queuedBytes">;
  #bytes = 0;
  /** How many causes there are not to read on. */
  #holds = 0;

  constructor(source: Source, limits: Pick<TransportLimits, "queuedBytes">) {
    this.#source = source;
    this.#limits = limits;
  }

  get isHeld(): boolean {
    return this.#holds > 0;
  }

  /** Counts a message until what it began has ended. */
  async take(bytes: number, ended: Promise<void>): Promise<void> {
    this.#bytes += bytes;
    try {
      if (this.#bytes > this.#limits.queuedBytes) await this.holdUntil(ended);
      else await ended;
    } finally {
      this.#bytes -= bytes;
    }
  }

  /** Reads nothing more until then, and until all else that it is held for is over too. */
  async holdUntil(end: Promise<void>): Promise<void> {
    this.#holds += 1;
    this.#source.pause();
    try {
      await end;
    } finally {
      this.#holds -= 1;
      if (this.#holds === 0) this.#source.resume();
    }
  }
}
