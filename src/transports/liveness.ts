import type { TransportLimits } from "./limits.ts";
import type { Rounds } from "./rounds.ts";

/** The other side of a connection, as far as its life is concerned. */
export interface Peer {
  /** Bytes that have come from it so far. */
  readonly received: number;
  /** Whether nothing is read from it at the moment, so that nothing could be heard. */
  readonly isHeld: boolean;
  ping(): void;
  /** Ends the connection of a peer that does not answer. */
  giveUp(): void;
}

/**
 * Pings a peer once a round and gives it up when it stays silent. Any byte is a sign of life: a pong, but also a part of a
 * message so large that no pong can come before its end.
 */
export class Liveness {
  readonly #peer: Peer;
  readonly #limit: number;
  readonly #leave: () => void;
  #heard: number;
  #unanswered = 0;

  constructor(peer: Peer, rounds: Rounds, limits: Pick<TransportLimits, "unansweredPings">) {
    this.#peer = peer;
    this.#limit = limits.unansweredPings;
    this.#heard = peer.received;
    this.#leave = rounds.add(() => this.#visit());
  }

  end(): void {
    this.#leave();
  }

  #visit(): void {
    const { received, isHeld } = this.#peer;
    if (isHeld || received !== this.#heard) this.#unanswered = 0;
    this.#heard = received;
    if (this.#unanswered >= this.#limit) {
      this.end();
      this.#peer.giveUp();
      return;
    }
    this.#unanswered += 1;
    this.#peer.ping();
  }
}
