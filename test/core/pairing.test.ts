import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkItemIds, pairedInput } from "../../src/core/pairing.ts";
import type { ResponseNode } from "../../src/core/node.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import type { Item } from "../../src/protocol/items.ts";
import { makeNode } from "../stores/nodes.ts";

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
    expect(refusal(() => pairedInput(parent, input))).toBeNull();
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
      "a second answer that says something else",
      parentWith("a"),
      [output("a"), { ...output("a"), output: "else" }],
      "No tool call found for function call output with call_id a.",
    ],
    [
      "another answer to a call of the grandparent",
      makeNode("resp_2", { parent: parentWith("a"), input: [output("a")] }),
      [{ ...output("a"), output: "else" }],
      "No tool call found for function call output with call_id a.",
    ],
  ] as const)("but not %s", (_, parent, input, message) => {
    expect(refusal(() => pairedInput(parent, input))).toBe(`tool_call_not_found input: ${message}`);
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
    expect(refusal(() => pairedInput(parent, input))).toBe(`tool_output_missing input: ${message}`);
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
    expect(refusal(() => pairedInput(parent, [message]))).toBeNull();
  });
});

const asyncCall = (callId: string): Item => ({ ...call(callId), async: true });

/** A parent with an async call, and behind it a turn that says nothing of it. */
function withAsync() {
  const event: BackendEvent = { type: "call", key: 0, kind: "function", callId: "a", name: "f", async: true };
  return makeNode("resp_2", { parent: makeNode("resp_1", { output: [event] }), input: [message] });
}

describe("a call of an async tool", () => {
  test.each([
    ["needs no answer", [message]],
    ["may be answered turns later", [output("a")]],
    ["may be answered twice, also at once", [output("a"), output("a")]],
    ["may be answered in two ways", [output("a"), { ...output("a"), output: "else" }]],
    ["may be answered by a custom output", [customOutput("a")]],
  ] as const)("takes any number of outputs at any time: it %s", (_, input) => {
    expect(pairedInput(withAsync(), input)).toBe(input);
  });

  test("may be answered again when it has been answered", () => {
    const parent = makeNode("resp_3", { parent: withAsync(), input: [output("a")] });
    const again = [output("a"), { ...output("a"), output: "else" }];
    expect(pairedInput(parent, again)).toBe(again);
  });

  test("beside a sync one leaves that one to be answered", () => {
    const parent = makeNode("resp_1", {
      output: [
        { type: "call", key: 0, kind: "function", callId: "a", name: "f", async: true },
        { type: "call", key: 1, kind: "function", callId: "b", name: "f" },
      ],
    });
    expect(refusal(() => pairedInput(parent, [output("b")]))).toBeNull();
    expect(refusal(() => pairedInput(parent, [output("a")]))).toContain("function call b.");
  });

  test("in a replayed history needs no answer either, and takes any number", () => {
    const input = [asyncCall("a"), message, output("a"), output("a"), asyncCall("b")];
    expect(pairedInput(null, input)).toBe(input);
  });

  test("leaves unknown calls unknown", () => {
    expect(refusal(() => pairedInput(withAsync(), [output("x")]))).toContain("tool_call_not_found");
  });
});

test.each([
  ["none", { type: "function_call_output", name: "f", output: "x" }],
  ["null", { type: "custom_tool_call_output", call_id: null, name: "f", output: "x" }],
])("an output whose call_id is %s answers no call", (_, item) => {
  expect(pairedInput(null, [item])).toEqual([item]);
  expect(refusal(() => pairedInput(parentWith("a"), [item]))).toContain("tool_output_missing");
});

