import { expect, test } from "vitest";
import { isUnknownChunk, UnknownChunks } from "../../src/backends/unknown-chunks.ts";

test.each([
  [{ choices: [] }, false],
  [{ usage: {} }, false],
  [{ object: "chat.completion.chunk", choices: [], prompt_filter_results: [] }, false],
  [{ output: { text: "hello" } }, true],
  [{ type: "response.output_text.delta", delta: "hello" }, true],
  [{}, true],
])("%j is unknown: %s", (chunk, isUnknown) => {
  expect(isUnknownChunk(chunk)).toBe(isUnknown);
});

test("each kind is reported once, by the names of its fields and without their content", () => {
  const lines: unknown[] = [];
  const log = { warn: (fields: object, message: string) => void lines.push([fields, message]) };
  const chunks = new UnknownChunks();
  chunks.report(["output", "the user said hello"], "m", log);
  chunks.report(["output", "the user said hello"], "m", log);
  chunks.report(["output"], "m", log);
  expect(lines).toEqual([
    [{ model: "m", fields: ["output", "(another)"] }, expect.stringContaining("skipped a chunk")],
    [{ model: "m", fields: ["output"] }, expect.any(String)],
  ]);
});
