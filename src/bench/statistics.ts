/** A figure from several rounds. */
export type Figure = {
  readonly median: number;
  /** The middle half of the values. */
  readonly low: number;
  readonly high: number;
  readonly rounds: number;
};

/** The value below which this share (0 to 1) of the values lies, between neighbours in proportion. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function figure(values: readonly number[]): Figure {
  return { median: median(values), low: quantile(values, 0.25), high: quantile(values, 0.75), rounds: values.length };
}

/** The middle half's width as a share of the median: 0.1 is a spread of ten percent. */
export function spread({ median: middle, low, high }: Figure): number {
  return middle === 0 ? 0 : (high - low) / middle;
}

/** The slope of the line through these points that has the least squares. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const variance = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return variance === 0 ? 0 : covariance / variance;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The sums up to each of the values. */
export function cumulative(values: readonly number[]): readonly number[] {
  let sum = 0;
  return values.map((value) => (sum += value));
}
