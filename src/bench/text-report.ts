import { styleText } from "node:util";
import { bytesText, linkText, millisecondsText, percentText, significant } from "./format.ts";
import type { Report, RunRow } from "./report.ts";
import { MODE_TITLES, MODES, type Mode } from "./requests.ts";
import { type Figure, spread } from "./statistics.ts";
import { textTable } from "./text-table.ts";
import { type Upload, variantOf } from "./upload.ts";

/** A report for the terminal. */
export function textReport(report: Report): string {
  const sections = [
    bytesSection(report),
    latencySection(report),
    runsSection(report),
    loadSection(report),
    memorySection(report),
    section("Not measured", report.notMeasured.map((line) => `· ${line}`).join("\n")),
    report.problems.length === 0 ? "" : section("Problems", report.problems.map((line) => `· ${line}`).join("\n")),
    report.noise.line,
  ];
  return sections.filter((text) => text !== "").join("\n\n");
}

function section(title: string, body: string, note = ""): string {
  return [styleText("bold", title), ...(note === "" ? [] : [styleText("dim", note)]), body].join("\n");
}

function modeName(mode: Mode, compress: boolean): string {
  if (!compress) return MODE_TITLES[mode];
  return `${MODE_TITLES[mode]}, ${mode === "websocket" ? "deflate" : "gzip"}`;
}

function bytesSection({ bytes, workload }: Report): string {
  if (bytes.length === 0) return "";
  const rows = bytes.map(({ target, mode, compress, up, down }) => {
    const base = bytes.find((row) => row.target === target && row.mode === "full" && !row.compress);
    return [
      `${target}: ${modeName(mode, compress)}`,
      bytesText(up),
      base === undefined ? "" : percentText(up / base.up),
      bytesText(down),
      base === undefined ? "" : percentText(down / base.down),
    ];
  });
  const note = `${workload.id}, ${workload.turns} turns; at the socket; shares are of stateless HTTP, plain, on the same server`;
  return section("Bytes", textTable(["", "up", "share", "down", "share"], rows), note);
}

function latencySection({ latency, settings }: Report): string {
  if (latency.length === 0) return "";
  const rows = latency.map((row) => [
    `${row.target}: ${MODE_TITLES[row.mode]}`,
    bytesText(row.contextBytes),
    withSpread(row.in),
    withSpread(row.out),
    withSpread(row.tail),
  ]);
  const note = `on loopback, in front of a model that takes no time; medians of ${settings.rounds} rounds ± their middle half`;
  return section("Time added to a turn", textTable(["", "context", "on the way in", "first token", "end"], rows), note);
}

function withSpread(of: Figure): string {
  return `${millisecondsText(of.median)} ± ${(spread(of) * 50).toFixed(0)} %`;
}

function runsSection({ runs, workload, settings }: Report): string {
  if (runs.length === 0) return "";
  const rows = runs.map((row) => {
    const base = runs.find((other) => isSameLink(row, other) && other.target === row.target && other.mode === "full");
    return [
      `${linkText(row.link)}, ${row.target}: ${MODE_TITLES[row.mode]}`,
      `${significant(row.seconds.median)} s ± ${(spread(row.seconds) * 50).toFixed(0)} %`,
      base === undefined ? "" : significant(row.seconds.median / base.seconds.median),
      `${significant(row.modelSeconds)} s`,
      row.cachedTokens === 0 ? "" : percentText(row.cachedTokens / row.promptTokens),
    ];
  });
  const note = `${workload.id}, ${workload.turns} turns, end to end; ratios are to stateless HTTP on the same server and link`;
  const table = textTable(["", "run", "ratio", "of it the model", "tokens cached"], rows);
  const worth = prefixWorth(runs, settings.prefillMsPerToken);
  return section("Whole runs", worth === "" ? table : `${table}\n${worth}`, note);
}

function isSameLink(one: RunRow, other: RunRow): boolean {
  return one.link?.name === other.link?.name;
}

/** What the prefix cache was worth in a run, in words. */
export function prefixWorth(runs: readonly RunRow[], prefillMsPerToken: number): string {
  const run = runs.find(({ mode }) => mode === "websocket") ?? runs[0];
  if (run === undefined || prefillMsPerToken === 0) return "";
  const all = (run.promptTokens * prefillMsPerToken) / 1000;
  const saved = (run.cachedTokens * prefillMsPerToken) / 1000;
  return (
    `Without a prefix cache the model would read ${significant(all)} s a run before its first tokens; ` +
    `the cache saves ${significant(saved)} s of that, in every mode alike.`
  );
}

