import { bytesCells, loadCells, runTable } from "../cells.ts";
import { gainLines, growthLine, prefixWorth } from "../conclusions.ts";
import { bytesText, linkText, millisecondsText, plain, roundBytes, significant } from "../format.ts";
import { DIRECT } from "../plan.ts";
import type { BytesRow, LatencyRow, Report, RunRow } from "../report.ts";
import { wayLabel, WAYS, wayTitle } from "../requests.ts";
import { cumulative, spread } from "../statistics.ts";
import { list, plots, section, table } from "./page.ts";
import { barPlot, linePlot } from "./plot.ts";

/** What was measured of turns: bytes, latency, whole runs, and many sessions at once. */

export function bytesSection({ bytes }: Report): string {
  const rows = bytes.map((row) => bytesCells(row, bytes));
  const note =
    "Counted at the TCP socket of the client over the whole run. Shares are of stateless HTTP, plain, on the same server.";
  const downloads = plots([["Download so far", downloadPlot(bytes)]], "one");
  return section("Bytes both ways", note, downloads + table(["", "up", "of stateless", "down", "of stateless"], rows));
}

/** As far as they differ: over HTTP, an answer is the same whatever the request was compressed with. */
function downloadPlot(bytes: readonly BytesRow[]): string {
  const targets = new Set(bytes.flatMap(({ target, mode }) => (mode === "direct" ? [] : [target])));
  const names = [...targets];
  const series = bytes
    .filter(({ mode, compress }) => mode === "websocket" || !compress)
    .map((row) => ({
      label: labelOf(row, targets.size),
      tone: row.mode,
      isDashed: row.compress || names.indexOf(row.target) > 0,
      points: cumulative(row.turns.map(({ down }) => down)).map((y, index) => ({ x: index + 1, y })),
    }));
  const axes = { xTitle: "turn", xText: String, yTitle: "bytes so far", yText: roundBytes };
  return linePlot({ ...axes, title: "Download so far", series });
}

const PARTS = [
  ["in", "Client to model"],
  ["out", "First token to client"],
  ["tail", "Last token to end"],
] as const;

export function latencySection({ latency: rows, settings, targets }: Report): string {
  const ticks = [...new Set(rows.map(({ contextBytes }) => contextBytes))].toSorted((one, other) => one - other);
  const figures = PARTS.map(([part, title]) => {
    const series = [...targets.map(({ name }) => name), DIRECT].flatMap((name, index) =>
      WAYS.flatMap((mode) => {
        const own = rows.filter((row) => row.target === name && row.mode === mode);
        const label = targets.length === 1 || mode === "direct" ? wayLabel(mode) : `${name}, ${wayLabel(mode)}`;
        const isDashed = mode !== "direct" && index > 0;
        return own.length === 0 ? [] : [{ label, tone: mode, isDashed, points: own.map((row) => point(row, part)) }];
      }),
    );
    const plot = linePlot({
      title,
      xTitle: "context, logarithmic",
      yTitle: "ms, logarithmic",
      xText: roundBytes,
      yText: plain,
      xTicks: ticks,
      isXLog: true,
      isYLog: true,
      hasDots: true,
      ...(targets.length === 1 && { width: 390 }),
      series,
    });
    return [title, plot] as const;
  });
  const note = `On loopback, plain, in front of a model that takes no time: what is left is the server; “direct” has none in front. Medians of ${settings.rounds} rounds, and the middle half of them as bars. ${growthLine(rows)}`;
  const cells = (row: LatencyRow): readonly string[] =>
    PARTS.map(([part]) => `${millisecondsText(row[part].median)} ± ${(spread(row[part]) * 50).toFixed(0)} %`);
  const body = rows.map((row) => [
    `${row.target}: ${wayTitle(row.mode)}, ${bytesText(row.contextBytes)}`,
    ...cells(row),
  ]);
  return section(
    "Time that the server adds to a turn",
    note,
    plots(figures, targets.length === 1 ? "three" : "") + table(["", "in", "first token", "end"], body),
  );
}

function point({ contextBytes, ...row }: LatencyRow, part: "in" | "out" | "tail") {
  const { median, low, high } = row[part];
  return { x: contextBytes, y: median, low, high };
}

export function runsSection(report: Report): string {
  const { runs: rows, targets, settings, workload } = report;
  const links = [...new Set(rows.map(({ link }) => linkText(link)))];
  const groups = links.map((link) => ({
    title: link,
    bars: rows
      .filter((row) => linkText(row.link) === link)
      .map((row) => ({
        label: labelOf(row, targets.length),
        tone: row.mode,
        value: row.seconds.median,
        part: row.modelSeconds,
        text: `${significant(row.seconds.median)} s`,
      })),
  }));
  const isAtOnce = settings.ttftMs === 0 && settings.tokensPerSecond === 0 && settings.prefillMsPerToken === 0;
  const model = isAtOnce
    ? "The model takes no time, so that only the network and the server are left; with a real model, the shares are smaller."
    : `The pale part is the model: ${settings.ttftMs} ms to its first token, ${settings.tokensPerSecond === 0 ? "all tokens at once" : `${settings.tokensPerSecond} tokens a second`}, ${significant(settings.prefillMsPerToken * 1000)} ms for 1,000 tokens that its prefix cache does not know.`;
  const note = `${workload.id}, ${workload.turns} turns, from the opening of the connection to the last event; medians of ${settings.rounds} rounds. ${model} ${prefixWorth(report)}`;
  const tables = links.map((link) => {
    const { header, rows: body } = runTable(link, report);
    return table([link, ...header], body);
  });
  const gains = gainLines(report);
  return section(
    "Whole runs over a network",
    note,
    plots([["Run time", barPlot({ title: "Run time", groups })]], "one") +
      (gains.length === 0 ? "" : list(gains)) +
      tables.join(""),
  );
}

function labelOf({ target, mode, compress }: RunRow | BytesRow, targets: number): string {
  const label = wayLabel(mode, compress);
  return targets === 1 || mode === "direct" ? label : `${target}, ${label}`;
}

export function loadSection({ load: rows, settings }: Report): string {
  const header = [
    "",
    "turns a second",
    "events a second",
    "CPU for 1,000 turns",
    "slowest : fastest",
    "this tool's CPU",
  ];
  const note = `${rows[0]?.sessions ?? 0} sessions, each as fast as it can; medians of ${settings.rounds} rounds. The last column is CPU seconds a second of the client and the scripted model: near 1 it is they that limit the turns, not the server, as it is in the direct row.`;
  return section("Many sessions at once", note, table(header, rows.map(loadCells)));
}
