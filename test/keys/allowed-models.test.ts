import fc from "fast-check";
import { expect, test } from "vitest";
import { allowsModel } from "../../src/keys/allowed-models.ts";

test.each([
  ["gpt-5", "gpt-5", true],
  ["gpt-5", "gpt-5.5", false],
  ["gpt-5", "GPT-5", false],
  ["gpt-*", "gpt-5", true],
  ["gpt-*", "gpt-", true],
  ["gpt-*", "my-gpt-5", false],
  ["*", "", true],
  ["*/qwen*", "team/a/qwen3:32b", true],
  ["*-mini", "gpt-5-mini", true],
  ["*-mini", "gpt-5-mini-2", false],
  ["a*b*c", "a-b-b-c", true],
  ["a*b*c", "a-c", false],
  ["gpt.5", "gpt-5", false],
  ["g[p]t", "gpt", false],
])("the pattern %s fits %s: %s", (pattern, model, fits) => {
  expect(allowsModel([pattern], model)).toBe(fits);
});

test("one of several patterns is enough, none allows nothing, and no list allows all", () => {
  expect(allowsModel(["a", "b*"], "bc")).toBe(true);
  expect(allowsModel([], "a")).toBe(false);
  expect(allowsModel(null, "a")).toBe(true);
});

test("it agrees with a regular expression", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 8 });
  const names = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 });
  fc.assert(
    fc.property(letters, names, (pattern, name) => {
      const expression = new RegExp(`^${pattern.replaceAll("*", ".*")}$`);
      expect(allowsModel([pattern], name)).toBe(expression.test(name));
    }),
  );
});

test("a pattern that is all stars takes no time", () => {
  const pattern = `${"*a".repeat(500)}b`;
  expect(allowsModel([pattern], "a".repeat(5000))).toBe(false);
});
