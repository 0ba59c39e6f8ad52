// What every comparison has: the servers it starts, rounds that take turns, and rows of ours beside the floor's.

import { median } from "../src/bench/statistics.ts";
import type { Upstream } from "../src/bench/upstream.ts";
import type { Running } from "./servers.ts";

export type Setting = {
  readonly upstream: Upstream;
  /** Starts fresh servers: ours, then the floor, unless ours is measured alone. */
  readonly start: () => Promise<readonly Running[]>;
  /** Listens to the noise of the machine, before each measurement. */
  readonly sample: () => void;
  readonly rounds: number;
  /** Idle sessions, where not as many as usual are asked for. */
  readonly sessions: number | null;
  readonly isQuick: boolean;
};
export type Row = { readonly measure: string; readonly [column: string]: string | number };
export type Comparison = (setting: Setting) => Promise<readonly Row[]>;

export const KB = 1000;

/** Runs `measure` for each server in each round, the first one of a round changing, and stops the servers. */
export async function interleaved<T>(
  { start, rounds, sample }: Setting,
  measure: (server: Running, round: number) => Promise<T>,
): Promise<readonly (readonly T[])[]> {
  const servers = await start();
  const results = await inTurns(servers, rounds, (server, round) => {
    sample();
    return measure(server, round);
  });
  for (const server of servers) await server.stop();
  return results;
}

/** The rounds alone, for servers that are kept. */
export async function inTurns<Contestant, T>(
  contestants: readonly Contestant[],
  rounds: number,
  measure: (contestant: Contestant, round: number) => Promise<T>,
): Promise<readonly (readonly T[])[]> {
  const results = contestants.map((): T[] => []);
  for (let round = 0; round < rounds; round += 1) {
    const order = contestants.map((_, index) => (index + round) % contestants.length);
    for (const index of order) {
      const contestant = contestants[index];
      if (contestant !== undefined) results[index]?.push(await measure(contestant, round));
    }
  }
  return results;
}

/** Medians of both, and their ratio. */
export function row(measure: string, results: readonly (readonly number[])[], unit: string, limit: string): Row {
  const [ours = Number.NaN, floor = Number.NaN] = results.map(median);
  return { measure, ours: round(ours), floor: round(floor), unit, ratio: round(ours / floor), limit };
}

function round(value: number): number | string {
  return Number.isNaN(value) ? "–" : Number(value.toPrecision(3));
}
