type RoundsState = { readonly phase: "empty" } | { readonly phase: "turning"; readonly timer: NodeJS.Timeout };

/** A round is made of so many steps, and each visits its part of those who are on it. */
const STEPS = 25;

/**
 * One timer for many. Whoever is on it is visited once a round, the first time after a whole one; the visits are spread
 * over the round as the visitors came. While nobody is on it there is no timer.
 */
export class Rounds {
  readonly #stepMs: number;
  readonly #places: readonly Set<() => void>[] = Array.from({ length: STEPS }, () => new Set());
  #position = 0;
  #count = 0;
  #state: RoundsState = { phase: "empty" };

  constructor(roundMs: number) {
    this.#stepMs = roundMs / STEPS;
  }

  /** @returns what takes it off again */
  add(visit: () => void): () => void {
    const place = this.#places[this.#position];
    place?.add(visit);
    this.#count += 1;
    if (this.#state.phase === "empty") {
      this.#state = { phase: "turning", timer: setInterval(() => this.#step(), this.#stepMs) };
    }
    return () => {
      if (place?.delete(visit)) this.#remove();
    };
  }

  #remove(): void {
    this.#count -= 1;
    if (this.#count > 0 || this.#state.phase === "empty") return;
    clearInterval(this.#state.timer);
    this.#state = { phase: "empty" };
  }

  #step(): void {
    this.#position = (this.#position + 1) % STEPS;
    for (const visit of this.#places[this.#position] ?? []) visit();
  }
}
