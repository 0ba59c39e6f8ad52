import fc from "fast-check";
import { expect, test } from "vitest";
import { Bucket } from "../../src/keys/bucket.ts";

const MINUTE = 60_000;

test("a minute's worth is there at once, and then it comes in evenly", () => {
  const bucket = new Bucket(60, 0);
  for (let turn = 0; turn < 60; turn += 1) {
    expect(bucket.wait(1, 0)).toBe(0);
    bucket.take(1, 0);
  }
  expect(bucket.wait(1, 0)).toBe(1000);
  expect(bucket.wait(1, 998)).toBeGreaterThan(0);
  expect(bucket.wait(1, 1000)).toBe(0);
});

test("what is overdrawn is made up for", () => {
  const bucket = new Bucket(600, 0);
  bucket.take(1200, 0);
  expect(bucket.wait(1, 0)).toBe(60_100);
  expect(bucket.wait(1, 60_100)).toBe(0);
});

test("another limit holds at once, and no debt is forgotten for it", () => {
  const bucket = new Bucket(100, 0);
  bucket.resize(10, 0);
  expect(bucket.wait(11, 0)).toBeGreaterThan(0);
  bucket.take(30, 0);
  bucket.resize(1000, 0);
  expect(bucket.wait(1, 0)).toBe(Math.ceil((21 * MINUTE) / 1000));
});

test("one that has come in again is as one that was never used", () => {
  const bucket = new Bucket(7, 0);
  bucket.take(7, 0);
  expect(bucket.isFull(MINUTE - 1)).toBe(false);
  expect(bucket.isFull(MINUTE)).toBe(true);
});

/** Somebody who comes at these times, and takes one whenever there is one. */
function taken(perMinute: number, pauses: readonly number[]): readonly number[] {
  const bucket = new Bucket(perMinute, 0);
  const times: number[] = [];
  let now = 0;
  for (const pause of pauses) {
    now += pause;
    if (bucket.wait(1, now) > 0) continue;
    bucket.take(1, now);
    times.push(now);
  }
  return times;
}

const pauses = fc.array(fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 90_000 })), {
  maxLength: 300,
});

test("in no stretch of time is more let through than a minute's worth and what came in meanwhile", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), pauses, (perMinute, given) => {
      const times = taken(perMinute, given);
      for (const [first, start] of times.entries()) {
        for (let last = first; last < times.length; last += 1) {
          const most = perMinute + ((times[last] ?? 0) - start) * (perMinute / MINUTE);
          if (last - first + 1 > most + 1e-3) return false;
        }
      }
      return true;
    }),
  );
});

test("whoever waits as long as told is let through, and whoever comes a moment earlier is not", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100_000 }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 90_000 }), fc.integer({ min: 0, max: 200_000 })), { maxLength: 50 }),
      (perMinute, uses) => {
        const bucket = new Bucket(perMinute, 0);
        let now = 0;
        for (const [pause, amount] of uses) {
          now += pause;
          bucket.take(amount, now);
          const wait = bucket.wait(1, now);
          if (wait < 2) continue;
          // A millisecond is as fine as it is told.
          expect(bucket.wait(1, now + wait - 2)).toBeGreaterThan(0);
          expect(bucket.wait(1, now + wait)).toBe(0);
          now += wait;
        }
      },
    ),
  );
});