function loadSection({ load, settings }: Report): string {
  if (load.length === 0) return "";
  const rows = load.map((row) => [
    `${row.target}: ${MODE_TITLES[row.mode]}`,
    significant(row.turnsPerSecond.median),
    significant(row.eventsPerSecond.median),
    row.cpuPer1000Turns === null ? "unknown" : `${significant(row.cpuPer1000Turns.median)} s`,
    significant(row.unfairness),
    significant(row.ownCpu),
  ]);
  const header = ["", "turns/s", "events/s", "CPU / 1,000 turns", "slowest : fastest", "this tool's CPU"];
  const note = `${load[0]?.sessions ?? 0} sessions, each as fast as it can; medians of ${settings.rounds} rounds; near 1, this tool's own CPU is the limit`;
  return section("Many sessions", textTable(header, rows), note);
}

function memorySection({ memory }: Report): string {
  if (memory.length === 0) return "";
  const rows = memory.map(({ target, sessions, contextBytes, bytesPerSession }) => [
    target,
    String(sessions),
    bytesText(contextBytes),
    bytesText(bytesPerSession),
  ]);
  const note = "growth of the resident set while idle WebSocket sessions are opened; their contexts are part of it";
  return section("Memory", textTable(["", "sessions", "context of each", "memory of each"], rows), note);
}

/** What runs would upload, counted without a server. */
export function uploadReport(uploads: readonly Upload[]): string {
  const variants = MODES.flatMap((mode) =>
    [false, true].flatMap((once) => (once && mode === "full" ? [] : [{ mode, once }])),
  ).flatMap(({ mode, once }) => [false, true].map((compress) => ({ mode, once, compress })));
  const totals = variants.map(({ mode, once, compress }) =>
    uploads.reduce((sum, upload) => sum + (variantOf(upload, mode, { once, compress })?.total ?? 0), 0),
  );
  const base = totals[0] ?? 0;
  const rows = variants.map(({ mode, once, compress }, index) => [
    modeName(mode, compress) + (once ? ", instructions and tools once" : ""),
    bytesText(totals[index] ?? 0),
    percentText((totals[index] ?? 0) / base),
    `${significant(((totals[index] ?? 0) * 8) / UPLINK)} s`,
  ]);
  const turns = uploads.reduce((sum, upload) => sum + upload.turns, 0);
  const what = uploads.length === 1 ? (uploads[0]?.id ?? "") : `${uploads.length} runs`;
  const summary = textTable(["", "up", "share", "at 20 Mbit/s"], rows);
  const note = `${what}, ${turns} turns; counted to the byte as a client would write it, without a server`;
  const parts = [section("Upload", summary, note)];
  if (uploads.length > 1) parts.push(section("By run", perRun(uploads)));
  parts.push(styleText("dim", UPLOAD_NOTES));
  return parts.join("\n\n");
}

const UPLINK = 20e6;

const UPLOAD_NOTES = `Shares are of stateless HTTP, plain: the whole conversation again each turn, over one connection that is kept alive.
"Once" leaves instructions and tools out of the turns after the first; the standard does not let a server inherit them,
so that is what an extension would save. Not counted: TLS, what clients add to their headers, and the download, which
depends on the server: measure it with 'turnwire bench --from <file>'.`;

function perRun(uploads: readonly Upload[]): string {
  const rows = uploads.map((upload) => {
    const base = variantOf(upload, "full")?.total ?? 0;
    const share = (mode: Mode, compress: boolean, once = false): string =>
      percentText((variantOf(upload, mode, { compress, once })?.total ?? 0) / base);
    return [
      upload.id.length > 44 ? `${upload.id.slice(0, 43)}…` : upload.id,
      String(upload.turns),
      bytesText(base),
      share("previous", false),
      share("websocket", false),
      share("websocket", true),
      share("websocket", false, true),
    ];
  });
  return textTable(["", "turns", "stateless", "previous id", "WebSocket", "+ deflate", "settings once"], rows);
}
