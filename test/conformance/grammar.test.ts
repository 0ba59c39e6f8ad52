import { describe, expect, test } from "vitest";
import { clean } from "../../src/conformance/findings.ts";
import { examine } from "../../src/conformance/grammar.ts";
import { missingKeys, RESPONSE_KEYS, wrongItem, wrongUsage, wrongValues } from "../../src/conformance/snapshot.ts";
import type { Frame, Json } from "../../src/conformance/types.ts";
import { Violation } from "../../src/conformance/violation.ts";

const PART = { type: "output_text", text: "", annotations: [], logprobs: [] };
const DONE_PART = { ...PART, text: "Hello" };
const MESSAGE = { type: "message", id: "msg_1", status: "in_progress", role: "assistant", content: [] };
const DONE_MESSAGE = { ...MESSAGE, status: "completed", content: [DONE_PART] };
const CALL = { type: "function_call", id: "fc_1", call_id: "call_1", name: "f", arguments: "", status: "in_progress" };
const DONE_CALL = { ...CALL, arguments: '{"a":1}', status: "completed" };

function response(status: string, output: readonly unknown[] = []): Json {
  return { id: "resp_1", status, output, error: null, metadata: {} };
}

function numbered(events: readonly Json[]): readonly Frame[] {
  return events.map((event, index) => ({ sequence_number: index, ...event }) as unknown as Frame);
}

const OF_PART = { item_id: "msg_1", output_index: 0, content_index: 0 };

const TEXT: readonly Json[] = [
  { type: "response.created", response: response("in_progress") },
  { type: "response.in_progress", response: response("in_progress") },
  { type: "response.output_item.added", output_index: 0, item: MESSAGE },
  { type: "response.content_part.added", ...OF_PART, part: PART },
  { type: "response.output_text.delta", ...OF_PART, delta: "Hel", logprobs: [] },
  { type: "response.output_text.delta", ...OF_PART, delta: "lo", logprobs: [] },
  { type: "response.output_text.done", ...OF_PART, text: "Hello", logprobs: [] },
  { type: "response.content_part.done", ...OF_PART, part: DONE_PART },
  { type: "response.output_item.done", output_index: 0, item: DONE_MESSAGE },
  { type: "response.completed", response: response("completed", [DONE_MESSAGE]) },
];

const OF_CALL = { item_id: "fc_1", output_index: 0 };

const CALLED: readonly Json[] = [
  TEXT[0]!,
  { type: "response.output_item.added", output_index: 0, item: CALL },
  { type: "response.function_call_arguments.delta", ...OF_CALL, delta: '{"a"' },
  { type: "response.function_call_arguments.delta", ...OF_CALL, delta: ":1}" },
  { type: "response.function_call_arguments.done", ...OF_CALL, arguments: '{"a":1}' },
  { type: "response.output_item.done", output_index: 0, item: DONE_CALL },
  { type: "response.completed", response: response("completed", [DONE_CALL]) },
];

/** The text turn with one event taken out, put in, or changed. */
const without = (index: number): readonly Json[] => TEXT.toSpliced(index, 1);
const changed = (index: number, fields: Json): readonly Json[] => TEXT.with(index, { ...TEXT[index], ...fields });
const inserted = (index: number, event: Json): readonly Json[] => TEXT.toSpliced(index, 0, event);

test.each([
  ["text", TEXT],
  ["a call", CALLED],
  [
    "an event of a vendor, and an item of an unknown type",
    [
      TEXT[0]!,
      { type: "acme:progress" },
      { type: "response.output_item.added", output_index: 0, item: { type: "acme:item", id: "x_1" } },
      { type: "response.output_item.done", output_index: 0, item: { type: "acme:item", id: "x_1" } },
      { type: "response.completed", response: response("completed", [{ type: "acme:item", id: "x_1" }]) },
    ],
  ],
])("a correct stream of %s has no findings", (_what, events) => {
  expect(examine(numbered(events))).toEqual([]);
});

