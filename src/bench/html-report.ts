import { statelessOf } from "./conclusions.ts";
import { bytesText, linkText, millisecondsText, percentText, significant } from "./format.ts";
import { memorySection, wavesSection } from "./html/memory-sections.ts";
import { list, page, section, table, tiles } from "./html/page.ts";
import { bytesSection, latencySection, loadSection, runsSection } from "./html/turn-sections.ts";
import { uploadSection } from "./html/upload-section.ts";
import type { Report } from "./report.ts";
import { type Mode, wayTitle } from "./requests.ts";
import { type Upload, variantOf } from "./upload.ts";

/** A report as one page with plots, which a colleague can be shown. */

export function reportPage(report: Report): string {
  const { targets, workload, machine } = report;
  const names = targets.map(({ name }) => name).join(" and ");
  const lead =
    `${names}, measured with a run of ${workload.turns} turns (${workload.id}) whose context grows to ` +
    `${bytesText(workload.contextBytes.at(-1) ?? 0)}, with ${bytesText(workload.settingsBytes)} of instructions and tools.`;
  const sections = [
    tiles(headline(report)),
    ...(report.bytes.length === 0 ? [] : [uploadSection(report.uploads), bytesSection(report)]),
    ...(report.latency.length === 0 ? [] : [latencySection(report)]),
    ...(report.runs.length === 0 ? [] : [runsSection(report)]),
    ...(report.load.length === 0 ? [] : [loadSection(report)]),
    ...(report.memory.length === 0 ? [] : [memorySection(report)]),
    ...(report.waves.length === 0 ? [] : [wavesSection(report)]),
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
    ...(longest === undefined ? [] : [uploadSection([longest])]),
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
  const last = all.findLast(({ mode, target: name }) => mode === "websocket" && name === target?.name)?.link;
  const run = all
    .filter(({ mode, target: name, link }) => mode === "websocket" && name === target?.name && link === last)
    .toSorted((one, another) => one.seconds.median - another.seconds.median)[0];
  const other = run && statelessOf(all, run);
  if (run && other) {
    const what = `for the whole run over ${linkText(run.link)} (${wayTitle(run.mode, run.compress)}); stateless HTTP takes ${significant(other.seconds.median)} s`;
    figures.push({ value: `${significant(run.seconds.median)} s`, what, tone: "websocket" });
  }
  const busy = loads.find(({ mode, target: name }) => mode === "websocket" && name === target?.name);
  if (busy?.cpuPer1000Turns) {
    const what = `of the server's CPU for 1,000 turns over WebSocket, ${busy.sessions} sessions at once`;
    figures.push({ value: `${significant(busy.cpuPer1000Turns.median)} s`, what, tone: "websocket" });
  }
  return figures;
}
