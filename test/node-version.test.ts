import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { wrongNode } from "../src/node-version.ts";

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");

test.each(["20.19.0", "22.12.9"])("%s is too old, in words", (version) => {
  expect(wrongNode(version)).toBe(`turnwire needs Node.js 22.13 or later; this is ${version}.`);
});

test.each(["22.13.0", "24.0.0", "26.1.0"])("%s will do", (version) => {
  expect(wrongNode(version)).toBe(null);
});

test("the command line, the library and the package agree on the oldest version", () => {
  expect(read("../package.json")).toContain('"node": ">=22.13"');
  expect(read("../src/cli/main.ts")).toContain("major < 22 || (major === 22 && minor < 13)");
});
