import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { encodeFrame, encodeSse, SseDecoder, SSE_DONE } from "../../src/protocol/codec.ts";
import { ApiError, errorFrame } from "../../src/protocol/errors.ts";
import { isTerminal, type ServerEvent } from "../../src/protocol/events.ts";
import type { Response } from "../../src/protocol/response.ts";
import { EVENT } from "../../src/protocol/table.ts";

const delta = (text: string): ServerEvent => ({
  type: EVENT.textDelta,
  sequence_number: 4,
  item_id: "msg_1",
  output_index: 0,
  content_index: 0,
  delta: text,
  logprobs: [],
});

describe("a frame", () => {
  test("is the event as one JSON object, and names its lane where the client gave it a name", () => {
    expect(JSON.parse(encodeFrame(delta("a\nb"), null))).toEqual(delta("a\nb"));
    const frame = errorFrame(new ApiError("invalid_json", "No."));
    expect(JSON.parse(encodeFrame(frame, null))).toEqual(frame);
    expect(JSON.parse(encodeFrame(frame, "a.B-1_"))).toEqual({ ...frame, stream_id: "a.B-1_" });
  });
});

describe("an event that shows a response with tools", () => {
  const write = vi.fn<() => object>(() => ({ type: "function", name: "f" }));
  const tools = Object.freeze([{ type: "function", name: "f", toJSON: write }]);
  const response = { id: "resp_1", tools, output: [{ text: 'a "b"}' }] } as unknown as Response;
  const created: ServerEvent = { type: EVENT.created, sequence_number: 0, response };
  const plain = JSON.parse(JSON.stringify(created)) as unknown;

  test("says what it would say anyhow, on any transport", () => {
    expect(JSON.parse(encodeFrame(created, null))).toEqual(plain);
    expect(JSON.parse(encodeFrame(created, "a"))).toEqual({ ...(plain as object), stream_id: "a" });
    expect(JSON.parse(encodeSse(created)[0]?.split("data: ")[1] ?? "")).toEqual(plain);
  });

  test("serialises them once, however often they are shown", () => {
    encodeFrame(created, null);
    write.mockClear();
    encodeFrame({ ...created, type: EVENT.inProgress, response: { ...response } }, null);
    encodeSse(created);
    expect(write).toHaveBeenCalledTimes(0);
  });
});

describe("an SSE block", () => {
  test("names its event after the type and has its data on one line", () => {
    const [block, ...others] = encodeSse(delta("a\nb\r\n\u2028"));
    expect(others).toEqual([]);
    expect(block).toMatch(/^event: response\.output_text\.delta\ndata: [^\n\r]+\n\n$/);
    expect(JSON.parse(block?.split("data: ")[1] ?? "")).toEqual(delta("a\nb\r\n\u2028"));
  });

  test("of a failure is announced by an error event, which takes a number of its own", () => {
    const response = {
      id: "resp_1",
      tools: [],
      error: { code: "server_error", message: "It broke." },
    } as unknown as Response;
    const failed: ServerEvent = { type: EVENT.failed, sequence_number: 9, response };
    const [announcement, block, ...others] = encodeSse(failed).map(
      (text) => JSON.parse(text.split("data: ")[1] ?? "") as Record<string, unknown>,
    );
    expect(others).toEqual([]);
    expect(announcement).toMatchObject({
      type: "error",
      sequence_number: 9,
      code: "server_error",
      message: "It broke.",
      param: null,
      error: { type: "server_error", code: "server_error", message: "It broke.", param: null },
    });
    expect(block).toEqual({ ...failed, sequence_number: 10 });
  });

  test("that ends the stream is the literal [DONE]", () => {
    expect(SSE_DONE).toBe("data: [DONE]\n\n");
  });
});

test("the events that end a turn are known as such", () => {
  const response = {} as unknown as Response;
  const ends = ([EVENT.completed, EVENT.incomplete, EVENT.failed] as const).map((type) => ({
    type,
    sequence_number: 9,
    response,
  }));
  expect(ends.every(isTerminal)).toBe(true);
  expect(isTerminal(delta("a"))).toBe(false);
  expect(isTerminal({ type: EVENT.created, sequence_number: 0, response })).toBe(false);
});

/** Everything that a decoder makes of these bytes. */
function decode(chunks: readonly Uint8Array[], limit = 1_000_000): readonly string[] {
  const decoder = new SseDecoder(limit);
  return [...chunks.flatMap((chunk) => decoder.push(chunk)), ...decoder.end()];
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function cut(all: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...new Set(places.map((place) => place % (all.length + 1)))].toSorted((a, b) => a - b);
  return [...ends, all.length].map((end, index) => all.subarray(ends[index - 1] ?? 0, end));
}

