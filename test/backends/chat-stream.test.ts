import { describe, expect, test } from "vitest";
import { ChatStream } from "../../src/backends/chat-stream.ts";
import { chatTools } from "../../src/backends/chat-tools.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import type { SseEvent } from "../../src/protocol/sse-decoder.ts";

type Chunk = object | string | SseEvent;

/** The events of these chunks and of `[DONE]` behind them. */
function read(...chunks: readonly Chunk[]): readonly BackendEvent[] {
  const stream = new ChatStream({ tools: chatTools([]), allowed: null }, "here", "auto");
  const events: BackendEvent[] = [];
  for (const chunk of [...chunks, "[DONE]"]) {
    if (typeof chunk === "object" && "data" in chunk) stream.read(chunk, events);
    else stream.read({ name: null, data: typeof chunk === "string" ? chunk : JSON.stringify(chunk) }, events);
  }
  return events;
}

function failure(...chunks: readonly Chunk[]): string {
  try {
    return `no failure: ${JSON.stringify(read(...chunks))}`;
  } catch (error) {
    if (error instanceof ApiError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

const said = (delta: object, finish: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason: finish }],
});
const HELLO = said({ content: "hello" }, "stop");
const text = (delta: string): BackendEvent => ({ type: "text.delta", delta });
const thought = (delta: string): BackendEvent => ({ type: "reasoning.delta", delta });
const opaque = (fields: object): BackendEvent => ({
  type: "opaque",
  origin: "here",
  key: null,
  fields: fields as Readonly<Record<string, unknown>>,
});
const STOP: BackendEvent = { type: "finish", reason: "stop" };

describe("text and thinking", () => {
  test.each<[string, readonly object[], readonly BackendEvent[]]>([
    ["parts, and nothing among them", [said({ content: [null, { type: "text", text: "a" }, "b"] })], [text("ab")]],
    ["one part", [said({ content: { type: "text", text: "a" } })], [text("a")]],
    ["a number", [said({ content: 5 })], [text("5")]],
    [
      "thinking in parts",
      [said({ content: [{ type: "thinking", thinking: [{ type: "text", text: "h" }] }] }), said({ content: "a" })],
      [thought("h"), text("a")],
    ],
    ["an empty field beside a full one", [said({ reasoning_content: "", reasoning: "h" })], [thought("h")]],
    ["thinking under its own name", [said({ thinking: "h" }), said({ content: "a" })], [thought("h"), text("a")]],
    ["thinking in an object", [said({ reasoning: { content: "h" } })], [thought("h")]],
    [
      "thinking in details",
      [said({ reasoning_details: [{ type: "reasoning.text", text: "h" }] })],
      [thought("h"), opaque({ reasoning_details: [{ type: "reasoning.text", text: "h" }] })],
    ],
    [
      "thinking between tags",
      [said({ content: "<think>h</th" }), said({ content: "ink>\n\na" })],
      [thought("h"), text("a")],
    ],
    [
      "tags behind thinking of its own field as text",
      [said({ reasoning_content: "h" }), said({ content: "<think>a" })],
      [thought("h"), text("<think>a")],
    ],
    ["a message in place of a delta", [{ choices: [{ message: { content: "a" } }] }], [text("a")]],
    [
      "messages that each hold all so far",
      [{ choices: [{ message: { content: "a" } }] }, { choices: [{ message: { content: "ab" } }] }],
      [text("ab")],
    ],
    [
      "a message that repeats all deltas",
      [said({ content: "ab" }), { choices: [{ delta: {}, message: { content: "ab" } }] }],
      [text("ab")],
    ],
    ["the older API", [{ choices: [{ index: 0, text: "a" }] }, { choices: [{ index: 0, text: "b" }] }], [text("ab")]],
    [
      "one answer of several",
      [
        {
          choices: [
            { index: 1, delta: { content: "x" } },
            { index: 0, delta: { content: "a" } },
          ],
        },
      ],
      [text("a")],
    ],
    [
      "a refusal in parts",
      [said({ content: [{ type: "refusal", refusal: "No." }] })],
      [{ type: "refusal.delta", delta: "No." }],
    ],
  ])("from %s", (_, chunks, expected) => {
    expect(read(...chunks)).toEqual([...expected, STOP]);
  });
});

describe("what is no part of an answer", () => {
  test.each<[string, Chunk]>([
    ["a wrapped comment", ": OPENROUTER PROCESSING"],
    ["a ping without JSON", { name: "ping", data: "ping" }],
    ["a ping that says something", { name: "heartbeat", data: '{"message":"alive"}' }],
    ["errors that are empty", { choices: [], error: {}, errors: [], base_resp: { status_code: 0, status_msg: "" } }],
    ["no choices", { id: "x", choices: null }],
  ])("%s is left out", (_, chunk) => {
    expect(read(chunk, HELLO, chunk)).toEqual([text("hello"), STOP]);
  });
});

