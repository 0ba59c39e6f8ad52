import { linkText, millisecondsText, percentText, significant } from "./format.ts";
import type { LatencyRow, Report, RunRow, WavesRow } from "./report.ts";
import { wayLabel, wayTitle } from "./requests.ts";
import { slope } from "./statistics.ts";

/** What the rows of a report say together, for the terminal and for the page. */

type Of = Pick<RunRow, "target" | "mode"> & { readonly compress?: boolean; readonly link?: RunRow["link"] };

/** The row that the shares of another are of: stateless HTTP, plain, on the same server and link. */
export function statelessOf<Row extends Of>(rows: readonly Row[], row: Row): Row | undefined {
  return rows.find(
    (other) =>
      other.target === row.target && other.mode === "full" && other.compress !== true && isSameLink(row, other),
  );
}

/** The same run straight to the model, on the same link. */
export function directOf<Row extends Of>(rows: readonly Row[], row: Row): Row | undefined {
  return rows.find((other) => other.mode === "direct" && isSameLink(row, other));
}

function isSameLink(one: Of, other: Of): boolean {
  return one.link?.name === other.link?.name;
}

/** With a model that takes time: what is left of the gain, and what of it remains beside the model. */
export function gainLines({ runs, settings }: Report): readonly string[] {
  if (settings.ttftMs === 0 && settings.tokensPerSecond === 0 && settings.prefillMsPerToken === 0) return [];
  return runs
    .filter(({ mode }) => mode === "websocket")
    .flatMap((row) => {
      const base = statelessOf(runs, row);
      if (base === undefined) return [];
      const saved = base.seconds.median - row.seconds.median;
      const [rest, restBefore] = [row, base].map(({ seconds, modelSeconds }) => seconds.median - modelSeconds);
      const changes = saved < 0 ? "adds" : "saves";
      return [
        `${linkText(row.link)}, ${row.target}: ${wayTitle(row.mode, row.compress)} ${changes} ` +
          `${significant(Math.abs(saved))} s ${saved < 0 ? "to" : "of"} the ${significant(base.seconds.median)} s of stateless HTTP ` +
          `(${percentText(Math.abs(saved) / base.seconds.median)}). Without the model's time it is ` +
          `${significant(rest ?? 0)} s instead of ${significant(restBefore ?? 0)} s.`,
      ];
    });
}

/** Seconds of a run that the model did not have to read again. */
export function cacheSeconds({ cachedTokens }: RunRow, { prefillMsPerToken }: Report["settings"]): number {
  return (cachedTokens * prefillMsPerToken) / 1000;
}

/** What the prefix cache was worth in a run, in words. */
export function prefixWorth({ runs, settings }: Report): string {
  if (runs.length === 0 || settings.prefillMsPerToken === 0) return "";
  const saved = runs.map((row) => cacheSeconds(row, settings)).toSorted((one, other) => one - other);
  const read = runs.map(({ promptTokens }) => promptTokens).toSorted((one, other) => one - other);
  const [least = 0, most = 0] = [saved[0], saved.at(-1)];
  const all = ((read.at(-1) ?? 0) * settings.prefillMsPerToken) / 1000;
  const isAlike = most - least <= 0.01 * most;
  return (
    `Without a prefix cache the model would read ${significant(all)} s a run before its first tokens; ` +
    (isAlike
      ? `the cache saves ${significant(most)} s of that, in every mode alike: deltas neither add to it nor take from it.`
      : `the cache saves ${significant(least)} to ${significant(most)} s of that: not every row shows the model the same prefixes.`) +
    " It is empty at the start of each run."
  );
}

/** Milliseconds a megabyte; less is lost in the noise of every machine. */
const SMALLEST_GROWTH = 0.2;

/** How the way in grows with the context, for every row that has several sizes. */
export function growthLine(latency: readonly LatencyRow[]): string {
  const kinds = [...new Set(latency.map(({ target, mode }) => JSON.stringify([target, mode])))];
  const growths = kinds.flatMap((kind) => {
    const rows = latency.filter(({ target, mode }) => JSON.stringify([target, mode]) === kind);
    const [first] = rows;
    if (first === undefined || rows.length < 2) return [];
    const perMegabyte = slope(rows.map((row) => [row.contextBytes / 1e6, row.in.median]));
    const grows = perMegabyte < SMALLEST_GROWTH ? `under ${SMALLEST_GROWTH} ms` : millisecondsText(perMegabyte);
    return [`${first.mode === "direct" ? "" : `${first.target}, `}${wayLabel(first.mode)} ${grows}`];
  });
  return growths.length === 0 ? "" : `A further megabyte of context adds on the way in: ${growths.join("; ")}.`;
}

/** What each wave after the first adds to the memory of open sessions, as a share of the contexts that it brings. */
export function waveGrowth({ waves, sessions, contextBytes }: WavesRow): number {
  return slope(waves.slice(1).map((bytes, index) => [index, bytes])) / (sessions * contextBytes);
}
