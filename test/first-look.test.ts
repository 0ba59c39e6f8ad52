import { expect, test } from "vitest";
import { lookAt } from "../src/first-look.ts";
import { ApiError } from "../src/protocol/errors.ts";

const listing = (...names: readonly string[]) => ({ models: async () => names });
const failing = (error: Error) => ({
  models: async (): Promise<readonly string[]> => {
    throw error;
  },
});

test.each([
  [listing("a", "b", "c"), true, "http://m/v1 answers, 3 models: a, b, c"],
  [listing("a"), true, "answers, 1 model: a"],
  [listing("a", "b", "c", "d", "e", "f", "g", "h", "i", "j"), true, "10 models: a, b, c, d, e, f, g, h and 2 more"],
  [listing(), false, "answers, and lists no models"],
  [failing(new ApiError("invalid_prompt", "It has nothing at http://m/models.")), false, "nothing at http://m/models"],
  [failing(Object.assign(new Error("x"), { code: "ECONNREFUSED" })), false, "connection refused"],
  [failing(Object.assign(new Error("x"), { code: "ENOTFOUND" })), false, "its name is not known"],
])("says in a sentence what a first look found: %#", async (backend, isWell, words) => {
  const look = await lookAt(backend, "http://m/v1");
  expect(look.isWell).toBe(isWell);
  expect(look.text).toContain(words);
});
