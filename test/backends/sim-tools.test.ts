import { describe, expect, test } from "vitest";
import { SimBackend } from "../../src/backends/sim.ts";
import type { ResponseNode } from "../../src/core/node.ts";
import {
  answersTo,
  callsOf,
  clock,
  converse,
  hosted,
  namesOf,
  open,
  shell,
  textOf,
  turn,
  weather,
} from "./sim-conversation.ts";

/** A simulator that calls whatever it is offered. */
const every = (rounds = 3): SimBackend => new SimBackend({ tools: "all", rounds });

describe("tools", () => {
  test("are called for the set number of rounds, in turn, two at once in every second round", async () => {
    const nodes = await converse(every(4), { tools: [weather, clock, shell] });
    expect(nodes.map(namesOf)).toEqual([["weather"], ["clock", "shell"], ["weather"], ["clock", "shell"], []]);
  });

  test("are called in three rounds by default, and in as many after each user message", async () => {
    const backend = every();
    const first = await converse(backend, { tools: [weather] });
    expect(first.map(namesOf)).toEqual([["weather"], ["weather"], ["weather"], []]);
    const parent = first.at(-1) as ResponseNode;
    expect(namesOf(await turn(backend, { parent, input: "Once more", tools: [weather] }))).toEqual(["weather"]);
    expect((await converse(every(0), { tools: [weather] })).map(namesOf)).toEqual([[]]);
  });

  test("are called one at a time when the client says so", async () => {
    const nodes = await converse(every(), { tools: [weather, clock], parallel_tool_calls: false });
    expect(nodes.map(namesOf)).toEqual([["weather"], ["clock"], ["weather"], []]);
  });

  test("get arguments that fit, other ones in each round", async () => {
    const nodes = await converse(every(2), { tools: [weather] });
    const said = nodes.flatMap(callsOf).map((call) => JSON.parse(call["arguments"] as string) as unknown);
    expect(said).toEqual([{ city: "example" }, { city: "example 2" }]);
    const [call] = callsOf(await turn(every(), { tools: [clock] }));
    expect(call?.["arguments"]).toBe("{}");
  });

  test("of the custom kind get plain text, by their grammar where that is a regular expression", async () => {
    const note = { type: "custom", name: "note" };
    const [plain] = callsOf(await turn(every(), { tools: [note] }));
    expect(plain).toMatchObject({ type: "custom_tool_call", name: "note", input: "example input 1" });
    const format = { type: "grammar", syntax: "regex", definition: "^[a-c]{2}\\d$" };
    const [regular] = callsOf(await turn(every(), { tools: [{ ...note, format }] }));
    expect(regular?.["input"]).toBe("aa0");
    const lark = { type: "grammar", syntax: "lark", definition: "start: /a/" };
    const [other] = callsOf(await turn(every(), { tools: [{ ...note, format: lark }] }));
    expect(other?.["input"]).toBe("example input 1");
  });

  test("of a namespace are called with it", async () => {
    const namespace = { type: "namespace", name: "home", description: "d", tools: [weather, shell] };
    const calls = callsOf(await turn(every(1), { tools: [namespace] }));
    expect(calls).toMatchObject([{ type: "function_call", name: "weather", namespace: "home" }]);
    const named = { type: "custom", name: "shell", namespace: "home" };
    const [chosen] = callsOf(await turn(every(), { tools: [namespace], tool_choice: named }));
    expect(chosen).toMatchObject({ type: "custom_tool_call", name: "shell", namespace: "home" });
  });

  test("that run on the API's side are left out", async () => {
    expect(namesOf(await turn(every(), { tools: [hosted, weather] }))).toEqual(["weather"]);
    expect(textOf(await turn(every(), { tools: [hosted] }))).toContain("simulator");
  });
});

describe("tool_choice", () => {
  const tools = [weather, clock, shell, hosted];

  test("none gets an answer, required gets calls whatever the round", async () => {
    expect(namesOf(await turn(every(), { tools, tool_choice: "none" }))).toEqual([]);
    expect(namesOf(await turn(every(0), { tools, tool_choice: "required" }))).toEqual(["weather"]);
    const exact = { tools, tool_choice: "required", input: "Reply with exactly: no" };
    expect(namesOf(await turn(every(), exact))).toEqual(["weather"]);
  });

  test("that names a tool gets that one alone", async () => {
    const named = { tools, tool_choice: { type: "function", name: "clock" } };
    const nodes = [await turn(every(), named)];
    nodes.push(
      await turn(every(), {
        ...named,
        parent: nodes[0] as ResponseNode,
        input: answersTo(nodes[0] as ResponseNode),
      }),
    );
    expect(nodes.map(namesOf)).toEqual([["clock"], ["clock"]]);
    expect(namesOf(await turn(every(), { tools, tool_choice: { type: "custom", name: "shell" } }))).toEqual(["shell"]);
  });

  test("with allowed_tools keeps to them", async () => {
    const allowed = [
      { type: "function", name: "clock" },
      { type: "custom", name: "shell" },
    ];
    const nodes = await converse(every(), {
      tools,
      tool_choice: { type: "allowed_tools", mode: "auto", tools: allowed },
    });
    expect(nodes.map(namesOf)).toEqual([["clock"], ["shell", "clock"], ["shell"], []]);
    const required = { type: "allowed_tools", mode: "required", tools: allowed };
    expect(namesOf(await turn(every(0), { tools, tool_choice: required }))).toEqual(["clock"]);
    const none = { type: "allowed_tools", mode: "auto", tools: [] };
    expect(namesOf(await turn(every(), { tools, tool_choice: none }))).toEqual([]);
  });

  test("that cannot be met is refused at once", () => {
    const cases: readonly [object, object][] = [
      [{ tool_choice: { type: "mcp", server_label: "x" } }, { code: "unsupported_tool", param: "tool_choice" }],
      [
        { tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "mcp" }] } },
        { code: "unsupported_tool", param: "tool_choice" },
      ],
      [{ tool_choice: { type: "function", name: "shell" } }, { code: "invalid_value", param: "tool_choice" }],
      [
        { tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "x" }] } },
        { code: "invalid_value", param: "tool_choice" },
      ],
      [
        { tool_choice: "required", tools: [] },
        { code: "invalid_value", param: "tool_choice" },
      ],
    ];
    for (const [fields, error] of cases) {
      expect(() => open(every(), { tools, ...fields })).toThrow(expect.objectContaining(error) as Error);
    }
    expect(() => open(every(), { tool_choice: { type: "web_search" } })).toThrow(/'web_search'/);
  });

  test("of a hosted tool leaves the choice to the simulator", async () => {
    const tools = [hosted, weather];
    expect(namesOf(await turn(every(), { tools, tool_choice: hosted }))).toEqual(["weather"]);
    const allowed = { type: "allowed_tools", mode: "auto", tools: [hosted] };
    expect(namesOf(await turn(every(), { tools, tool_choice: allowed }))).toEqual([]);
    const nothing = turn(every(), { tools: [hosted], tool_choice: "required" });
    await expect(nothing).rejects.toMatchObject({ code: "invalid_value", param: "tool_choice" });
  });
});
