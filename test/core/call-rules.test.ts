import { describe, expect, test } from "vitest";
import { CallRules } from "../../src/core/call-rules.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import { callFunctions } from "../../src/testing/index.ts";
import { eventsOf, makeEngine, turn } from "./harness.ts";

const tools = [
  { type: "function", name: "slow", async: true },
  { type: "namespace", name: "n", tools: [{ type: "custom", name: "slow", async: true }] },
  { type: "function", name: "f" },
];
const call = (key: number, name: string, namespace?: string): BackendEvent => ({
  type: "call",
  key,
  kind: "function",
  callId: `c${key}`,
  name,
  ...(namespace !== undefined && { namespace }),
});
const text: BackendEvent = { type: "text.delta", delta: "a" };
const end = (reason: "stop" | "max_output_tokens"): BackendEvent => ({ type: "finish", reason });
const arguments_ = (key: number): BackendEvent => ({ type: "call.delta", key, delta: "{}" });

test("calls of async tools say so, in every event and for the turns behind them", async () => {
  const { engine, open } = makeEngine({
    steps: [callFunctions({ callId: "a", name: "slow" }, { callId: "b", name: "f" })],
  });
  const session = open();
  const told = turn(session, { tools });
  const { id, output } = await told.response();
  expect(output.map((item) => (item as { async?: boolean }).async)).toEqual([true, undefined]);
  const shown = told.events.flatMap((event) => ("item" in event ? [(event.item as { async?: boolean }).async] : []));
  expect(shown.filter((is) => is === true)).toHaveLength(2);
  // So do the events that are made again from what was stored.
  expect(JSON.stringify(await eventsOf(engine, id))).toBe(JSON.stringify(told.events));
});

test("a tool that an item has added may be async", async () => {
  const { open } = makeEngine({ steps: [callFunctions({ callId: "a", name: "slow" })] });
  const input = [
    { type: "additional_tools", tools },
    { role: "user", content: "Hi" },
  ];
  const { output } = await turn(open(), { input }).response();
  expect(output).toMatchObject([{ async: true }]);
});

test("tools are told apart by their namespace", () => {
  const events = [call(0, "slow"), call(1, "slow", "n"), call(2, "slow", "m"), call(3, "f")];
  const marked = CallRules.of({ tools, parallel_tool_calls: null })?.apply(events);
  expect(marked?.map((event) => "async" in event)).toEqual([true, true, false, false]);
});

test("a request that says nothing of calls has no rules", () => {
  expect(CallRules.of({ tools: [{ type: "function", name: "f" }], parallel_tool_calls: true })).toBeNull();
  expect(CallRules.of({ tools: [], parallel_tool_calls: null })).toBeNull();
});

const once = () => CallRules.of({ tools: [], parallel_tool_calls: false });

describe("without parallel calls", () => {
  test("only the first call is kept, however the calls mix", () => {
    const rules = once();
    const [first, second] = [call(0, "f"), call(1, "g")];
    expect(rules?.apply([first, second, arguments_(1), arguments_(0)])).toEqual([first, arguments_(0)]);
    expect(rules?.apply([arguments_(1), { type: "item", item: { type: "shell_call" } }])).toEqual([]);
  });

  test("a call that is an item of its own counts", () => {
    const shell: BackendEvent = { type: "item", item: { type: "shell_call", call_id: "s" } };
    expect(once()?.apply([shell, call(0, "f"), arguments_(0), shell])).toEqual([shell]);
  });

  test("all else is kept", () => {
    const events: BackendEvent[] = [text, { type: "item", item: { type: "reasoning" } }, call(0, "f"), end("stop")];
    expect(once()?.apply(events)).toEqual(events);
  });

  test("a call that was left out does not make the first one half", async () => {
    const said = [call(0, "f"), arguments_(0), call(1, "g"), end("max_output_tokens")];
    const { open } = makeEngine({ steps: [[said]] });
    const { status, output } = await turn(open(), { parallel_tool_calls: false }).response();
    expect([status, output]).toMatchObject(["completed", [{ name: "f", arguments: "{}" }]]);
  });

  test("the half of the only call is still dropped", async () => {
    const { open } = makeEngine({ steps: [[[call(0, "f"), arguments_(0), end("max_output_tokens")]]] });
    const { status, output } = await turn(open(), { parallel_tool_calls: false }).response();
    expect([status, output]).toEqual(["incomplete", []]);
  });
});
