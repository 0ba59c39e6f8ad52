import { describe, expect, test } from "vitest";
import { withModel } from "../../src/core/sole-model.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { answer } from "../../src/testing/index.ts";
import { makeEngine, turn } from "./harness.ts";

const models = (names: readonly string[] | Error, fallback: string | null = null) => ({
  resolve: () => Promise.reject(new Error("unused")),
  list: () => (names instanceof Error ? Promise.reject(names) : Promise.resolve(names)),
  fallback,
});
const unnamed = parseCreateRequest({ input: "Hi" });
const only = { allowsModel: (name: string) => name === "b" };

describe("a request without a model", () => {
  test.each([
    ["the only one", models(["a"]), undefined, "a"],
    ["the one that stands in for others", models(["a", "b"], "b"), undefined, "b"],
    ["the only one that its key allows", models(["a", "b"]), only, "b"],
  ] as const)("means %s", async (_, served, permit, model) => {
    expect(await withModel(unnamed, served, permit)).toEqual({ ...unnamed, model });
  });

  test.each([
    ["where there are several, which are named", models(["a", "b"]), undefined, "This server has a, b."],
    ["where there is none", models([]), undefined, "'model'."],
    ["where the model server lists none", models(new Error("down")), undefined, "'model'."],
    ["where its key allows none", models(["a"]), only, "'model'."],
  ] as const)("is refused %s", async (_, served, permit, words) => {
    const refused = withModel(unnamed, served, permit);
    await expect(refused).rejects.toMatchObject({ code: "missing_required_parameter", param: "model" });
    await expect(refused).rejects.toThrow(words);
  });

  test("runs, and its response says which model that was; null is the same", async () => {
    const { open } = makeEngine({ steps: [answer("a"), answer("b")] });
    const session = open();
    for (const model of [undefined, null]) expect((await turn(session, { model }).response()).model).toBe("m");
  });
});
