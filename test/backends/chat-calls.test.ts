import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { callPieces } from "../../src/backends/call-pieces.ts";
import { ChatCalls } from "../../src/backends/chat-calls.ts";
import { chatTools } from "../../src/backends/chat-tools.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import { ApiError } from "../../src/protocol/errors.ts";

const offered = ["get_weather", "get", "now", "run"].map((name) => ({ type: "function", name }));

type Heard = { readonly name: string; readonly id: string | null; readonly arguments: string };

/** All events of chunks with these calls, then of the end. */
function eventsOf(chunks: readonly unknown[], isCut = false): readonly BackendEvent[] {
  const calls = new ChatCalls({ tools: chatTools(offered), allowed: null }, "here");
  const events: BackendEvent[] = [];
  for (const chunk of chunks) calls.read(callPieces({ tool_calls: chunk }), events);
  calls.end(isCut, events);
  return events;
}

/** The calls that a client would see. */
function heard(events: readonly BackendEvent[]): readonly Heard[] {
  const calls = new Map<number, { name: string; id: string | null; arguments: string }>();
  for (const event of events) {
    if (event.type === "call") calls.set(event.key, { name: event.name, id: event.callId, arguments: "" });
    const call = event.type === "call.delta" ? calls.get(event.key) : undefined;
    if (call !== undefined && event.type === "call.delta") call.arguments += event.delta;
  }
  return [...calls.values()];
}

const read = (...chunks: readonly unknown[]) => heard(eventsOf(chunks));
const piece = (fields: object, name?: string | null, args?: unknown) => ({
  ...fields,
  function: { ...(name !== undefined && { name }), ...(args !== undefined && { arguments: args }) },
});
const call = (name: string, args: string, id: string | null = null): Heard => ({ name, id, arguments: args });

const ROME = '{"city":"Rome"}';
const OSLO = '{"city":"Oslo"}';

