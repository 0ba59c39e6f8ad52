import { expect, test } from "vitest";
import { figure, median, quantile, slope, spread } from "../../src/bench/statistics.ts";

test("a median lies between its neighbours when their number is even", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
});

test("a quantile does not depend on the order of the values", () => {
  expect(quantile([50, 10, 40, 20, 30], 0)).toBe(10);
  expect(quantile([50, 10, 40, 20, 30], 0.99)).toBeCloseTo(49.6);
  expect(quantile([50, 10, 40, 20, 30], 1)).toBe(50);
});

test("a spread is the middle half of the values, so one wild round does not show", () => {
  const calm = figure([10, 10, 11, 10, 9, 10, 11, 9]);
  const wild = figure([10, 10, 11, 10, 9, 10, 11, 1000]);
  expect(spread(calm)).toBeCloseTo(0.05);
  expect(spread(wild)).toBeLessThan(0.15);
  expect(wild.median).toBe(10);
});

test("a slope is that of the nearest line", () => {
  expect(
    slope([
      [0, 1],
      [1, 3],
      [2, 5],
    ]),
  ).toBe(2); // prettier-ignore
  expect(
    slope([
      [0, 0],
      [1, 2],
      [2, 1],
      [3, 3],
    ]),
  ).toBeCloseTo(0.8); // prettier-ignore
  expect(
    slope([
      [1, 1],
      [1, 2],
    ]),
  ).toBe(0); // prettier-ignore
});
