import fc from "fast-check";
import { expect, test } from "vitest";
import { CustomInput } from "../../src/backends/custom-input.ts";

function read(pieces: readonly string[]): string[] {
  const input = new CustomInput();
  return [...pieces.map((piece) => input.push(piece)), input.end()];
}

function cut(text: string, sizes: readonly number[]): string[] {
  const pieces: string[] = [];
  let rest = text;
  for (const size of sizes) {
    pieces.push(rest.slice(0, size));
    rest = rest.slice(size);
  }
  return [...pieces, rest];
}

test("gives the text of the input, however its JSON is cut", () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 7 }), { maxLength: 40 });
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), sizes, fc.boolean(), (text, cuts, escapeAll) => {
      const string = escapeAll
        ? `"${[...Array(text.length).keys()].map((at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`).join("")}"`
        : JSON.stringify(text);
      const pieces = read(cut(` {"input" : ${string} } `, cuts));
      expect(pieces.join("")).toBe(text);
      for (const piece of pieces) expect(piece.isWellFormed()).toBe(true);
    }),
  );
});

test("gives each piece as soon as it is known", () => {
  expect(read(['{"in', 'put":"ab', "c\\", "nd", '"}'])).toEqual(["", "ab", "c", "\nd", "", ""]);
});

test("takes a model that does not keep to the form at its word", () => {
  expect(read(["*** Begin", " Patch"]).join("")).toBe("*** Begin Patch");
  expect(read(['{"patch":', '"x"}']).join("")).toBe('{"patch":"x"}');
  expect(read(['{"other":1,"input":"late"}']).join("")).toBe("late");
  expect(read([]).join("")).toBe("");
});
