import { describe, expect, test } from "vitest";
import { generate, SHAPES, type Shape } from "../../src/bench/generate.ts";
import type { Item } from "../../src/protocol/items.ts";
import { contextBytes, firstTurns, marked } from "../../src/bench/recording.ts";

const shapes = Object.keys(SHAPES) as Shape[];

function callsOf(items: readonly Item[], type: string): readonly unknown[] {
  return items.filter((item) => item.type === type).map((item) => item["call_id"]);
}

/** Bytes of context, over all turns of a few seeds. */
function average(shape: Shape): number {
  const sizes = [1, 2, 3, 4].flatMap((seed) => contextBytes(generate(shape, seed)));
  return sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
}

describe.each(shapes)("a generated %s run", (shape) => {
  test("is the same for the same seed, and another for another", () => {
    expect(generate(shape, 7)).toEqual(generate(shape, 7));
    expect(generate(shape, 8)).not.toEqual(generate(shape, 7));
  });

  test("answers every call in the turn after it, and nothing else", () => {
    const { turns } = generate(shape, 3);
    for (const [index, { output }] of turns.entries()) {
      const next = turns[index + 1]?.input ?? [];
      expect(callsOf(next, "function_call_output")).toEqual(callsOf(output, "function_call"));
    }
  });

  test("brings something new in every turn, and its context only grows", () => {
    const run = generate(shape, 5);
    expect(run.turns).toHaveLength(SHAPES[shape].turns);
    expect(run.turns.every(({ input, output }) => input.length > 0 && output.length > 0)).toBe(true);
    const sizes = contextBytes(run);
    expect(sizes).toEqual(sizes.toSorted((one, other) => one - other));
  });
});

test("the sizes are those that the shapes promise, within the luck of a seed", () => {
  expect(average("coding")).toBeGreaterThan(60_000);
  expect(average("coding")).toBeLessThan(180_000);
  expect(average("service")).toBeLessThan(30_000);
  expect(average("browsing")).toBeGreaterThan(500_000);
});

test("a recording can be cut short", () => {
  const run = generate("coding", 1);
  expect(firstTurns(run, 3).turns).toEqual(run.turns.slice(0, 3));
  expect(firstTurns(run, 1000)).toBe(run);
});

test("a marker stands behind the first prompt, and nothing else changes", () => {
  const run = generate("service", 1);
  const text = JSON.stringify(marked(run, "[mark]"));
  expect(text.split("[mark]")).toHaveLength(2);
  expect(text.replace("[mark]", "")).toBe(JSON.stringify(run));
});

test("a run without a prompt has its marker in the instructions", () => {
  const run = { ...generate("service", 1), turns: [{ input: [], output: [] }] };
  expect(marked(run, "[mark]").instructions).toBe(`${run.instructions}[mark]`);
});
