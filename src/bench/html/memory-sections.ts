import { MEMORY_HEADER, memoryCells } from "../cells.ts";
import { waveGrowth } from "../conclusions.ts";
import { bytesText, roundBytes } from "../format.ts";
import type { Report } from "../report.ts";
import { plots, section, table } from "./page.ts";
import { linePlot } from "./plot.ts";

/** What idle sessions hold, how soon they answer, and what is left of those that have gone. */

export function memorySection({ memory: rows }: Report): string {
  const note =
    "Growth of the server's resident set while idle WebSocket sessions are opened, divided by their number; the context itself is part of it. " +
    `Turns, in front of a model that takes no time: on any of ${rows[0]?.turns.few ?? 0} sessions of a fresh server, then on any of all of them.`;
  return section("Idle sessions", note, table(MEMORY_HEADER, rows.map(memoryCells)));
}

const TONES = ["websocket", "previous", "full", "direct"] as const;

export function wavesSection({ waves: rows }: Report): string {
  const series = rows.map(({ target, before, waves }, index) => ({
    label: rows.length === 1 ? "all open" : target,
    tone: TONES[index % TONES.length] ?? "websocket",
    points: [before, ...waves].map((y, x) => ({ x, y })),
  }));
  const most = Math.max(...rows.map(({ waves }) => waves.length));
  const plot = linePlot({
    title: "Resident memory in each wave",
    xTitle: "wave",
    yTitle: "resident memory",
    xText: (wave) => (wave === 0 ? "before" : String(wave)),
    yText: roundBytes,
    xTicks: Array.from({ length: most + 1 }, (_, wave) => wave),
    hasDots: true,
    series,
  });
  const body = rows.map((row) => [
    row.target,
    bytesText(row.before),
    bytesText(row.waves[0] ?? 0),
    bytesText(row.waves.at(-1) ?? 0),
    `${(waveGrowth(row) * 100).toFixed(1)} %`,
  ]);
  const [first] = rows;
  const note =
    `Resident set of the server while the ${first?.sessions ?? 0} WebSocket sessions of each wave are open, of ${bytesText(first?.contextBytes ?? 0)} of context each; then all are closed. ` +
    "The growth is what each wave after the first adds, as a share of the contexts that it brings: near 0, memory is used again; a server that keeps all of them grows by 100 % and more.";
  const header = ["", "before", "first wave", "last wave", "growth a wave"];
  return section("Waves of sessions", note, plots([["Resident memory", plot]], "one") + table(header, body));
}
