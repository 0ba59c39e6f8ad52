import { figure, quantile, spread } from "./statistics.ts";

/**
 * How noisy the machine is: a loop that always does the same is timed again and again while everything else is measured.
 * On an idle machine it takes the same time within a few percent.
 */
export type Noise = {
  /** Times the loop once more. */
  readonly sample: () => void;
  /** The middle half of its times as a share of their median. */
  readonly spread: () => number;
  readonly line: () => string;
};

const LOOP = 2_000_000;
const FIRST_SAMPLES = 15;

/**
 * Milliseconds of the loop. It stays within whole numbers of 32 bits: otherwise it may be compiled for fractions later on,
 * take four times as long from then, and a quiet machine would be called noisy.
 */
function spin(): number {
  const started = performance.now();
  let sum = 0;
  for (let index = 0; index < LOOP; index += 1) sum = (Math.imul(sum, 31) + index) | 0;
  return performance.now() - started + (sum === 1 ? 1 : 0) * 1e-9;
}

export function calibrate(): Noise {
  const times: number[] = [];
  const sample = (): void => {
    times.push(spin());
  };
  // The first ones are compiled while they run.
  for (let count = 0; count < 3; count += 1) spin();
  for (let count = 0; count < FIRST_SAMPLES; count += 1) sample();
  return {
    sample,
    spread: () => spread(figure(times)),
    line: () => {
      const share = spread(figure(times));
      const worst = quantile(times, 0.95) / quantile(times, 0.5);
      const verdict = share < 0.05 ? "quiet" : share < 0.2 ? "somewhat noisy" : "noisy: trust only large differences";
      return (
        `Machine: ${verdict}. A fixed loop, timed ${times.length} times in between, varied by ${percent(share)} ` +
        `(middle half), and its slowest twentieth took ${worst.toFixed(2)} times the median.`
      );
    },
  };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
