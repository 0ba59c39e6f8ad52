import { bytesText, linkText, millisecondsText, plain, percentText, roundBytes, significant } from "./format.ts";
import { barPlot, linePlot, type Series } from "./html/plot.ts";
import { list, page, plots, section, table, tiles } from "./html/page.ts";
import type { LatencyRow, Report } from "./report.ts";
import { MODE_TITLES, type Mode, MODES } from "./requests.ts";
import { spread } from "./statistics.ts";
import { prefixWorth } from "./text-report.ts";
import { type Upload, variantOf } from "./upload.ts";

/** A report as one page with plots, which a colleague can be shown. */

const SHORT: { readonly [M in Mode]: string } = { full: "stateless", previous: "previous id", websocket: "WebSocket" };
const COMPRESSED: { readonly [M in Mode]: string } = {
  full: "stateless, gzip",
  previous: "previous id, gzip",
  websocket: "WS, deflate",
};

export function reportPage(report: Report): string {
  const { targets, workload, machine } = report;
  const names = targets.map(({ name }) => name).join(" and ");
  const lead =
    `${names}, measured with a run of ${workload.turns} turns (${workload.id}) whose context grows to ` +
    `${bytesText(workload.contextBytes.at(-1) ?? 0)}, with ${bytesText(workload.settingsBytes)} of instructions and tools.`;
  const sections = [
    tiles(headline(report)),
    ...(report.bytes.length === 0 ? [] : [uploads(report.uploads), bytesTable(report)]),
    ...(report.latency.length === 0 ? [] : [latency(report)]),
    ...(report.runs.length === 0 ? [] : [runs(report)]),
    ...(report.load.length === 0 ? [] : [load(report)]),
    ...(report.memory.length === 0 ? [] : [memory(report)]),
    ...(report.problems.length === 0
      ? []
      : [section("Problems", "What could not be measured.", list(report.problems))]),
    section("What this does not say", "Before a figure is quoted.", list(report.notMeasured)),
  ];
  const footer =
    `turnwire bench ${report.version} · ${report.startedAt.slice(0, 16).replace("T", " ")} UTC · ${machine.cpu}, ` +
    `${machine.cores} cores, ${machine.system}, Node.js ${machine.node}<br>${report.noise.line}`;
  return page("What stateful turns save", lead, sections, footer);
}

/** The page of `turnwire bench bytes`. */
export function uploadPage(all: readonly Upload[], version: string): string {
  const turns = all.reduce((sum, { turns: count }) => sum + count, 0);
  const base = sumOf(all, "full");
  const lead =
    `${all.length === 1 ? "A run" : `${all.length} runs`} of ${turns} turns: stateless HTTP uploads ${bytesText(base)}, ` +
    `WebSocket mode ${bytesText(sumOf(all, "websocket"))}, and ${bytesText(sumOf(all, "websocket", true))} with compression.`;
  const longest = all.toSorted((one, other) => other.turns - one.turns)[0];
  const rows = all.map((upload) => {
    const whole = variantOf(upload, "full")?.total ?? 0;
    const share = (mode: Mode, compress = false, once = false): string =>
      percentText((variantOf(upload, mode, { compress, once })?.total ?? 0) / whole);
    const of = [share("previous"), share("websocket"), share("websocket", true), share("websocket", false, true)];
    return [upload.id, String(upload.turns), bytesText(whole), ...of];
  });
  const header = ["", "turns", "stateless", "previous id", "WebSocket", "with deflate", "settings once"];
  const notes = [
    "Shares are of stateless HTTP, plain: the whole conversation again each turn, over one connection that is kept alive.",
    "Settings once: instructions and tools in the first turn only. The standard does not let a server inherit them; an extension would save that.",
    "Not counted: TLS, what clients add to their headers, and the download, which depends on the server.",
  ];
  const sections = [
    ...(longest === undefined ? [] : [uploads([longest])]),
    section("By run", "Upload of stateless HTTP, and what the other ways upload of that.", table(header, rows)),
    section("What this does not say", "", list(notes)),
  ];
  return page("What WebSocket mode would have saved", lead, sections, `turnwire bench bytes ${version}`);
}

function sumOf(all: readonly Upload[], mode: Mode, compress = false): number {
  return all.reduce((sum, upload) => sum + (variantOf(upload, mode, { compress })?.total ?? 0), 0);
}

