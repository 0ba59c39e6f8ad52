import { setImmediate } from "node:timers/promises";

/** Milliseconds that work may go on before what else is due has its turn. */
const SLICE_MS = 2;

/** Does one step. @returns whether it was the last one */
type Job = () => boolean;

/**
 * Work that takes long, of all clients together: in each turn of the event loop one slice of it is done and no more, however
 * many clients have sent something large. They take turns at it.
 */
class LongWork {
  readonly #jobs: Job[] = [];
  #isRunning = false;

  /** Runs the steps to their end. @throws what a step throws */
  run<Result>(steps: Generator<void, Result>): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const step = (): boolean => {
      try {
        const { done, value } = steps.next();
        if (done) resolve(value);
        return done === true;
      } catch (error) {
        reject(error);
        return true;
      }
    };
    this.#jobs.push(step);
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) {
      await setImmediate();
      const end = performance.now() + SLICE_MS;
      let isDone = job();
      while (!isDone && performance.now() < end) isDone = job();
      if (!isDone) this.#jobs.push(job);
    }
    this.#isRunning = false;
  }
}

/** There is one event loop, and so one of these. */
export const longWork = new LongWork();