describe("failures", () => {
  test.each<[string, Chunk]>([
    ["an error", { error: { message: "boom" } }],
    ["an error that is a text", { error: "boom" }],
    ["an error in a list", [{ error: { message: "boom" } }]],
    ["an error in the choice", { choices: [{ delta: {}, error: { message: "boom" } }] }],
    ["an object that is an error", { object: "error", message: "boom", code: 50001 }],
    ["an event that is an error", { name: "error", data: '{"message":"boom"}' }],
    ["an event that is an error without JSON", { name: "error", data: "boom" }],
    ["a list of errors", { errors: [{ message: "boom" }] }],
    ["a base response", { choices: null, base_resp: { status_code: 1008, status_msg: "boom" } }],
    ["a message and nothing else", { message: "boom", status: 500 }],
    ["a list of details", { detail: [{ loc: ["body"], msg: "boom" }] }],
    ["no success", { success: false, result: "boom" }],
  ])("%s ends the turn, before an answer, in it and behind its finish", (_, chunk) => {
    for (const before of [[], [said({ content: "hel" })], [HELLO]]) {
      expect(failure(...before, chunk)).toMatch(/^(server_error|invalid_prompt): /);
    }
  });

  test.each<[string, readonly Chunk[], RegExp]>([
    ["nothing but the end", [], /answered with nothing that a chat completion has/],
    ["nothing but usage", [{ choices: [], usage: { prompt_tokens: 1 } }], /answered with nothing/],
    ["chunks of another API", [{ type: "response.created", response: {} }], /answered with nothing/],
    ["text", ["Number of choices must be greater than 0."], /not JSON: Number of choices/],
    ["a JSON number", ["5"], /not a JSON object: 5/],
    ["an unknown end", [said({ content: "a" }, "sunset")], /unknown reason: 'sunset'/],
  ])("%s", (_, chunks, words) => {
    expect(failure(...chunks)).toMatch(words);
  });
});

const usageOf = (...chunks: readonly object[]) => {
  const event = read(HELLO, ...chunks).find(({ type }) => type === "usage");
  if (event?.type !== "usage") return null;
  const {
    input_tokens: input,
    output_tokens: output,
    total_tokens: total,
    input_tokens_details: details,
  } = event.usage;
  return [input, output, total, details.cached_tokens];
};

describe("usage", () => {
  test.each<[string, readonly object[], readonly number[] | null]>([
    ["of OpenAI", [{ choices: [], usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 } }], [5, 2, 7, 0]],
    [
      "of Anthropic",
      [{ choices: [], usage: { input_tokens: 5, output_tokens: 2, cache_read_input_tokens: 3 } }],
      [5, 2, 7, 3],
    ],
    [
      "in texts",
      [{ choices: [], usage: { prompt_tokens: "5", completion_tokens: "2", total_tokens: "7" } }],
      [5, 2, 7, 0],
    ],
    ["of Groq", [{ choices: [], x_groq: { usage: { prompt_tokens: 5, completion_tokens: 2 } } }], [5, 2, 7, 0]],
    [
      "in the choice, with cached tokens",
      [{ choices: [{ index: 0, delta: {}, usage: { prompt_tokens: 5, completion_tokens: 2, cached_tokens: 4 } }] }],
      [5, 2, 7, 4],
    ],
    ["negative or no whole number", [{ choices: [], usage: { prompt_tokens: -1, completion_tokens: 2.5 } }], null],
    [
      "zeros behind counts",
      [
        { choices: [], usage: { prompt_tokens: 5, completion_tokens: 2 } },
        { choices: [], usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 } },
      ],
      [5, 2, 7, 0],
    ],
    ["nowhere", [], null],
  ])("%s", (_, chunks, expected) => {
    expect(usageOf(...chunks)).toEqual(expected);
  });
});

const source = (url: string, start: number, end: number, title = "") =>
  ({
    type: "annotation",
    annotation: { type: "url_citation", url, title, start_index: start, end_index: end },
  }) as const;

describe("sources", () => {
  test("are annotations of the text, each once, behind the text that they came with", () => {
    const citation = {
      type: "url_citation",
      url_citation: { url: "https://a.x", title: "A", start_index: 0, end_index: 5 },
    };
    const chunks = [said({ content: "hello", annotations: [citation] }), said({ annotations: [citation] }, "stop")];
    expect(read(...chunks)).toEqual([text("hello"), source("https://a.x", 0, 5, "A"), STOP]);
  });

  test("wait for the text", () => {
    const citation = { type: "url_citation", url: "https://a.x", title: "A", start_index: 1, end_index: 2 };
    expect(read(said({ annotations: [citation] }), HELLO)).toEqual([
      text("hello"),
      source("https://a.x", 1, 2, "A"),
      STOP,
    ]);
  });

  test("that have no place belong to the whole text, unless an annotation names them", () => {
    const citation = { type: "url_citation", url_citation: { url: "https://a.x", start_index: 0, end_index: 1 } };
    const chunk = { ...said({ content: "hello", annotations: [citation] }), citations: ["https://a.x", "https://b.x"] };
    const results = { choices: [], search_results: [{ title: "C", url: "https://c.x" }], citations: ["https://c.x"] };
    expect(read(chunk, results, chunk)).toEqual([
      text("hello"),
      source("https://a.x", 0, 1),
      text("hello"),
      source("https://b.x", 0, 10),
      source("https://c.x", 0, 10, "C"),
      STOP,
    ]);
  });
});

test("the calls of the first API, which a message had one of", () => {
  const chunks = [
    said({ function_call: { name: "now", arguments: '{"a"' } }),
    said({ function_call: { arguments: ":1}" } }, "function_call"),
  ];
  expect(read(...chunks)).toEqual([
    { type: "call", key: 0, kind: "function", callId: null, name: "now" },
    { type: "call.delta", key: 0, delta: '{"a":1}' },
    STOP,
  ]);
});

test("text behind a call closes the call first", () => {
  const call = said({ tool_calls: [{ index: 0, id: "a", function: { name: "now", arguments: "{}" } }] });
  expect(read(call, HELLO).map(({ type }) => type)).toEqual([
    "call",
    "call.delta",
    "call.done",
    "text.delta",
    "finish",
  ]);
});
