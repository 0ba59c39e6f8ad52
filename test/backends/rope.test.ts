import fc from "fast-check";
import { expect, test } from "vitest";
import { Rope } from "../../src/backends/rope.ts";

const textOf = (rope: Rope): string => Buffer.concat(rope.pieces()).toString("utf8");

test("appending gives the text of both, whatever was appended to older ends meanwhile", () => {
  const plan = fc.array(fc.record({ at: fc.nat(), text: fc.string({ unit: "binary", maxLength: 5000 }) }), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(plan, (steps) => {
      const ropes = [{ rope: Rope.empty, text: "" }];
      for (const step of steps) {
        const base = ropes[step.at % ropes.length] ?? { rope: Rope.empty, text: "" };
        ropes.push({ rope: base.rope.append(step.text), text: base.text + step.text });
      }
      for (const { rope, text } of ropes) {
        // Lone surrogates have no UTF-8 form; they become replacement characters on both sides.
        expect(textOf(rope)).toBe(Buffer.from(text).toString("utf8"));
      }
    }),
    { numRuns: 60 },
  );
});

test("a long chain of small appends is a few large pieces", () => {
  let rope = Rope.empty;
  for (let count = 0; count < 10_000; count += 1)
    rope = rope.append(`message ${count}, some text that makes it longer. `);
  expect(rope.length).toBeGreaterThan(400_000);
  expect(rope.pieces().length).toBeLessThan(40);
});

test("forks share what is before them", () => {
  const trunk = Rope.empty.append("x".repeat(100_000));
  const [left] = trunk.append("left").pieces();
  const [right] = trunk.append("right").pieces();
  expect(left?.buffer).toBe(right?.buffer);
});
