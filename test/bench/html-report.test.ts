import { expect, test } from "vitest";
import { generate } from "../../src/bench/generate.ts";
import { reportPage, uploadPage } from "../../src/bench/html-report.ts";
import { escape } from "../../src/bench/html/plot.ts";
import { linearScale, logScale } from "../../src/bench/html/scale.ts";
import type { LatencyRow, Report } from "../../src/bench/report.ts";
import { MODES } from "../../src/bench/requests.ts";
import { textReport } from "../../src/bench/text-report.ts";
import { uploadReport } from "../../src/bench/text-upload.ts";
import { measureUpload } from "../../src/bench/upload.ts";

const figure = (median: number) => ({ median, low: median * 0.9, high: median * 1.2, rounds: 3 });
const link = { name: "rtt=60ms", rttMs: 60, upBitsPerSecond: 20e6, downBitsPerSecond: 100e6 };

async function report(names: readonly string[]): Promise<Report> {
  const run = generate("service", 1, 4);
  const each = [
    { target: "direct", mode: "direct" as const },
    ...names.flatMap((target) => MODES.map((mode) => ({ target, mode }))),
  ];
  const sizes = [10_000, 500_000];
  const latency: readonly LatencyRow[] = each.flatMap((of, index) =>
    sizes.map((contextBytes) => ({
      ...of,
      contextBytes,
      in: figure(0.4 + index),
      out: figure(0.3),
      tail: figure(0.2),
    })),
  );
  return {
    version: "1.2.3",
    startedAt: "2026-01-02T03:04:05.000Z",
    machine: { cpu: "a <fast> CPU", cores: 2, memoryBytes: 1, system: "linux", node: "v26" },
    noise: { spread: 0.01, line: "Machine: quiet." },
    settings: {
      rounds: 3,
      ttftMs: 300,
      tokensPerSecond: 80,
      burst: 8,
      prefillMsPerToken: 0.1,
      cacheTokens: 1000,
    },
    targets: names.map((name) => ({ name, url: "http://127.0.0.1:1", isOwn: false })),
    workload: { id: run.id, turns: 4, settingsBytes: 1000, contextBytes: [1, 2, 3, 4000] },
    uploads: [await measureUpload(run)],
    bytes: each.map((of) => ({ ...of, compress: false, up: 10, down: 20, turns: [{ up: 10, down: 20 }] })),
    latency,
    runs: each.map((of) => ({
      ...of,
      link,
      compress: false,
      seconds: figure(3),
      modelSeconds: 1,
      promptTokens: 100_000,
      cachedTokens: 90_000,
    })),
    load: each.map((of) => ({
      ...of,
      compress: false,
      sessions: 16,
      turnsPerSecond: figure(1000),
      eventsPerSecond: figure(9000),
      cpuPer1000Turns: null,
      unfairness: 1,
      ownCpu: 0.4,
    })),
    memory: names.map((target) => ({
      target,
      sessions: 200,
      contextBytes: 100_000,
      bytesPerSession: 150_000,
      turns: { few: 20, fresh: { median: 0.5, p99: 1.5, turns: 300 }, among: { median: 0.6, p99: 1.75, turns: 300 } },
    })),
    waves: names.map((target) => ({
      target,
      sessions: 200,
      contextBytes: 100_000,
      before: 100e6,
      waves: [150e6, 151e6, 152e6],
    })),
    problems: ["bytes, compressed, b: it does not take compression"],
    notMeasured: ["A real model."],
  };
}

