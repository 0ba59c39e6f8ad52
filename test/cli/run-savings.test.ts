import { expect, test } from "vitest";
import { Savings } from "../../src/cli/run-savings.ts";
import type { TurnReport } from "../../src/core/ports.ts";

const REPORT = { outcome: "completed", previousResponseId: null, bytesIn: 0, usage: null } as const;

function lineOf(...turns: readonly (Partial<TurnReport> & { readonly tokens?: number })[]): string | null {
  const savings = new Savings();
  for (const { tokens, ...turn } of turns) {
    const usage = tokens === undefined ? null : { input_tokens: tokens };
    savings.observe({ kind: "turn.ended", ...REPORT, usage, ...turn } as never);
  }
  return savings.line;
}

test("compares what was sent with the contexts of the turns", () => {
  const turns = [
    { bytesIn: 4000, tokens: 1000 },
    { bytesIn: 400, tokens: 1100, previousResponseId: "resp_1" },
    { bytesIn: 400, tokens: 1200, previousResponseId: "resp_2" },
  ];
  expect(lineOf(...turns)).toBe(
    "3 turns, 4.8 kB sent; without continuation it would have been about 13.2 kB: 64 % saved",
  );
});

test("says so when nothing was saved, when that is not known, and nothing when nothing ran", () => {
  expect(lineOf({ bytesIn: 2000, tokens: 500 })).toBe(
    "1 turn, 2.0 kB sent; every request brought its whole context, so nothing was saved",
  );
  expect(lineOf({ bytesIn: 2000 }, { bytesIn: 100, previousResponseId: "resp_1" })).toContain("is not known");
  expect(lineOf()).toBe(null);
  expect(lineOf({ outcome: "refused", bytesIn: 5 })).toBe(null);
});
