import { linearScale, logScale, type Scale } from "./scale.ts";

/** Plots as inline SVG: no script, no library; colours are classes of the page, so that they follow its light or dark. */

export type Series = {
  /** What stands at the end of its line. */
  readonly label: string;
  /** Its colour, as a class of the page. */
  readonly tone: string;
  readonly isDashed?: boolean;
  readonly points: readonly Point[];
};

type Point = { readonly x: number; readonly y: number; readonly low?: number; readonly high?: number };

export type LinePlot = {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly xText: (value: number) => string;
  readonly yText: (value: number) => string;
  /** Where the horizontal axis has its marks; without it, evenly spaced ones. */
  readonly xTicks?: readonly number[];
  readonly isXLog?: boolean;
  readonly isYLog?: boolean;
  readonly hasDots?: boolean;
  /** Of the drawing; narrower ones have the same letters. */
  readonly width?: number;
  readonly series: readonly Series[];
};

const WIDTH = 520;
const HEIGHT = 330;
const TOP = 34;
const BOTTOM = 46;
const LEFT = 62;
/** Of a letter of a label, on average. */
const LETTER = 7.4;
const LINE = 16;

export function linePlot(plot: LinePlot): string {
  const points = plot.series.flatMap((series) => series.points);
  const xs = points.map(({ x }) => x);
  const ys = points.flatMap(({ y, low = y, high = y }) => [low, y, high]);
  const width = plot.width ?? WIDTH;
  const right = width - 14 - LETTER * Math.max(...plot.series.map(({ label }) => label.length));
  const bottom = HEIGHT - BOTTOM;
  const x = plot.isXLog
    ? logScale(Math.min(...xs), Math.max(...xs), LEFT, right)
    : linearScale(Math.max(...xs), LEFT, right);
  const y = plot.isYLog
    ? logScale(Math.min(...ys), Math.max(...ys), bottom, TOP)
    : linearScale(Math.max(...ys), bottom, TOP);
  const end = Math.max(...xs);
  const labels = spread(
    plot.series.map((series) => ({ series, y: y.place(series.points.at(-1)?.y ?? 0) })),
    TOP,
    bottom,
  );
  return svg(width, HEIGHT, plot.title, [
    text(0, 14, plot.yTitle, "axis"),
    ...horizontals(y, plot.yText, right),
    ...(plot.xTicks ?? x.ticks)
      .filter((tick) => tick <= end * 1.001)
      .map((tick) => text(x.place(tick), bottom + 18, plot.xText(tick), "tick middle")),
    text((LEFT + right) / 2, HEIGHT - 4, plot.xTitle, "axis middle"),
    ...plot.series.map((series) => line(series, x, y, plot.hasDots ?? false)),
    ...labels.map(({ series, y: at }) => text(x.place(end) + 9, at + 4, series.label, `label ${series.tone}`)),
  ]);
}

function horizontals(y: Scale, yText: (value: number) => string, right: number): readonly string[] {
  return y.ticks.map((tick) => {
    const at = round(y.place(tick));
    return `<line class="grid" x1="${LEFT}" x2="${right}" y1="${at}" y2="${at}"/>${text(LEFT - 8, at + 4, yText(tick), "tick end")}`;
  });
}

function line({ points, tone, isDashed = false }: Series, x: Scale, y: Scale, hasDots: boolean): string {
  const path = points.map((point) => `${round(x.place(point.x))},${round(y.place(point.y))}`).join(" ");
  const dots = points.map((point) => {
    const at = round(x.place(point.x));
    const { low = point.y, high = point.y } = point;
    const bar = `<line class="bar ${tone}" x1="${at}" x2="${at}" y1="${round(y.place(low))}" y2="${round(y.place(high))}"/>`;
    return `${bar}<circle class="${tone}" cx="${at}" cy="${round(y.place(point.y))}" r="3"/>`;
  });
  const dash = isDashed ? " dashed" : "";
  return `<polyline class="line ${tone}${dash}" points="${path}"/>${hasDots ? dots.join("") : ""}`;
}

/** Labels that would lie on each other, moved apart as little as it takes. */
function spread<T extends { readonly y: number }>(labels: readonly T[], top: number, bottom: number): readonly T[] {
  const placed = labels.toSorted((one, other) => one.y - other.y).map((label) => ({ ...label }));
  for (let index = 1; index < placed.length; index += 1) {
    const [above, label] = [placed[index - 1], placed[index]];
    if (above && label) placed[index] = { ...label, y: Math.max(label.y, above.y + LINE) };
  }
  const last = placed.at(-1);
  if (last === undefined || last.y <= bottom) return placed;
  placed[placed.length - 1] = { ...last, y: bottom };
  for (let index = placed.length - 2; index >= 0; index -= 1) {
    const [label, below] = [placed[index], placed[index + 1]];
    if (label && below) placed[index] = { ...label, y: Math.max(top, Math.min(label.y, below.y - LINE)) };
  }
  return placed;
}

type Bar = {
  readonly label: string;
  readonly tone: string;
  readonly value: number;
  /** The part of it that is drawn lighter. */
  readonly part?: number;
  readonly text: string;
};

export type BarPlot = {
  readonly title: string;
  readonly groups: readonly { readonly title: string; readonly bars: readonly Bar[] }[];
};

const ROW = 27;
const GROUP = 30;

/** Bars that lie, in groups; every group has a scale of its own, since only its own bars are to be compared. */
export function barPlot({ title, groups }: BarPlot): string {
  const marks: string[] = [];
  let at = 0;
  const labels = groups.flatMap(({ bars }) => bars.map(({ label }) => label.length));
  const left = 14 + LETTER * Math.max(...labels);
  const room = WIDTH - left - 92;
  for (const group of groups) {
    at += GROUP;
    marks.push(text(0, at - 9, group.title, "axis"));
    const highest = Math.max(...group.bars.map(({ value }) => value));
    for (const { label, tone, value, part = 0, text: says } of group.bars) {
      const width = round((value / highest) * room);
      const share = round((Math.min(part, value) / highest) * room);
      marks.push(
        text(left - 8, at + 16, label, "tick end"),
        `<rect class="fill ${tone}" x="${left}" y="${at + 3}" width="${width}" height="18" rx="3"/>`,
        share > 0.5 ? `<rect class="model" x="${left}" y="${at + 3}" width="${share}" height="18" rx="3"/>` : "",
        text(left + width + 7, at + 16, says, `label ${tone}`),
      );
      at += ROW;
    }
  }
  return svg(WIDTH, at + 6, title, marks);
}

function svg(width: number, height: number, title: string, marks: readonly string[]): string {
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">${marks.join("")}</svg>`;
}

function text(x: number, y: number, content: string, kind: string): string {
  return `<text class="${kind}" x="${round(x)}" y="${round(y)}">${escape(content)}</text>`;
}

export function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