function headline({ uploads: [upload], latency: rows, runs: all, load: loads, targets }: Report) {
  const [target] = targets;
  const figures: { value: string; what: string; tone: string }[] = [];
  const full = upload && variantOf(upload, "full");
  const socket = upload && variantOf(upload, "websocket");
  const deflated = upload && variantOf(upload, "websocket", { compress: true });
  if (full && socket && deflated) {
    const what = `of the upload: ${bytesText(socket.total)} instead of ${bytesText(full.total)} over stateless HTTP`;
    figures.push({ value: percentText(socket.total / full.total), what, tone: "websocket" });
    const compressed = `with compression: ${bytesText(deflated.total)}, of the same ${bytesText(full.total)}`;
    figures.push({ value: percentText(deflated.total / full.total), what: compressed, tone: "websocket" });
  }
  const largest = rows.filter(({ mode, target: name }) => mode === "websocket" && name === target?.name).at(-1);
  const same = rows.find(
    (row) => row.target === largest?.target && row.mode === "full" && row.contextBytes === largest.contextBytes,
  );
  if (largest && same) {
    const size = bytesText(largest.contextBytes);
    const what = `from client to model at ${size} of context; stateless HTTP takes ${millisecondsText(same.in.median)}`;
    figures.push({ value: millisecondsText(largest.in.median), what, tone: "websocket" });
  }
  const run = all.findLast(({ mode, target: name }) => mode === "websocket" && name === target?.name);
  const other = all.find(
    (row) => row.target === run?.target && row.mode === "full" && row.link?.name === run.link?.name,
  );
  if (run && other) {
    const what = `for the whole run over ${linkText(run.link)}; stateless HTTP takes ${significant(other.seconds.median)} s`;
    figures.push({ value: `${significant(run.seconds.median)} s`, what, tone: "websocket" });
  }
  const busy = loads.find(({ mode, target: name }) => mode === "websocket" && name === target?.name);
  if (busy?.cpuPer1000Turns) {
    const what = `of the server's CPU for 1,000 turns over WebSocket, ${busy.sessions} sessions at once`;
    figures.push({ value: `${significant(busy.cpuPer1000Turns.median)} s`, what, tone: "websocket" });
  }
  return figures;
}

function uploads([upload]: readonly Upload[]): string {
  if (upload === undefined) return "";
  const series = (of: (perTurn: readonly number[]) => readonly number[]): readonly Series[] =>
    MODES.flatMap((mode) => [false, true].map((compress) => ({ mode, compress })))
      .filter(({ mode, compress }) => mode !== "previous" || !compress)
      .map(({ mode, compress }) => ({
        label: compress ? COMPRESSED[mode] : SHORT[mode],
        tone: mode,
        isDashed: compress,
        points: of(variantOf(upload, mode, { compress })?.perTurn ?? []).map((y, index) => ({ x: index + 1, y })),
      }));
  const axes = { xTitle: "turn", xText: String, yText: roundBytes };
  const perTurn = linePlot({
    ...axes,
    title: "Upload of each turn",
    yTitle: "bytes, logarithmic",
    isYLog: true,
    series: series((sizes) => sizes),
  });
  const soFar = linePlot({ ...axes, title: "Upload so far", yTitle: "bytes so far", series: series(cumulative) });
  const rows = upload.variants.map(({ mode, compress, once, total }) => [
    modeTitle(mode, compress) + (once ? ", instructions and tools once" : ""),
    bytesText(total),
    percentText(total / (upload.variants[0]?.total ?? 1)),
  ]);
  return section(
    "Upload",
    `${upload.id}, ${upload.turns} turns, to the byte as a client writes it. It does not depend on the server. Shares are of stateless HTTP, plain. “Once” is what an extension would save: the standard has instructions and tools in every turn.`,
    plots([
      ["Upload of each turn", perTurn],
      ["Upload so far", soFar],
    ]) + table(["", "upload", "of stateless"], rows),
  );
}

function cumulative(values: readonly number[]): readonly number[] {
  let sum = 0;
  return values.map((value) => (sum += value));
}

function modeTitle(mode: Mode, compress: boolean): string {
  return compress ? `${MODE_TITLES[mode]}, ${mode === "websocket" ? "deflate" : "gzip"}` : MODE_TITLES[mode];
}

function share(value: number, of: number | undefined): string {
  return of === undefined ? "" : percentText(value / of);
}

function bytesTable({ bytes }: Report): string {
  const rows = bytes.map(({ target, mode, compress, up, down }) => {
    const base = bytes.find((row) => row.target === target && row.mode === "full" && !row.compress);
    const cells = [bytesText(up), share(up, base?.up), bytesText(down), share(down, base?.down)];
    return [`${target}: ${modeTitle(mode, compress)}`, ...cells];
  });
  const note =
    "Counted at the TCP socket of the client over the whole run. Shares are of stateless HTTP, plain, on the same server.";
  return section("Bytes both ways", note, table(["", "up", "of stateless", "down", "of stateless"], rows));
}

