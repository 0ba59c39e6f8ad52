import { bytesText, linkText, millisecondsText } from "./format.ts";
import { bytesCells, loadCells, MEMORY_HEADER, memoryCells, runTable } from "./cells.ts";
import { gainLines, growthLine, prefixWorth, waveGrowth } from "./conclusions.ts";
import type { Report } from "./report.ts";
import { wayTitle } from "./requests.ts";
import { type Figure, spread } from "./statistics.ts";
import { textSection as section, textTable } from "./text-table.ts";

/** A report for the terminal. */
export function textReport(report: Report): string {
  const sections = [
    bytesSection(report),
    latencySection(report),
    runsSection(report),
    loadSection(report),
    memorySection(report),
    wavesSection(report),
    section("Not measured", report.notMeasured.map((line) => `· ${line}`).join("\n")),
    report.problems.length === 0 ? "" : section("Problems", report.problems.map((line) => `· ${line}`).join("\n")),
    report.noise.line,
  ];
  return sections.filter((text) => text !== "").join("\n\n");
}

function bytesSection({ bytes, workload }: Report): string {
  if (bytes.length === 0) return "";
  const rows = bytes.map((row) => bytesCells(row, bytes));
  const note = `${workload.id}, ${workload.turns} turns; at the socket; shares are of stateless HTTP, plain, on the same server`;
  return section("Bytes", textTable(["", "up", "share", "down", "share"], rows), note);
}

function latencySection({ latency, settings }: Report): string {
  if (latency.length === 0) return "";
  const rows = latency.map((row) => [
    `${row.target}: ${wayTitle(row.mode)}`,
    bytesText(row.contextBytes),
    withSpread(row.in),
    withSpread(row.out),
    withSpread(row.tail),
  ]);
  const note = `on loopback, plain, in front of a model that takes no time; medians of ${settings.rounds} rounds ± their middle half`;
  const table = textTable(["", "context", "on the way in", "first token", "end"], rows);
  return section("Time added to a turn", lines([table, growthLine(latency)]), note);
}

function lines(texts: readonly string[]): string {
  return texts.filter((text) => text !== "").join("\n");
}

function withSpread(of: Figure): string {
  return `${millisecondsText(of.median)} ± ${(spread(of) * 50).toFixed(0)} %`;
}

/** Links one below the other, each with its rows. */
function runsSection(report: Report): string {
  const { runs, workload, settings } = report;
  if (runs.length === 0) return "";
  const links = [...new Set(runs.map(({ link }) => linkText(link)))];
  const tables = links.map((link) => runTable(link, report));
  const rows = tables.flatMap((table, index) => [
    [links[index] ?? ""],
    ...table.rows.map(([title = "", ...cells]) => [`  ${title}`, ...cells]),
  ]);
  const note =
    `${workload.id}, ${workload.turns} turns, end to end; medians of ${settings.rounds} rounds ± their middle half; ` +
    "ratios are to stateless HTTP, plain, on the same server and link, and to the model with no server in front";
  const header = ["", ...(tables[0]?.header ?? [])];
  return section("Whole runs", lines([textTable(header, rows), ...gainLines(report), prefixWorth(report)]), note);
}

function loadSection({ load, settings }: Report): string {
  if (load.length === 0) return "";
  const rows = load.map(loadCells);
  const header = ["", "turns/s", "events/s", "CPU / 1,000 turns", "slowest : fastest", "this tool's CPU"];
  const note = `${load[0]?.sessions ?? 0} sessions, each as fast as it can; medians of ${settings.rounds} rounds; near 1, this tool's own CPU is the limit, as it is where no server is in front`;
  return section("Many sessions", textTable(header, rows), note);
}

function memorySection({ memory }: Report): string {
  if (memory.length === 0) return "";
  const rows = memory.map(memoryCells);
  const note =
    "growth of the resident set while idle WebSocket sessions are opened; their contexts are part of it. " +
    `Turns are on any of ${memory[0]?.turns.few ?? 0} sessions of a fresh server, then on any of all: median and 99th percentile`;
  return section("Idle sessions", textTable(MEMORY_HEADER, rows), note);
}

function wavesSection({ waves }: Report): string {
  if (waves.length === 0) return "";
  const most = Math.max(...waves.map((row) => row.waves.length));
  const each = Array.from({ length: most }, (_, index) => `wave ${index + 1}`);
  const rows = waves.map((row) => [
    row.target,
    bytesText(row.before),
    ...each.map((_, index) => bytesText(row.waves[index] ?? Number.NaN)),
    `${(waveGrowth(row) * 100).toFixed(1)} %`,
  ]);
  const [first] = waves;
  const note =
    `resident set of the server while the ${first?.sessions ?? 0} sessions of each wave are open, of ${bytesText(first?.contextBytes ?? 0)} of context each; then all are closed. ` +
    "Growth: what each wave after the first adds, as a share of the contexts that it brings; one that keeps all of them grows by 100 % and more";
  return section("Waves of sessions", textTable(["", "before", ...each, "growth"], rows), note);
}