describe("one call is one call", () => {
  const rome = [call("get_weather", ROME, "a")];

  test.each<[string, readonly unknown[]]>([
    ["pieces by index", [[piece({ index: 0, id: "a" }, "get_weather", "")], [piece({ index: 0 }, undefined, ROME)]]],
    [
      "pieces by id alone",
      [[piece({ id: "a" }, "get_weather", '{"city":')], [piece({ id: "a" }, undefined, '"Rome"}')]],
    ],
    [
      "the name with each piece, and no index",
      [[piece({ id: "a" }, "get_weather", '{"city":')], [piece({ id: "a" }, "get_weather", '"Rome"}')]],
    ],
    [
      "pieces without index and id",
      [[piece({ id: "a" }, "get_weather", '{"city":')], [piece({}, undefined, '"Rome"}')]],
    ],
    [
      "arguments before the name",
      [[piece({ index: 0, id: "a" }, null, '{"city":')], [piece({ index: 0, id: "a" }, "get_weather", '"Rome"}')]],
    ],
    [
      "arguments before the name and the id",
      [[piece({ index: 0 }, null, '{"city":')], [piece({ index: 0, id: "a" }, "get_weather", '"Rome"}')]],
    ],
    [
      "a name in parts",
      [
        [piece({ index: 0, id: "a" }, "get", "")],
        [piece({ index: 0 }, "_wea", "")],
        [piece({ index: 0 }, "ther", "")],
        [piece({ index: 0 }, undefined, ROME)],
      ],
    ],
    [
      "a name as far as it is known by now",
      [
        [piece({ index: 0, id: "a" }, "get_", "")],
        [piece({ index: 0 }, "get_weather", "")],
        [piece({ index: 0 }, "", ROME)],
      ],
    ],
    [
      "another id with each piece",
      [[piece({ index: 0, id: "a" }, "get_weather", '{"city":')], [piece({ index: 0, id: "b" }, undefined, '"Rome"}')]],
    ],
    [
      "another index with each piece",
      [[piece({ index: 0, id: "a" }, "get_weather", '{"city":')], [piece({ index: 1 }, undefined, '"Rome"}')]],
    ],
    [
      "all of it once more",
      [[piece({ index: 0, id: "a" }, "get_weather", ROME)], [piece({ index: 0, id: "a" }, "get_weather", ROME)]],
    ],
    [
      "all of it once more, in other spacing and without index",
      [[piece({ id: "a" }, "get_weather", ROME)], [piece({ id: "a" }, "get_weather", '{ "city": "Rome" }')]],
    ],
    [
      "all of it once more at another index, in pieces",
      [
        [piece({ index: 0, id: "a" }, "get_weather", ROME)],
        [piece({ index: 1, id: "a" }, "get_weather", "")],
        [piece({ index: 1, id: "a" }, "", '{"city":')],
        [piece({ index: 1, id: "a" }, "", '"Rome"}')],
      ],
    ],
    [
      "the arguments once more",
      [[piece({ index: 0, id: "a" }, "get_weather", ROME)], [piece({ index: 0 }, undefined, ROME)]],
    ],
    [
      "all arguments so far with each piece",
      [
        [piece({ index: 0, id: "a" }, "get_weather", '{"ci')],
        [piece({ index: 0 }, undefined, '{"city":')],
        [piece({ index: 0 }, undefined, '{"city":"Rome"')],
        [piece({ index: 0 }, undefined, ROME)],
      ],
    ],
    [
      "an empty object before the arguments",
      [[piece({ index: 0, id: "a" }, "get_weather", {})], [piece({ index: 0 }, undefined, ROME)]],
    ],
    ["the arguments as an object", [[piece({ index: 0, id: "a" }, "get_weather", { city: "Rome" })]]],
    [
      "an index that is a text",
      [[piece({ index: "0", id: "a" }, "get_weather", '{"city":')], [piece({ index: "0" }, "", '"Rome"}')]],
    ],
    ["an object in place of a list", [piece({ index: 0, id: "a" }, "get_weather", ROME)]],
    ["no function around the name", [[{ id: "a", name: "get_weather", arguments: ROME }]]],
    ["nothing around it", [[null, piece({ index: 0, id: "a" }, "get_weather", ROME), {}]]],
    [
      "a trailing piece that holds nothing",
      [[piece({ index: 0, id: "a" }, "get_weather", ROME)], [piece({ index: 1, id: "" }, "", "")]],
    ],
  ])("in spite of %s", (_, chunks) => {
    expect(read(...chunks)).toEqual(rome);
  });

  test("nested objects that begin alike are not taken for repetitions", () => {
    expect(
      read(
        [piece({ index: 0, id: "a" }, "run", '{"a":')],
        [piece({ index: 0 }, "", '{"a":1}')],
        [piece({ index: 0 }, "", "}")],
      ),
    ).toEqual([call("run", '{"a":{"a":1}}', "a")]);
  });
});

describe("different calls stay different", () => {
  test.each<[string, readonly unknown[], readonly Heard[]]>([
    [
      "one index for all",
      [[piece({ index: 0, id: "a" }, "get_weather", ROME)], [piece({ index: 0, id: "b" }, "get_weather", OSLO)]],
      [call("get_weather", ROME, "a"), call("get_weather", OSLO, "b")],
    ],
    [
      "neither index nor id, in one chunk",
      [[piece({}, "get_weather", ROME), piece({}, "now", {}), piece({}, "now", "{}")]],
      [call("get_weather", ROME), call("now", "{}"), call("now", "{}")],
    ],
    [
      "neither index nor id, in chunks",
      [[piece({}, "get_weather", ROME)], [piece({}, "get_weather", '{"city":')], [piece({}, undefined, '"Oslo"}')]],
      [call("get_weather", ROME), call("get_weather", OSLO)],
    ],
    [
      "one id for two names",
      [[piece({ index: 0, id: "a" }, "get_weather", ROME)], [piece({ index: 1, id: "a" }, "now", "{}")]],
      [call("get_weather", ROME, "a"), call("now", "{}")],
    ],
    [
      "one id for two calls of one name",
      [
        [piece({ index: 0, id: "a" }, "get_weather", ROME)],
        [piece({ index: 1, id: "a" }, "get_weather", '{"city":')],
        [piece({ index: 1, id: "a" }, undefined, '"Oslo"}')],
      ],
      [call("get_weather", ROME, "a"), call("get_weather", OSLO)],
    ],
    [
      "one id and one index for two calls",
      [[piece({ index: 0, id: "a" }, "get_weather", ROME)], [piece({ index: 0, id: "a" }, "get_weather", OSLO)]],
      [call("get_weather", ROME, "a"), call("get_weather", OSLO)],
    ],
    [
      "arguments before each name, one index for all",
      [
        [piece({ index: 0, id: "a" }, null, ROME)],
        [piece({ index: 0, id: "a" }, "get_weather", "")],
        [piece({ index: 0, id: "b" }, null, OSLO)],
        [piece({ index: 0, id: "b" }, "get_weather", "")],
      ],
      [call("get_weather", ROME, "a"), call("get_weather", OSLO, "b")],
    ],
  ])("with %s", (_, chunks, expected) => {
    expect(read(...chunks)).toEqual(expected);
  });
});

