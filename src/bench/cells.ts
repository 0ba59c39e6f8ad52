import { cacheSeconds, directOf, statelessOf } from "./conclusions.ts";
import { bytesText, linkText, millisecondsText, percentText, significant } from "./format.ts";
import type { BytesRow, LoadRow, MemoryRow, Report, RunRow, TurnTimes } from "./report.ts";
import { wayTitle } from "./requests.ts";
import { spread } from "./statistics.ts";

/** Rows of a report as the cells of a table, the same for the terminal and for the page. */

type Cells = readonly string[];

function titleOf({ target, mode, compress }: Pick<RunRow, "target" | "mode" | "compress">): string {
  return `${target}: ${wayTitle(mode, compress)}`;
}

export function bytesCells(row: BytesRow, rows: readonly BytesRow[]): Cells {
  const base = statelessOf(rows, row);
  return [titleOf(row), bytesText(row.up), share(row.up, base?.up), bytesText(row.down), share(row.down, base?.down)];
}

function share(value: number, of: number | undefined): string {
  return of === undefined ? "" : percentText(value / of);
}

/** The runs over one link; what the cache did stands only where it did anything. */
export function runTable(link: string, { runs, settings }: Report): { readonly header: Cells; readonly rows: Cells[] } {
  const own = runs.filter((row) => linkText(row.link) === link);
  const cache = runs.some(({ cachedTokens }) => cachedTokens > 0) ? ["cached", "cache saves"] : [];
  return {
    header: ["run", "to stateless", "to direct", "of it the model", "the rest", ...cache],
    rows: own.map((row) => runCells(row, own, settings)),
  };
}

function runCells(row: RunRow, rows: readonly RunRow[], settings: Report["settings"]): Cells {
  const ratio = (other: RunRow | undefined): string =>
    other === undefined ? "" : significant(row.seconds.median / other.seconds.median);
  return [
    titleOf(row),
    `${significant(row.seconds.median)} s ± ${(spread(row.seconds) * 50).toFixed(0)} %`,
    ratio(statelessOf(rows, row)),
    ratio(directOf(rows, row)),
    `${significant(row.modelSeconds)} s`,
    `${significant(row.seconds.median - row.modelSeconds)} s`,
    ...(row.cachedTokens === 0
      ? []
      : [percentText(row.cachedTokens / row.promptTokens), `${significant(cacheSeconds(row, settings))} s`]),
  ];
}

export function loadCells(row: LoadRow): Cells {
  return [
    titleOf(row),
    significant(row.turnsPerSecond.median),
    significant(row.eventsPerSecond.median),
    row.cpuPer1000Turns === null ? "–" : `${significant(row.cpuPer1000Turns.median)} s`,
    significant(row.unfairness),
    significant(row.ownCpu),
  ];
}

export const MEMORY_HEADER: Cells = [
  "",
  "sessions",
  "context of each",
  "memory of each",
  "turn when fresh",
  "turn among all",
];

export function memoryCells({ target, sessions, contextBytes, bytesPerSession, turns }: MemoryRow): Cells {
  return [
    target,
    String(sessions),
    bytesText(contextBytes),
    bytesText(bytesPerSession),
    timesText(turns.fresh),
    timesText(turns.among),
  ];
}

function timesText({ median, p99 }: TurnTimes): string {
  return `${millisecondsText(median)}, 99th ${millisecondsText(p99)}`;
}
