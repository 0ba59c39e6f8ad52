import { describe, expect, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import { makeEngine, turn } from "./harness.ts";

const tool = (name: string) => ({ type: "function", name, description: null, parameters: null, strict: null });
const added = (...names: readonly string[]) => ({
  type: "additional_tools",
  role: "developer",
  tools: names.map(tool),
});
const update = (fields: object) => ({ type: "configuration_update", ...fields });
const user = (content: string) => ({ type: "message", role: "user", content });

/** Runs turns one after another, each on top of the one before unless it says otherwise; gives what the model got. */
async function run(...requests: readonly object[]) {
  const { open, scripted } = makeEngine({ steps: requests.map(() => answer("ok")) });
  const session = open();
  for (const [index, request] of requests.entries()) {
    const previous = index === 0 ? {} : { previous_response_id: `resp_${index}` };
    await turn(session, { store: false, ...previous, ...request }).response();
  }
  return scripted.calls.map(({ settings }) => settings);
}

const namesOf = (settings: { readonly tools: readonly { readonly [field: string]: unknown }[] }) =>
  settings.tools.map(({ name }) => name);

describe("tools that an item adds", () => {
  test("can be called in its own turn and in all that continue it", async () => {
    const seen = await run(
      { input: [added("a"), user("1")] },
      { input: [user("2")] },
      { input: [added("b"), user("3")] },
    );
    expect(seen.map(namesOf)).toEqual([["a"], ["a"], ["a", "b"]]);
  });

  test("stand behind those of the request, which are not inherited", async () => {
    const seen = await run(
      { tools: [tool("own")], input: [added("a"), user("1")] },
      { tools: [tool("own")], input: [user("2")] },
      { input: [user("3")] },
    );
    expect(seen.map(namesOf)).toEqual([["own", "a"], ["own", "a"], ["a"]]);
  });

  test("are not known to a fork that begins before them", async () => {
    const seen = await run(
      { input: [user("root")] },
      { input: [added("a"), user("left")] },
      { input: [added("b"), user("right")], previous_response_id: "resp_1" },
      { input: [user("left again")], previous_response_id: "resp_2" },
      { input: [user("right again")], previous_response_id: "resp_3" },
    );
    expect(seen.map(namesOf)).toEqual([[], ["a"], ["b"], ["a"], ["b"]]);
  });

  test("are one list for as long as they stay the same, so that what is made of them is made once", async () => {
    const seen = await run(
      { tools: [tool("own")], input: [added("a"), user("1")] },
      ...["2", "3", "4"].map((text) => ({ tools: [tool("own")], input: [user(text)] })),
    );
    expect(new Set(seen.map(({ tools }) => tools)).size).toBe(1);
    const alone = await run({ input: [added("a"), user("1")] }, { input: [user("2")] });
    expect(new Set(alone.map(({ tools }) => tools)).size).toBe(1);
  });

  test("come in a warm-up too, and from the store on another connection", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("ok"), answer("ok")] });
    await turn(open(), { input: [added("a")], generate: false }).response();
    await turn(open(), { input: [user("1")], previous_response_id: "resp_1" }).response();
    await turn(open(), { input: [user("2")], previous_response_id: "resp_2" }).response();
    expect(scripted.prefills.map(({ settings }) => namesOf(settings))).toEqual([["a"]]);
    expect(scripted.calls.map(({ settings }) => namesOf(settings))).toEqual([["a"], ["a"]]);
  });

  test("are not shown as tools of the response", async () => {
    const { open } = makeEngine({ steps: [answer("ok")] });
    const response = await turn(open(), { tools: [tool("own")], input: [added("a"), user("1")] }).response();
    expect(response.tools).toEqual([tool("own")]);
  });
});

describe("settings that an item changes", () => {
  const schema = { type: "json_schema", name: "s", schema: { type: "object" } };

  test("are in force from its own turn on, over what requests say, until they change again", async () => {
    const seen = await run(
      { reasoning: { effort: "low" }, input: [user("1")] },
      { reasoning: { effort: "low", summary: "auto" }, input: [update({ reasoning: { effort: "high" } }), user("2")] },
      { reasoning: { effort: "low" }, input: [user("3")] },
      { input: [update({ reasoning: { effort: null } }), user("4")] },
      { input: [update({ reasoning: { effort: "none" } }), update({ reasoning: { effort: "medium" } }), user("5")] },
    );
    const rest = { context: null, mode: null };
    expect(seen.map(({ reasoning }) => reasoning)).toEqual([
      { ...rest, effort: "low", summary: null },
      { ...rest, effort: "high", summary: "auto" },
      { ...rest, effort: "high", summary: null },
      { ...rest, effort: null, summary: null },
      { ...rest, effort: "medium", summary: null },
    ]);
  });

  test("leave alone what they do not name, and the verbosity of the text", async () => {
    const seen = await run(
      { text: { verbosity: "low" }, input: [update({ text: { format: schema } }), user("1")] },
      { text: { verbosity: "high" }, input: [update({ reasoning: { effort: "high" } }), user("2")] },
      { input: [update({ text: { format: { type: "text" } } }), user("3")] },
    );
    expect(seen.map(({ text, reasoning }) => [text, reasoning?.effort ?? null])).toEqual([
      [{ format: schema, verbosity: "low" }, null],
      [{ format: schema, verbosity: "high" }, "high"],
      [{ format: { type: "text" }, verbosity: null }, "high"],
    ]);
  });
});
