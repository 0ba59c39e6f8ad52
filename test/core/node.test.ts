import { describe, expect, test } from "vitest";
import { checkInput, commitNode } from "../../src/core/node.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import type { Item } from "../../src/protocol/items.ts";
import { makeNode } from "../stores/nodes.ts";

describe("a committed node", () => {
  test("is frozen, and so is its input", () => {
    const node = makeNode("resp_1");
    expect(Object.isFrozen(node)).toBe(true);
    expect(Object.isFrozen(node.input)).toBe(true);
    expect(Object.isFrozen(node.response)).toBe(true);
    expect(Object.isFrozen(node.response.output)).toBe(true);
  });

  test("holds the very input that the backend saw", () => {
    const input: readonly Item[] = [{ type: "message", role: "user", content: "Hi" }];
    const { id, tenant, response } = makeNode("resp_1");
    expect(commitNode({ id, tenant, parent: null, input, response }).input).toBe(input);
  });

  test("shares its parent with its siblings", () => {
    const root = makeNode("resp_1");
    const [left, right] = [makeNode("resp_2", { parent: root }), makeNode("resp_3", { parent: root })];
    expect(left.parent).toBe(root);
    expect(right.parent).toBe(root);
  });

  test("counts its own bytes, and not those of its ancestors", () => {
    const small = makeNode("resp_1", { input: [] });
    const large = makeNode("resp_2", { input: [{ type: "message", role: "user", content: "x".repeat(100_000) }] });
    const child = makeNode("resp_3", { input: [], parent: large });
    expect(small.bytes).toBeGreaterThan(1_000);
    expect(small.bytes).toBeLessThan(3_000);
    expect(large.bytes - small.bytes).toBeGreaterThan(100_000);
    expect(large.bytes - small.bytes).toBeLessThan(101_000);
    expect(child.bytes).toBe(small.bytes);
  });

  test("counts every value that an item of whatever type holds", () => {
    const input = [{ type: "x", a: [null, true, 1.5, { b: "y".repeat(1_000) }] }];
    expect(makeNode("resp_1", { input }).bytes - makeNode("resp_1", { input: [] }).bytes).toBeGreaterThan(1_000);
  });
});

const call = (callId: string): Item => ({ type: "function_call", call_id: callId, name: "f", arguments: "{}" });
const output = (callId: string): Item => ({ type: "function_call_output", call_id: callId, output: "done" });
const custom = (callId: string): Item => ({ type: "custom_tool_call", call_id: callId, name: "g", input: "" });
const customOutput = (callId: string): Item => ({ type: "custom_tool_call_output", call_id: callId, output: "done" });
const message: Item = { type: "message", role: "user", content: "Hi" };

/** A parent whose output holds these calls. */
function parentWith(...callIds: readonly string[]) {
  const events = callIds.map(
    (callId, key): BackendEvent => ({ type: "call", key, kind: "function", callId, name: "f" }),
  );
  return makeNode("resp_1", { output: events });
}

function refusal(act: () => void): string | null {
  try {
    act();
    return null;
  } catch (error) {
    if (error instanceof ApiError) return `${error.code} ${error.param}: ${error.message}`;
    throw error;
  }
}

describe("calls and outputs pair up", () => {
  test.each([
    ["no calls at all", null, [message]],
    ["nothing new", null, []],
    ["an answer to a call of the parent", parentWith("a"), [output("a")]],
    ["answers in another order", parentWith("a", "b"), [output("b"), output("a")]],
    ["an answer with more behind it", parentWith("a"), [output("a"), message]],
    ["an answer with something before it", parentWith("a"), [message, output("a")]],
    ["a whole conversation", null, [message, call("a"), output("a"), custom("b"), customOutput("b"), message]],
    ["parallel calls", null, [call("a"), call("b"), output("a"), output("b")]],
    ["an id that is used again once answered", null, [call("a"), output("a"), call("a"), output("a")]],
    ["an id that the parent has used", parentWith("a"), [output("a"), call("a"), output("a")]],
    ["two calls of one id, answered twice", null, [call("a"), call("a"), output("a"), output("a")]],
    ["items of unknown types", null, [{ type: "from_the_future", call_id: "x" }]],
    ["calls of other kinds, without an answer", null, [{ type: "shell_call", call_id: "a" }, message]],
    ["answers of other kinds, to nothing", null, [{ type: "shell_call_output", call_id: "a" }]],
    ["an answer to a call of another kind", null, [{ type: "local_shell_call", call_id: "a" }, output("a")]],
    [
      "an id that a call of another kind has had",
      null,
      [{ type: "shell_call", call_id: "a" }, { type: "shell_call_output", call_id: "a" }, call("a"), output("a")],
    ],
  ] as const)("%s", (_, parent, input) => {
    expect(refusal(() => checkInput(parent, input))).toBeNull();
  });

  test.each([
    ["an answer to nothing", null, [output("a")], "No tool call found for function call output with call_id a."],
    [
      "a custom answer to nothing",
      null,
      [customOutput("a")],
      "No tool call found for custom tool call output with call_id a.",
    ],
    [
      "an answer to another call",
      parentWith("a"),
      [output("b")],
      "No tool call found for function call output with call_id b.",
    ],
    [
      "an answer before its call",
      null,
      [output("a"), call("a")],
      "No tool call found for function call output with call_id a.",
    ],
    [
      "a second answer",
      parentWith("a"),
      [output("a"), output("a")],
      "No tool call found for function call output with call_id a.",
    ],
    [
      "an answer that the grandparent's call has had",
      makeNode("resp_2", { parent: parentWith("a"), input: [output("a")] }),
      [output("a")],
      "No tool call found for function call output with call_id a.",
    ],
  ] as const)("but not %s", (_, parent, input, message) => {
    expect(refusal(() => checkInput(parent, input))).toBe(`tool_call_not_found input: ${message}`);
  });

  test.each([
    ["a call of the parent", parentWith("a"), [message], "No tool output found for function call a."],
    [
      "one of two calls of the parent",
      parentWith("a", "b"),
      [output("a")],
      "No tool output found for function call b.",
    ],
    ["a call of the input", null, [call("a"), message], "No tool output found for function call a."],
    ["a custom call", null, [custom("a")], "No tool output found for custom tool call a."],
    [
      "one of two calls of one id",
      null,
      [call("a"), call("a"), output("a")],
      "No tool output found for function call a.",
    ],
  ] as const)("and not without an answer to %s", (_, parent, input, message) => {
    expect(refusal(() => checkInput(parent, input))).toBe(`tool_output_missing input: ${message}`);
  });

  test("calls that the parent dropped need no answer", () => {
    const parent = makeNode("resp_1", {
      output: [
        { type: "text.delta", delta: "Hi" },
        {
          type: "usage",
          usage: {
            input_tokens: 1,
            input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
            output_tokens: 1,
            output_tokens_details: { reasoning_tokens: 0 },
            total_tokens: 2,
          },
        },
      ],
    });
    expect(refusal(() => checkInput(parent, [message]))).toBeNull();
  });
});
