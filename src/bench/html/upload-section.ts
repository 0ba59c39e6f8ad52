import { bytesText, percentText, roundBytes } from "../format.ts";
import { MODES, wayLabel, wayTitle } from "../requests.ts";
import { cumulative } from "../statistics.ts";
import { type Upload, variantOf } from "../upload.ts";
import { plots, section, table } from "./page.ts";
import { linePlot, type Series } from "./plot.ts";

/** What a run uploads, counted without a server. */
export function uploadSection([upload]: readonly Upload[]): string {
  if (upload === undefined) return "";
  const series = (of: (perTurn: readonly number[]) => readonly number[]): readonly Series[] =>
    MODES.flatMap((mode) => [false, true].map((compress) => ({ mode, compress })))
      .filter(({ mode, compress }) => mode !== "previous" || !compress)
      .map(({ mode, compress }) => ({
        label: wayLabel(mode, compress),
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
    wayTitle(mode, compress) + (once ? ", instructions and tools once" : ""),
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
