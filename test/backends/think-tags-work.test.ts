import { afterEach, expect, test, vi } from "vitest";
import { ThinkTags } from "../../src/backends/think-tags.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** Characters that are looked at while so many pieces of white space arrive. */
function lookedAt(first: string, pieces: number): number {
  let characters = 0;
  for (const name of ["trim", "trimStart", "trimEnd"] as const) {
    const original = String.prototype[name];
    vi.spyOn(String.prototype, name).mockImplementation(function (this: string) {
      characters += this.length;
      return original.call(this);
    });
  }
  const tags = new ThinkTags("auto");
  tags.push(first);
  for (let count = 0; count < pieces; count += 1) tags.push(" \n");
  vi.restoreAllMocks();
  return characters;
}

test.each(["", " ", "<think>", "<think>thought"])("white space after %j costs linear work", (first) => {
  expect(lookedAt(first, 400)).toBeLessThan(2.5 * lookedAt(first, 200));
});

test("white space that was held comes with the text behind it", () => {
  const tags = new ThinkTags("auto");
  const said = ["<think>", "a", " ", "\n", "b", "</think>", "c"].flatMap((piece) => tags.push(piece));
  expect(said.map(({ text }) => text).join("|")).toBe("a| \nb|c");
});
