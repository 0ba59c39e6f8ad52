import { expect, test } from "vitest";
import { readModelList } from "../../src/backends/model-list.ts";

test.each<[unknown, readonly string[]]>([
  [{ object: "list", data: [{ id: "a" }, { id: "b" }] }, ["a", "b"]],
  [{ data: [{ id: "a" }, null, {}, { id: null }, { id: "a" }] }, ["a"]],
  [
    ["a", "b"],
    ["a", "b"],
  ],
  [[{ id: "a" }, null], ["a"]],
  [{ data: ["a", ""] }, ["a"]],
  [{ models: [{ name: "qwen3:8b", model: "qwen3:8b" }] }, ["qwen3:8b"]],
  [{ object: "list", data: null }, []],
  [{ data: { models: ["a"] } }, ["a"]],
])("reads the names of %j", (list, names) => {
  expect(readModelList(JSON.stringify(list))).toEqual(names);
});

test.each(["<html>", "17", '{"error":"no"}', '"a"'])("is no list of models: %s", (text) => {
  expect(() => readModelList(text)).toThrow("not a list of models");
});