const types = (events: readonly BackendEvent[]) =>
  events.map((event) => `${event.type}${"key" in event ? ` ${event.key}` : ""}`);

describe("order", () => {
  test("each call is closed before the next begins", () => {
    const chunks = [
      [piece({ index: 0, id: "a" }, "get_weather", "")],
      [piece({ index: 0 }, undefined, ROME)],
      [piece({ index: 1, id: "b" }, "now", "{}")],
      [piece({ index: 2, id: "c" }, "run", "{}")],
    ];
    expect(types(eventsOf(chunks))).toEqual([
      "call 0",
      "call.delta 0",
      "call.done 0",
      "call 1",
      "call.delta 1",
      "call.done 1",
      "call 2",
      "call.delta 2",
    ]);
  });

  test("calls whose arguments interleave stay open side by side, in the order in which they began", () => {
    const chunks = [
      [piece({ index: 0, id: "a" }, "run", "")],
      [piece({ index: 1, id: "b" }, "run", '{"b"')],
      [piece({ index: 0 }, undefined, '{"a":1')],
      [piece({ index: 1 }, undefined, ":2}")],
      [piece({ index: 0 }, undefined, "}")],
    ];
    expect(types(eventsOf(chunks))).toEqual([
      "call 0",
      "call 1",
      "call.delta 1",
      "call.delta 0",
      "call.delta 1",
      "call.delta 0",
    ]);
  });

  test("nothing is announced before its name is known", () => {
    const calls = new ChatCalls({ tools: chatTools(offered), allowed: null }, "here");
    const events: BackendEvent[] = [];
    calls.read(callPieces({ tool_calls: [piece({ index: 0, id: "a" }, "get_wea", '{"city":')] }), events);
    expect(events).toEqual([]);
    calls.read(callPieces({ tool_calls: [piece({ index: 0 }, "ther", "")] }), events);
    expect(types(events)).toEqual(["call 0", "call.delta 0"]);
  });

  test("text behind a call closes it, and no sooner than its arguments are complete", () => {
    const calls = new ChatCalls({ tools: chatTools(offered), allowed: null }, "here");
    const events: BackendEvent[] = [];
    calls.read(callPieces({ tool_calls: [piece({ index: 0, id: "a" }, "run", '{"a":')] }), events);
    calls.closeComplete(events);
    expect(types(events)).toEqual(["call 0", "call.delta 0"]);
    calls.read(callPieces({ tool_calls: [piece({ index: 0 }, undefined, "1}")] }), events);
    calls.closeComplete(events);
    expect(types(events)).toEqual(["call 0", "call.delta 0", "call.done 0"]);
  });
});

const failure = (...chunks: readonly unknown[]): string => {
  try {
    eventsOf(chunks);
  } catch (error) {
    if (error instanceof ApiError) return error.message;
  }
  return "none";
};

