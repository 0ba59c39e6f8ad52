/** From values to places in a plot, and where its lines go. */
export type Scale = {
  readonly place: (value: number) => number;
  readonly ticks: readonly number[];
};

/** Even steps from 0, to a little above the highest value. */
export function linearScale(highest: number, from: number, to: number, count = 4): Scale {
  const step = niceStep(highest / count);
  const top = Math.max(step, Math.ceil(highest / step - 1e-9) * step);
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step);
  return { ticks, place: (value) => from + (value / top) * (to - from) };
}

function niceStep(rough: number): number {
  if (!(rough > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 2.5, 5, 10].find((candidate) => candidate * power >= rough * 0.999) ?? 10;
  return factor * power;
}

/** Powers of ten; where there are few of them, with steps between. */
export function logScale(lowest: number, highest: number, from: number, to: number): Scale {
  const low = Math.max(lowest, 1e-6);
  const high = Math.max(highest, low * 2);
  const decades = Math.log10(high / low);
  const steps = decades < 1.2 ? [1, 2, 5] : decades < 2.6 ? [1, 3] : [1];
  const candidates: number[] = [];
  for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const step of steps) candidates.push(step * 10 ** power);
  }
  const bottom = candidates.findLast((tick) => tick <= low * 1.001) ?? low;
  const top = candidates.find((tick) => tick >= high * 0.999) ?? high;
  const span = Math.log10(top / bottom);
  return {
    ticks: candidates.filter((tick) => tick >= bottom && tick <= top),
    place: (value) => from + (Math.log10(Math.max(value, bottom) / bottom) / span) * (to - from),
  };
}
