import type { TransportLimits } from "./limits.ts";
import type { Rounds } from "./rounds.ts";

/** The sending side of a WebSocket connection. */
export interface Sender {
  /** Bytes that have come from it so far. */
  readonly received: number;
  /** Whether nothing is read from it at the moment: then the delay is not its own. */
  readonly isHeld: boolean;
  /** Ends its connection. */
  cut(): void;
}

/** How often connections are visited within the time that a message has. */
const VISITS_PER_MESSAGE = 4;

/** Bytes of a control frame around what it says: its head, and the mask. */
const CONTROL_FRAME_BYTES = 6;

/**
 * Cuts a client whose message does not come to an end: one that sends a byte now and then, or fragments without a last one.
 * Pings and pongs between fragments are no part of a message and do not extend its time.
 */
export class MessageDeadline {
  readonly #sender: Sender;
  readonly #leave: () => void;
  /** Bytes that belong to complete messages and control frames. */
  #complete = 0;
  /** Rounds in which the message that is arriving was not complete. */
  #waited = 0;

  /** @param rounds of `messageRoundMs` */
  constructor(sender: Sender, rounds: Rounds) {
    this.#sender = sender;
    this.#complete = sender.received;
    this.#leave = rounds.add(() => this.#visit());
  }

  end(): void {
    this.#leave();
  }

  /** A message has arrived completely. What came with its last bytes belongs to what follows, and counts from there. */
  message(): void {
    this.#complete = this.#sender.received;
    this.#waited = 0;
  }

  /** A ping or pong has arrived. */
  control(bytes: number): void {
    this.#complete += CONTROL_FRAME_BYTES + bytes;
  }

  #visit(): void {
    const { received, isHeld } = this.#sender;
    // A frame may have been counted that came in one piece with a message.
    this.#complete = Math.min(this.#complete, received);
    if (isHeld || received === this.#complete) {
      this.#waited = 0;
      return;
    }
    this.#waited += 1;
    if (this.#waited <= VISITS_PER_MESSAGE) return;
    this.end();
    this.#sender.cut();
  }
}

/** Milliseconds of a round. */
export function messageRoundMs({ messageMs }: Pick<TransportLimits, "messageMs">): number {
  return messageMs / VISITS_PER_MESSAGE;
}