describe("the SSE decoder", () => {
  test("hands out the data of an event when its empty line has come", () => {
    const decoder = new SseDecoder(100);
    expect(decoder.push(bytes("data: a\n"))).toEqual([]);
    expect(decoder.push(bytes("\ndata: b\n\ndata: c"))).toEqual(["a", "b"]);
    expect(decoder.end()).toEqual(["c"]);
  });

  test.each([
    ["CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]],
    ["data on several lines", "data: a\ndata: b\ndata:\ndata: c\n\n", ["a\nb\n\nc"]],
    ["one space after the colon and no more", "data:a\n\ndata:  b\n\n", ["a", " b"]],
    ["other fields and comments", ": ping\nevent: x\nid: 1\nretry: 5\ndata: a\n: pong\n\n: ping\n\n", ["a"]],
    ["an event without data", "event: x\n\ndata: a\n\n", ["a"]],
    ["no last empty line", "data: a\n\ndata: b\n", ["a", "b"]],
    ["no last line end", "data: a\n\ndata: b", ["a", "b"]],
    ["half of the last line end", "data: a\r\n\r\ndata: b\r", ["a", "b"]],
    ["a byte order mark", "\ufeffdata: a\n\n", ["a"]],
    ["empty lines", "\n\n\r\n\ndata: a\n\n\n\n", ["a"]],
    ["nothing", "", []],
  ])("reads %s", (_, text, expected) => {
    expect(decode([bytes(text)])).toEqual(expected);
    // Byte by byte it is the same.
    expect(decode(cut(bytes(text), [...bytes(text).keys()]))).toEqual(expected);
  });

  test("ends with a replacement where the stream was cut within a character", () => {
    const whole = bytes("data: a\u00e9");
    expect(decode([whole.subarray(0, -1)])).toEqual(["a\ufffd"]);
  });

  test("keeps nothing of an event that it has handed out", () => {
    const decoder = new SseDecoder(20);
    for (let index = 0; index < 1_000; index++)
      expect(decoder.push(bytes("data: 0123456789\n\n"))).toEqual(["0123456789"]);
  });

  test.each([
    ["one line", "x"],
    ["many lines", "data: xxxx\n"],
  ])("stops at an event that is longer than its limit, in %s", (_, piece) => {
    const decoder = new SseDecoder(100);
    expect(() => {
      decoder.push(bytes("data: "));
      for (let index = 0; index < 1_000; index++) decoder.push(bytes(piece));
    }).toThrow(new RangeError("an SSE event is longer than 100 characters"));
  });

  test("reads an event as long as its limit", () => {
    const decoder = new SseDecoder(100);
    expect(decoder.push(bytes(`data: ${"x".repeat(94)}`))).toEqual([]);
    expect(decoder.push(bytes("\n\n"))).toEqual(["x".repeat(94)]);
  });

  test("reads back what the encoder writes, however the bytes are cut", () => {
    const text = fc.string({ unit: "binary", maxLength: 40 });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 20 }), (texts, places) => {
        const events = texts.map(delta);
        const stream = bytes([...events.flatMap(encodeSse), SSE_DONE].join(""));
        const read = decode(cut(stream, places));
        expect(read.at(-1)).toBe("[DONE]");
        // What is no text at all (half of a surrogate pair) cannot be told from its replacement in UTF-8.
        expect(read.slice(0, -1).map((data) => JSON.parse(data) as unknown)).toEqual(events);
      }),
    );
  });

  test("reads any lines as the standard says, however the bytes are cut", () => {
    const content = fc.string({ unit: fc.constantFrom("a", ":", " ", "é", "漢", "🚀", "{", '"'), maxLength: 6 });
    const line = fc.oneof(
      fc.constant(""),
      content.map((value) => `data: ${value}`),
      content.map((value) => `data:${value}`),
      content.map((value) => `: ${value}`),
      content.map((value) => `event: ${value}`),
    );
    const ended = fc.tuple(line, fc.constantFrom("\n", "\r\n"));
    fc.assert(
      fc.property(
        fc.array(ended, { maxLength: 12 }),
        fc.boolean(),
        fc.array(fc.nat(), { maxLength: 20 }),
        (lines, hasEnd, places) => {
          const last = lines.length - 1;
          const text = lines.map(([value, end], index) => value + (hasEnd || index < last ? end : "")).join("");
          const expected = standard(lines.map(([value]) => value));
          expect(decode(cut(bytes(text), places))).toEqual(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("never loses its way in any bytes at all", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(), { maxLength: 10 }), (any, places) => {
        expect(decode(cut(any, places))).toEqual(decode([any]));
      }),
    );
  });
});

/** The events of these lines, read line by line; the end of the stream ends the last of them. */
function standard(lines: readonly string[]): readonly string[] {
  const events: string[] = [];
  let data: string[] = [];
  for (const line of [...lines, ""]) {
    if (line === "") {
      if (data.length > 0) events.push(data.join("\n"));
      data = [];
    }
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return events;
}
