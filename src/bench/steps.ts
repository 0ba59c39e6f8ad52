import type { Entry } from "./plan.ts";

/** Goes through the steps of a plan: tells how far it is, and listens to the noise of the machine before each. */
export class Steps {
  readonly #onProgress: (doing: string, done: number, total: number) => void;
  readonly #sample: () => void;
  readonly #problems: string[];
  readonly #total: number;
  #done = 0;

  /** @param problems gets what fails; @param total how many steps there will be */
  constructor(
    onProgress: (doing: string, done: number, total: number) => void,
    sample: () => void,
    problems: string[],
    total: number,
  ) {
    this.#onProgress = onProgress;
    this.#sample = sample;
    this.#problems = problems;
    this.#total = total;
  }

  /** One step; what fails is a problem, and not the end. */
  async step<T>(doing: string, act: () => Promise<T>): Promise<T | null> {
    this.#onProgress(doing, this.#done, this.#total);
    this.#sample();
    try {
      return await act();
    } catch (error) {
      const problem = `${doing}: ${(error as Error).message}`;
      if (!this.#problems.includes(problem)) this.#problems.push(problem);
      return null;
    } finally {
      this.#done += 1;
    }
  }

  /** What each entry gave in all the rounds, the first one of a round changing; an entry that failed has fewer. */
  async rounds<T>(
    doing: string,
    entries: readonly Entry[],
    act: (entry: Entry) => Promise<T>,
    rounds: number,
  ): Promise<ReadonlyMap<Entry, readonly T[]>> {
    const results = new Map<Entry, T[]>(entries.map((entry) => [entry, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (let index = 0; index < entries.length; index += 1) {
        const entry = entries[(index + round) % entries.length];
        if (entry === undefined) continue;
        const title = `${doing}, ${entry.target.name}, ${entry.mode}${entry.compress ? ", compressed" : ""}`;
        const result = await this.step(title, () => act(entry));
        if (result !== null) results.get(entry)?.push(result);
      }
    }
    return results;
  }
}