describe("a call that cannot be understood fails with words", () => {
  test.each<[string, readonly unknown[], RegExp]>([
    ["no name", [[piece({ index: 0, id: "a" }, undefined, ROME)]], /without a name: \{"city":"Rome"\}/],
    ["nothing but an id", [[{ index: 0, id: "a", type: "function" }]], /without a name/],
    ["a text in place of the list", ["get_weather"], /cannot be read: "get_weather"/],
    ["a text in place of a call", [["get_weather"]], /cannot be read: "get_weather"/],
    ["a name that is a number", [[piece({ index: 0 }, 5 as unknown as string, ROME)]], /cannot be read/],
    [
      "more arguments of a call that is closed",
      [
        [piece({ index: 0, id: "a" }, "run", "{}")],
        [piece({ index: 1, id: "b" }, "now", "{}")],
        [piece({ index: 0 }, "", ROME)],
      ],
      /went on with a tool call after its arguments were complete: run/,
    ],
  ])("%s", (_, chunks, words) => {
    expect(failure(...chunks)).toMatch(words);
  });

  test("arguments that are no JSON are the client's to judge, as they came", () => {
    expect(read([piece({ index: 0, id: "a" }, "run", '{"a":')])).toEqual([call("run", '{"a":', "a")]);
    expect(read([piece({ index: 0, id: "a" }, "run", '{"a":1}}')])).toEqual([call("run", '{"a":1}}', "a")]);
  });
});

test("of an answer that was cut, calls that had not begun are left out", () => {
  const chunks = [[piece({ index: 0, id: "a" }, "run", "{}")], [piece({ index: 1, id: "b" }, "now", "")]];
  expect(heard(eventsOf(chunks, true))).toEqual([call("run", "{}", "a")]);
});

/** The ways in which servers send calls; each makes chunks of whole calls. */
const STYLES: readonly ((calls: readonly Heard[], cuts: readonly number[]) => readonly unknown[])[] = [
  (calls, cuts) =>
    calls.flatMap(({ name, id, arguments: text }, index) => [
      [piece({ index, id }, name, "")],
      ...cut(text, cuts).map((part) => [piece({ index }, undefined, part)]),
    ]),
  (calls, cuts) =>
    calls.flatMap(({ name, id, arguments: text }) => [
      [piece({ id }, name, "")],
      ...cut(text, cuts).map((part) => [piece({ id }, undefined, part)]),
    ]),
  (calls) => calls.map(({ name, id, arguments: text }) => [piece({ index: 0, id }, name, text)]),
  (calls) => [calls.map(({ name, id, arguments: text }) => piece({ id }, name, JSON.parse(text)))],
  (calls, cuts) =>
    calls.flatMap(({ name, id, arguments: text }, index) => {
      const parts = cut(text, cuts);
      return parts.map((part, at) => [piece({ index, id }, at === parts.length - 1 ? name : null, part)]);
    }),
  (calls) => [...calls, ...calls].map(({ name, id, arguments: text }, index) => [piece({ index, id }, name, text)]),
];

function cut(text: string, places: readonly number[]): readonly string[] {
  const at = [...new Set(places.map((place) => place % text.length))]
    .filter((place) => place > 0)
    .toSorted((a, b) => a - b);
  return [...at, text.length].map((end, index) => text.slice(at[index - 1] ?? 0, end));
}

test("however a server sends calls, and cuts them, the client hears each of them once", () => {
  const value = fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 1 }), { minKeys: 1, maxKeys: 3 });
  const any = fc.record({ name: fc.constantFrom("get_weather", "get", "now", "run", "unheard_of"), value });
  fc.assert(
    fc.property(
      fc.array(any, { minLength: 1, maxLength: 4 }),
      fc.constantFrom(...STYLES),
      fc.array(fc.nat(), { maxLength: 5 }),
      (made, style, cuts) => {
        const calls = made.map((each, index) => call(each.name, JSON.stringify(each.value), `call_${index}`));
        expect(read(...style(calls, cuts))).toEqual(calls);
      },
    ),
    { numRuns: 300 },
  );
});
