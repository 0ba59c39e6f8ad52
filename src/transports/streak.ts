/** Counts what goes wrong in a row, and keeps the answers that are still owed for it. */
export class Streak {
  readonly #limit: number;
  #owed: Promise<unknown>[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns whether it is once too often */
  add(answer: Promise<unknown>): boolean {
    this.#owed.push(answer);
    return this.#owed.length === this.#limit;
  }

  /** Something went right. */
  end(): void {
    if (this.#owed.length > 0) this.#owed = [];
  }

  /** Resolves when everything that went wrong has been answered. */
  async answered(): Promise<void> {
    await Promise.all(this.#owed);
  }
}