describe("a stream is wrong", () => {
  test.each([
    ["without response.created", without(0), "lifecycle"],
    ["with a second response.created", inserted(2, TEXT[0]!), "lifecycle"],
    ["without an end", without(9), "lifecycle"],
    ["with something after its end", [...TEXT, TEXT[5]!], "lifecycle"],
    ["without a number", changed(4, { sequence_number: undefined }), "numbers"],
    ["with a number twice", changed(4, { sequence_number: 3 }), "numbers"],
    ["with a number left out", changed(9, { sequence_number: 12 }), "counting"],
    ["without a field of an event", changed(4, { content_index: undefined }), "fields"],
    ["with a wrong output_index", changed(2, { output_index: 1 }), "items"],
    ["with an item that is added complete", changed(2, { item: DONE_MESSAGE }), "items"],
    ["without output_item.added", without(2), "items"],
    ["without output_item.done", without(8), "items"],
    ["with a delta after the item is done", inserted(9, TEXT[4]!), "items"],
    ["without content_part.added", without(3), "parts"],
    ["without output_text.done", without(6), "parts"],
    ["without content_part.done", without(7), "parts"],
    ["with a delta after the text is done", inserted(7, TEXT[4]!), "parts"],
    ["without a delta", without(5), "folding"],
    ["with another text in output_text.done", changed(6, { text: "Hello!" }), "folding"],
    [
      "with another text in the item",
      changed(8, { item: { ...DONE_MESSAGE, content: [{ ...DONE_PART, text: "Bye" }] } }),
      "folding",
    ],
    ["with an item_id that changes", changed(4, { item_id: "msg_2" }), "ids"],
    [
      "with an id of the response that changes",
      changed(9, { response: { ...response("completed", [DONE_MESSAGE]), id: "resp_2" } }),
      "ids",
    ],
    ["with an item that is done under another id", changed(8, { item: { ...DONE_MESSAGE, id: "msg_9" } }), "ids"],
    ["with an empty output at its end", changed(9, { response: response("completed") }), "output"],
    ["with another item at its end", changed(9, { response: response("completed", [MESSAGE]) }), "output"],
    ["with a first snapshot that is completed", changed(0, { response: response("completed") }), "snapshots"],
    [
      "with a first snapshot that shows the output",
      changed(0, { response: response("in_progress", [DONE_MESSAGE]) }),
      "snapshots",
    ],
    ["with an end of another status", changed(9, { response: response("in_progress", [DONE_MESSAGE]) }), "snapshots"],
    [
      "with a setting that changes",
      changed(1, { response: { ...response("in_progress"), metadata: { a: "1" } } }),
      "snapshots",
    ],
  ] as const)("%s", (_what, events, aspect) => {
    const found = examine(numbered(events)).map((finding) => finding.aspect);
    expect(found).toContain(aspect);
    expect(() => clean(examine(numbered(events)), aspect)).toThrow(Violation);
  });

  test.each([
    ["with arguments in output_item.added", CALLED.with(1, { ...CALLED[1], item: DONE_CALL }), "items"],
    ["without the done event of arguments", CALLED.toSpliced(4, 1), "items"],
    [
      "with other arguments in the item",
      CALLED.with(5, { ...CALLED[5], item: { ...DONE_CALL, arguments: "{}" } }),
      "folding",
    ],
    ["with a call_id that changes", CALLED.with(5, { ...CALLED[5], item: { ...DONE_CALL, call_id: "call_2" } }), "ids"],
  ] as const)("%s", (_what, events, aspect) => {
    expect(examine(numbered(events)).map((finding) => finding.aspect)).toContain(aspect);
  });

  test("where two calls share an id", () => {
    const twice = CALLED.toSpliced(6, 0, { ...CALLED[1], output_index: 1 });
    const messages = examine(numbered(twice)).map(({ message }) => message);
    expect(messages).toContain("Two items have the id 'fc_1'.");
    expect(messages).toContain("Two calls have the call_id 'call_1'.");
  });
});

test("only the first finding is shown, with its event, and the others are counted", () => {
  const events = numbered(TEXT.filter((_, index) => index !== 4 && index !== 6));
  expect(() => clean(examine(events))).toThrow(/more findings of this kind\) At: \{/);
  expect(() => clean(examine(events), "ids")).not.toThrow();
});

describe("a snapshot", () => {
  test("lacks what it has not", () => {
    expect(missingKeys({})).toEqual([...RESPONSE_KEYS]);
    expect(missingKeys(Object.fromEntries(RESPONSE_KEYS.map((key) => [key, null])))).toEqual([]);
  });

  test.each([
    [{ temperature: null }, /'temperature' has to be a number/],
    [{ service_tier: null }, /'service_tier' has to be a string/],
    [{ text: { format: { type: "text" }, verbosity: null } }, /'text' has to be/],
    [{ reasoning: { effort: "low" } }, /'reasoning' has to be/],
    [{ object: "chat.completion" }, /'object' has to be "response"/],
    [{ tools: null }, /'tools' has to be a list/],
  ])("with %j is wrong", (fields, message) => {
    expect(wrongValues(fields).join()).toMatch(message);
  });

  test("has usage with both details", () => {
    const usage = { input_tokens: 1, output_tokens: 2, total_tokens: 3 };
    expect(wrongUsage(usage).length).toBe(2);
    const details = { input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } };
    expect(wrongUsage({ ...usage, ...details })).toEqual([]);
    expect(wrongUsage(null)).toEqual(["it is not an object"]);
  });

  test("has items with all of their fields", () => {
    expect(wrongItem(DONE_MESSAGE)).toEqual([]);
    expect(wrongItem({ ...DONE_MESSAGE, phase: null }).length).toBe(1);
    expect(wrongItem({ ...DONE_MESSAGE, content: [{ type: "output_text", text: "x" }] }).length).toBe(1);
    expect(wrongItem({ type: "function_call", id: "fc_1", call_id: "call_1", name: "f", arguments: "{}" }).length).toBe(
      1,
    );
    expect(wrongItem({ type: "reasoning", id: "rs_1", summary: [], encrypted_content: null }).length).toBe(1);
    expect(wrongItem({ type: "acme:item" })).toEqual([]);
  });
});
