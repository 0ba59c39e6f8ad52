import { measureLatency } from "./measure-latency.ts";
import { measureLoad } from "./measure-load.ts";
import { measureRun } from "./measure-run.ts";
import type { Entry, Plan } from "./plan.ts";
import { processUsage } from "./process.ts";
import type { BytesRow, LatencyRow, LoadRow, RunRow } from "./report.ts";
import { figure, median } from "./statistics.ts";
import type { Steps } from "./steps.ts";
import { BenchError } from "./turn.ts";
import type { Answer } from "./upstream.ts";

/** What is measured of entries side by side, in interleaved rounds: rows of the report. */

export async function measureBytes(
  { recording, upstream }: Plan,
  entries: readonly Entry[],
  answers: readonly Answer[],
  steps: Steps,
): Promise<readonly BytesRow[]> {
  const act = ({ target, mode, compress }: Entry) =>
    measureRun(target, mode, upstream, { recording, answers, link: null, compress });
  const results = await steps.rounds("bytes", entries, act, 1);
  return [...results].flatMap(([entry, [run]]) =>
    run === undefined ? [] : [{ ...labelOf(entry), up: run.up, down: run.down, turns: run.turns }],
  );
}

export async function measureLatencies(
  { upstream, sizes, latencyTurns: turns, rounds }: Plan,
  entries: readonly Entry[],
  steps: Steps,
): Promise<readonly LatencyRow[]> {
  const rows: LatencyRow[] = [];
  for (const size of sizes) {
    const act = ({ target, mode }: Entry) => measureLatency(target, mode, upstream, { contextBytes: size, turns });
    const results = await steps.rounds(`latency at ${Math.round(size / 1000)} KB`, entries, act, rounds);
    for (const [{ target, mode }, found] of results) {
      if (found.length === 0) continue;
      const of = (part: "in" | "out" | "tail") =>
        figure(found.map((latencies) => median(latencies.map((one) => one[part]))));
      rows.push({ target: target.name, mode, contextBytes: size, in: of("in"), out: of("out"), tail: of("tail") });
    }
  }
  return rows;
}

export async function measureRuns(
  { recording, upstream, links, rounds }: Plan,
  entries: readonly Entry[],
  answers: readonly Answer[],
  steps: Steps,
): Promise<readonly RunRow[]> {
  const rows: RunRow[] = [];
  for (const link of links) {
    const act = ({ target, mode, compress }: Entry) =>
      measureRun(target, mode, upstream, { recording, answers, link, compress });
    const results = await steps.rounds(`runs over ${link?.name ?? "loopback"}`, entries, act, rounds);
    for (const [entry, found] of results) {
      if (found.length === 0) continue;
      rows.push({
        ...labelOf(entry),
        link,
        seconds: figure(found.map((run) => run.seconds)),
        modelSeconds: median(found.map((run) => run.modelSeconds)),
        promptTokens: median(found.map((run) => run.promptTokens)),
        cachedTokens: median(found.map((run) => run.cachedTokens)),
      });
    }
  }
  return rows;
}

export async function measureLoads(
  { recording, upstream, sessions, rounds }: Plan,
  entries: readonly Entry[],
  answers: readonly Answer[],
  steps: Steps,
): Promise<readonly LoadRow[]> {
  const act = async ({ target, mode, compress }: Entry) => {
    const before = target.pid === null ? null : processUsage(target.pid);
    const load = await measureLoad(target, mode, upstream, { recording, answers, sessions, compress });
    const after = target.pid === null ? null : processUsage(target.pid);
    const [error] = load.errors;
    if (error !== undefined) throw new BenchError(error);
    const cpu = before === null || after === null ? null : ((after.cpuSeconds - before.cpuSeconds) * 1000) / load.turns;
    return { ...load, cpu };
  };
  const results = await steps.rounds(`${sessions} sessions at once`, entries, act, rounds + 1);
  const rows: LoadRow[] = [];
  for (const [entry, [, ...found]] of results) {
    if (found.length === 0) continue;
    // No CPU at all for so many turns is that of another process: the number that was given is not the server's.
    const cpu = found.flatMap((load) => (load.cpu === null || load.cpu === 0 ? [] : [load.cpu]));
    rows.push({
      ...labelOf(entry),
      sessions,
      turnsPerSecond: figure(found.map((load) => load.turns / load.seconds)),
      eventsPerSecond: figure(found.map((load) => load.events / load.seconds)),
      cpuPer1000Turns: cpu.length === 0 ? null : figure(cpu),
      unfairness: median(found.map((load) => load.unfairness)),
      ownCpu: median(found.map((load) => load.ownCpuSeconds / load.seconds)),
    });
  }
  return rows;
}

function labelOf({ target, mode, compress }: Entry) {
  return { target: target.name, mode, compress };
}