test("the page needs nothing but itself", async () => {
  const html = reportPage(await report(["a", "b"]));
  expect(html).not.toMatch(/\b(src|href|srcset)=|@import|url\(|<script|https?:\/\//);
  expect(html).toContain("prefers-color-scheme: dark");
  expect(html).toContain("width=device-width");
});

test("the page has every series of every target, by its name", async () => {
  const html = reportPage(await report(["one", "two"]));
  for (const name of ["one", "two"]) {
    for (const mode of ["stateless", "previous id", "WebSocket"]) {
      expect(html.split(`>${name}, ${mode}</text>`).length - 1).toBe(5);
    }
  }
  // Once for all of them: the download, three plots of latency, and the bars of the runs.
  expect(html.split(">direct</text>").length - 1).toBe(5);
  for (const name of ["one", "two"]) expect(html).toContain(`>${name}</text>`);
  for (const label of ["stateless", "stateless, gzip", "previous id", "WebSocket", "WS, deflate"]) {
    expect(html.split(`>${label}</text>`).length - 1).toBe(2);
  }
  expect(html).toContain("60 ms, 20 Mbit/s up, 100 Mbit/s down");
});

test("no drawing has a number that is none", async () => {
  const html = reportPage(await report(["a"]));
  expect(html).not.toMatch(/NaN|Infinity|undefined/);
});

test("what was not measured, and what went wrong, is said on the page and in the terminal", async () => {
  const found = await report(["a"]);
  for (const text of [reportPage(found), textReport(found)]) {
    expect(text).toContain("A real model.");
    expect(text).toContain("it does not take compression");
    expect(text).toContain("Machine: quiet.");
    expect(text).toContain("the cache saves 9.00 s of that");
  }
});

test("idle sessions and waves are on the page and in the terminal, with what they are compared with", async () => {
  const found = await report(["a"]);
  for (const text of [reportPage(found), textReport(found)]) {
    for (const words of ["turn when fresh", "0.500 ms", "1.75 ms", "150 MB", "152 MB", "5.0 %"]) {
      expect(text).toContain(words);
    }
  }
});

function compressed<Row extends object>(rows: readonly Row[]): readonly Row[] {
  return rows.map((row) => ({ ...row, compress: true }));
}

test("what compression does to runs and to load has a row and a bar of its own", async () => {
  const plain = await report(["a"]);
  const found = { ...plain, runs: [...plain.runs, ...compressed(plain.runs)], load: compressed(plain.load) };
  expect(reportPage(found).split(">WS, deflate</text>").length - 1).toBe(2 + 1);
  expect(textReport(found).split("a: WebSocket deltas, deflate").length - 1).toBe(2 + 1);
});

test("names cannot break the page", async () => {
  const html = reportPage(await report(["<script>alert(1)</script>"]));
  expect(html).not.toContain("<script>");
  expect(escape('<a href="x">&')).toBe("&lt;a href=&quot;x&quot;&gt;&amp;");
});

test("the page of uploads has every run in its table, and the plots of the longest", async () => {
  const uploads = await Promise.all(
    [3, 5].map((turns) => measureUpload({ ...generate("service", 1, turns), id: `of ${turns}` })),
  );
  const html = uploadPage(uploads, "1.2.3");
  expect(html).toContain("of 3");
  expect(html).toContain("of 5, 5 turns");
  expect(html).not.toMatch(/https?:\/\//);
  const text = uploadReport(uploads);
  for (const words of ["of 3", "of 5", "2 runs, 8 turns", "WebSocket deltas, deflate"]) expect(text).toContain(words);
});

test("axes have round marks that hold every value", () => {
  expect(linearScale(5.5, 0, 100).ticks).toEqual([0, 2, 4, 6]);
  expect(linearScale(0, 0, 100).ticks).toEqual([0, 1]);
  expect(logScale(300, 240_000, 0, 100).ticks).toEqual([100, 1000, 10_000, 100_000, 1_000_000]);
  const scale = logScale(0.4, 2.5, 100, 0);
  expect(scale.ticks).toEqual([0.2, 0.5, 1, 2, 5]);
  expect(scale.place(scale.ticks[0] ?? 0)).toBe(100);
  expect(scale.place(scale.ticks.at(-1) ?? 0)).toBeCloseTo(0);
});
