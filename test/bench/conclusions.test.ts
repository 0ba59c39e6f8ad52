import { expect, test } from "vitest";
import { gainLines, growthLine, prefixWorth, waveGrowth } from "../../src/bench/conclusions.ts";
import type { LatencyRow, Report, RunRow, WavesRow } from "../../src/bench/report.ts";

const figure = (median: number) => ({ median, low: median, high: median, rounds: 1 });

function run(fields: Partial<RunRow> & { readonly seconds: RunRow["seconds"] }): RunRow {
  const base = { target: "a", mode: "full", compress: false, link: null, modelSeconds: 4 } as const;
  return { ...base, promptTokens: 100_000, cachedTokens: 80_000, ...fields };
}

function report(runs: readonly RunRow[], prefillMsPerToken = 0.05): Report {
  const settings = { rounds: 1, ttftMs: 0, tokensPerSecond: 0, burst: 8, prefillMsPerToken, cacheTokens: 1 };
  return { runs, settings } as unknown as Report;
}

test("what is left of the gain is told with the model's time and without it", () => {
  const stateless = run({ seconds: figure(6) });
  const socket = run({ mode: "websocket", seconds: figure(5) });
  expect(gainLines(report([stateless, socket]))).toEqual([
    "loopback, a: WebSocket deltas saves 1.00 s of the 6.00 s of stateless HTTP (16.7 %). Without the model's time it is 1.00 s instead of 2.00 s.",
  ]);
  const slower = run({ mode: "websocket", compress: true, seconds: figure(6.6) });
  expect(gainLines(report([stateless, slower]))[0]).toContain("deflate adds 0.600 s to the 6.00 s of stateless HTTP");
});

test("a model that takes no time leaves nothing to be told apart", () => {
  const rows = [run({ seconds: figure(6) }), run({ mode: "websocket", seconds: figure(5) })];
  expect(gainLines(report(rows, 0))).toEqual([]);
  expect(prefixWorth(report(rows, 0))).toBe("");
});

test("the worth of the prefix cache is alike in every mode only where it is", () => {
  const stateless = run({ seconds: figure(6) });
  const alike = prefixWorth(report([stateless, run({ mode: "websocket", seconds: figure(5) })]));
  expect(alike).toContain("would read 5.00 s a run");
  expect(alike).toContain("saves 4.00 s of that, in every mode alike");
  const poor = run({ mode: "websocket", seconds: figure(5), cachedTokens: 20_000 });
  expect(prefixWorth(report([stateless, poor]))).toContain("saves 1.00 to 4.00 s of that: not every row");
});

function row(contextBytes: number, ms: number): LatencyRow {
  return { target: "a", mode: "full", contextBytes, in: figure(ms), out: figure(1), tail: figure(1) };
}

test("growth with the context is told where there are several sizes", () => {
  expect(growthLine([row(0, 1), row(1e6, 3)])).toBe(
    "A further megabyte of context adds on the way in: a, stateless 2.00 ms.",
  );
  expect(growthLine([row(0, 1), row(1e6, 0.9)])).toContain("under 0.2 ms");
  expect(growthLine([row(0, 1)])).toBe("");
});

function waves(...megabytes: readonly number[]): WavesRow {
  const [before, ...bytes] = megabytes.map((count) => count * 1e6);
  return { target: "a", sessions: 100, contextBytes: 100_000, before: before ?? 0, waves: bytes };
}

test("sessions that are kept are growth, and the first wave is not", () => {
  expect(waveGrowth(waves(50, 80, 90, 90, 90))).toBe(0);
  expect(waveGrowth(waves(50, 80, 90, 100, 110))).toBeCloseTo(1);
});