describe("what the chain has is there once", () => {
  test("a call that is sent again with its output", () => {
    expect(pairedInput(parentWith("a", "b"), [call("a"), output("a"), call("b"), output("b"), message])).toEqual([
      output("a"),
      output("b"),
      message,
    ]);
  });

  test("a call that is sent again without its output is still open", () => {
    expect(refusal(() => pairedInput(parentWith("a"), [call("a")]))).toContain("tool_output_missing");
  });

  test("a call of another function is another call, and wants another output", () => {
    const other = { ...call("a"), name: "g" };
    expect(refusal(() => pairedInput(parentWith("a"), [other, output("a")]))).toContain("tool_output_missing");
  });

  test("a call behind the answer is another one, that uses its id again", () => {
    const input = [output("a"), call("a"), output("a")];
    expect(pairedInput(parentWith("a"), input)).toBe(input);
  });

  test("an output that was given, in this input or any turn before it", () => {
    expect(pairedInput(parentWith("a"), [output("a"), output("a"), message])).toEqual([output("a"), message]);
    let parent = makeNode("resp_2", { parent: parentWith("a"), input: [output("a")] });
    for (let turn = 0; turn < 3; turn += 1) parent = makeNode(`resp_later${turn}`, { parent, input: [message] });
    expect(pairedInput(parent, [output("a"), message])).toEqual([message]);
  });
});

describe("an item is not sent twice", () => {
  const named = (id: unknown): Item => ({ ...message, id });
  const parent = makeNode("resp_b", {
    parent: makeNode("resp_a", { input: [named("msg_mine"), message], output: [{ type: "text.delta", delta: "Hi" }] }),
    input: [message],
  });
  const said = parent.parent?.response.output[0]?.["id"] as string;

  test.each([
    ["that a client has named", "msg_mine"],
    ["that the model has said", said],
    ["that came without an id, by the one that a list shows", "msg_ai1"],
  ])("is refused by its id: one %s", (_, id) => {
    const message = `Duplicate item found with id ${id}. Remove duplicate items from your input and try again.`;
    for (const item of [named(id), { type: "item_reference", id }, { ...call("x"), id }]) {
      expect(refusal(() => checkItemIds(parent, [item]))).toBe(`duplicate_item input: ${message}`);
    }
  });

  test("in one input", () => {
    expect(refusal(() => checkItemIds(null, [named("a"), named("b"), named("a")]))).toContain("found with id a.");
  });

  test.each([
    ["of another response", "msg_co0"],
    ["of nothing", "msg_unknown"],
    ["that is empty", ""],
    ["null", null],
  ])("but an id %s is none of the chain's", (_, id) => {
    expect(refusal(() => checkItemIds(parent, [named(id), { type: "unknown" }]))).toBeNull();
  });

  test("a fork does not see the items of the other one", () => {
    const fork = makeNode("resp_c", { parent: parent.parent, input: [named("msg_fork")] });
    expect(refusal(() => checkItemIds(fork, [named("msg_fork")]))).toContain("duplicate_item");
    expect(refusal(() => checkItemIds(parent, [named("msg_fork")]))).toBeNull();
    const below = makeNode("resp_d", { parent, input: [named("msg_below")] });
    expect(refusal(() => checkItemIds(below, [named("msg_below"), named("msg_mine")]))).toContain("msg_below");
    expect(refusal(() => checkItemIds(parent, [named("msg_below")]))).toBeNull();
    expect(refusal(() => checkItemIds(below, [named("msg_mine")]))).toContain("msg_mine");
  });

  test("however often a chain was forked, it knows its own items and no others", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 200 }), { minLength: 1, maxLength: 120 }), (parents) => {
        const nodes: ResponseNode[] = [];
        for (const [index, at] of parents.entries()) {
          // Mostly the newest node goes on; often an older one does, which begins another chain.
          const parent = at < 150 ? (nodes.at(-1 - (at % 3)) ?? null) : (nodes[at % Math.max(1, nodes.length)] ?? null);
          nodes.push(makeNode(`resp_${index}`, { parent, input: [named(`msg_${index}`)] }));
          if (at % 2 === 0) checkItemIds(nodes.at(-1) ?? null, []);
        }
        for (const tip of nodes) {
          const chain = new Set<string>();
          for (let node: ResponseNode | null = tip; node !== null; node = node.parent) chain.add(node.id.slice(5));
          for (let index = 0; index < nodes.length; index += 1) {
            const isDuplicate = refusal(() => checkItemIds(tip, [named(`msg_${index}`)])) !== null;
            expect(isDuplicate).toBe(chain.has(String(index)));
          }
        }
      }),
      { numRuns: 40 },
    );
  });
});
