import { ApiError } from "../protocol/errors.ts";

/** A FIFO of turns: one runs, the others wait, in the order in which they came. */
export class Lane {
  readonly #capacity: number;
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** @param capacity how many turns may wait */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /**
   * Runs the turn when all earlier ones have ended; settles as the turn does.
   * @throws ApiError `too_many_queued_turns`
   */
  async run<T>(turn: () => Promise<T>): Promise<T> {
    if (this.#waiting > this.#capacity) {
      const message = `This connection already has ${this.#capacity} turns waiting.`;
      throw new ApiError("too_many_queued_turns", message, { retryAfter: 1 });
    }
    this.#waiting += 1;
    const result = this.#tail.then(turn).finally(() => {
      this.#waiting -= 1;
    });
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