const PARTS = [
  ["in", "Client to model"],
  ["out", "First token to client"],
  ["tail", "Last token to end"],
] as const;

function latency({ latency: rows, settings, targets }: Report): string {
  const ticks = [...new Set(rows.map(({ contextBytes }) => contextBytes))].toSorted((one, other) => one - other);
  const figures = PARTS.map(([part, title]) => {
    const series = targets.flatMap(({ name }, index) =>
      MODES.flatMap((mode) => {
        const own = rows.filter((row) => row.target === name && row.mode === mode);
        const label = targets.length === 1 ? SHORT[mode] : `${name}, ${SHORT[mode]}`;
        return own.length === 0
          ? []
          : [{ label, tone: mode, isDashed: index > 0, points: own.map((row) => point(row, part)) }];
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
  const note = `On loopback, in front of a model that takes no time: what is left is the server. Medians of ${settings.rounds} rounds, and the middle half of them as bars.`;
  const cells = (row: LatencyRow): readonly string[] =>
    PARTS.map(([part]) => `${millisecondsText(row[part].median)} ± ${(spread(row[part]) * 50).toFixed(0)} %`);
  const body = rows.map((row) => [
    `${row.target}: ${MODE_TITLES[row.mode]}, ${bytesText(row.contextBytes)}`,
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

function runs({ runs: rows, targets, settings, workload }: Report): string {
  const links = [...new Set(rows.map(({ link }) => linkText(link)))];
  const groups = links.map((link) => ({
    title: link,
    bars: rows
      .filter((row) => linkText(row.link) === link)
      .map((row) => ({
        label: targets.length === 1 ? SHORT[row.mode] : `${row.target}, ${SHORT[row.mode]}`,
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
  const note = `${workload.id}, ${workload.turns} turns, from the opening of the connection to the last event. ${model} ${prefixWorth(rows, settings.prefillMsPerToken)}`;
  const body = rows.map((row) => {
    const base = rows.find(
      (other) => other.link?.name === row.link?.name && other.target === row.target && other.mode === "full",
    );
    const ratio = base === undefined ? "" : significant(row.seconds.median / base.seconds.median);
    const cached = row.cachedTokens === 0 ? "–" : percentText(row.cachedTokens / row.promptTokens);
    const seconds = `${significant(row.seconds.median)} s ± ${(spread(row.seconds) * 50).toFixed(0)} %`;
    return [
      `${linkText(row.link)}, ${row.target}: ${MODE_TITLES[row.mode]}`,
      seconds,
      ratio,
      `${significant(row.modelSeconds)} s`,
      cached,
    ];
  });
  const header = ["", "run", "of stateless", "of it the model", "tokens cached"];
  return section(
    "Whole runs over a network",
    note,
    plots([["Run time", barPlot({ title: "Run time", groups })]], "one") + table(header, body),
  );
}

function load({ load: rows, settings }: Report): string {
  const body = rows.map((row) => [
    `${row.target}: ${MODE_TITLES[row.mode]}`,
    significant(row.turnsPerSecond.median),
    significant(row.eventsPerSecond.median),
    row.cpuPer1000Turns === null ? "unknown" : `${significant(row.cpuPer1000Turns.median)} s`,
    significant(row.unfairness),
    significant(row.ownCpu),
  ]);
  const header = [
    "",
    "turns a second",
    "events a second",
    "CPU for 1,000 turns",
    "slowest : fastest",
    "this tool's CPU",
  ];
  const note = `${rows[0]?.sessions ?? 0} sessions, each as fast as it can; medians of ${settings.rounds} rounds. The last column is CPU seconds a second of the client and the scripted model: near 1 it is they that limit the turns, not the server.`;
  return section("Many sessions at once", note, table(header, body));
}

function memory({ memory: rows }: Report): string {
  const body = rows.map(({ target, sessions, contextBytes, bytesPerSession }) => [
    target,
    String(sessions),
    bytesText(contextBytes),
    bytesText(bytesPerSession),
  ]);
  const note =
    "Growth of the server's resident set while idle WebSocket sessions are opened, divided by their number. The context itself is part of it.";
  return section("Memory of idle sessions", note, table(["", "sessions", "context of each", "memory of each"], body));
}
