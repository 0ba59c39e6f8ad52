// What a micro-benchmark is, and how it is timed. Nothing is timed by itself: each benchmark names a reference, the least
// that any code would have to do for the same end, and both are run in slices of less than a millisecond that take turns.
//
// This is not left to a library (mitata, tinybench): they time one task after another, so that whatever the machine did
// meanwhile falls on the ratio, and they offer no state that is made afresh, untimed, for so many operations; a context
// that grows with each operation needs both. What is left is two loops.

import { quantile } from "../../src/bench/statistics.ts";

/** Makes what so many operations need, untimed, and gives the operation; a promise of its is waited for. */
export type Side = (operations: number) => Operation | Promise<Operation>;
type Operation = () => unknown;

export type Benchmark = {
  readonly name: string;
  readonly ours: Side;
  /** What the reference does, in words. */
  readonly against: string;
  readonly reference: Side;
  /** The ratio at which it is no longer what it was: about twice what it is. */
  readonly limit: number;
};

/** For operations that leave no trace. */
export function always(operation: Operation): Side {
  return () => operation;
}

const SLICE_MS = 0.6;
const MOST_OPERATIONS = 20_000;

/** How many make a slice. */
type Operations = { readonly ours: number; readonly reference: number };

/** One benchmark while it is measured: each round times a slice of either side. All times are µs per operation. */
export class Trial {
  readonly benchmark: Benchmark;
  readonly ours: number[] = [];
  readonly reference: number[] = [];
  readonly #operations: Operations;

  private constructor(benchmark: Benchmark, operations: Operations) {
    this.benchmark = benchmark;
    this.#operations = operations;
  }

  /** @param warmUpMs for how long each side is run before anything counts, so that it is compiled */
  static async start(benchmark: Benchmark, warmUpMs: number): Promise<Trial> {
    const ours = await warmUp(benchmark.ours, warmUpMs);
    return new Trial(benchmark, { ours, reference: await warmUp(benchmark.reference, warmUpMs) });
  }

  async run(rounds: number): Promise<this> {
    const { ours, reference } = this.benchmark;
    for (let round = 0; round < rounds; round += 1) {
      // The first one changes: what one side leaves to be collected, the other may have to collect.
      if (round % 2 === 0) this.ours.push(await slice(ours, this.#operations.ours));
      this.reference.push(await slice(reference, this.#operations.reference));
      if (round % 2 === 1) this.ours.push(await slice(ours, this.#operations.ours));
    }
    return this;
  }

  /** The ratio in each round. */
  get ratios(): readonly number[] {
    return this.ours.map((time, round) => time / (this.reference[round] ?? Number.NaN));
  }

  /**
   * The ratio of the fastest slices of both sides. Other programs make slices slower and never faster, so this is the
   * figure that a busy machine changes least.
   */
  get best(): number {
    return quantile(this.ours, 0) / quantile(this.reference, 0);
  }

  get isWithinLimit(): boolean {
    return this.best <= this.benchmark.limit;
  }
}

/** What operations give is kept here, so that no compiler finds them useless. */
let kept: unknown;

async function slice(side: Side, operations: number): Promise<number> {
  const operation = await side(operations);
  const started = performance.now();
  for (let count = 0; count < operations; count += 1) {
    kept = operation();
    if (kept instanceof Promise) await kept;
  }
  const time = performance.now() - started;
  if (kept === operation) throw new Error("an operation has to give what it made");
  return (time * 1000) / operations;
}

/** Runs a side until it is compiled, and finds how many of its operations make a slice. */
async function warmUp(side: Side, forMs: number): Promise<number> {
  const started = performance.now();
  let operations = 1;
  let fastest = Infinity;
  for (;;) {
    fastest = Math.min(fastest, await slice(side, operations));
    const enough = Math.min(Math.ceil((SLICE_MS * 1000) / fastest), MOST_OPERATIONS);
    // However slowly it went: too few operations, and the clock would be all that is measured.
    if (operations >= enough && performance.now() - started >= forMs) return enough;
    operations = Math.min(operations * 2, enough);
  }
}
