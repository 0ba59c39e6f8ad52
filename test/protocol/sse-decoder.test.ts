import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { encodeSse, SSE_DONE } from "../../src/protocol/codec.ts";
import type { ServerEvent } from "../../src/protocol/events.ts";
import { type SseEvent, SseDecoder } from "../../src/protocol/sse-decoder.ts";
import { EVENT } from "../../src/protocol/table.ts";

const event = (data: string): SseEvent => ({ name: null, data });

const delta = (text: string): ServerEvent => ({
  type: EVENT.textDelta,
  sequence_number: 4,
  item_id: "msg_1",
  output_index: 0,
  content_index: 0,
  delta: text,
  logprobs: [],
});

/** Everything that a decoder makes of these bytes. */
function decode(chunks: readonly Uint8Array[], limit = 1_000_000): readonly string[] {
  const decoder = new SseDecoder(limit);
  return [...chunks.flatMap((chunk) => decoder.push(chunk)), ...decoder.end()].map(({ data }) => data);
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
    expect(decoder.push(bytes("\ndata: b\n\ndata: c"))).toEqual([event("a"), event("b")]);
    expect(decoder.end()).toEqual([event("c")]);
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
    ["lone CRs", "data: a\r\rdata: b\r\r", ["a", "b"]],
    ["line ends of all kinds", "data: a\r\ndata: b\r\r\ndata: c\n\r", ["a\nb", "c"]],
    ["empty data, which is no event", "data:\n\ndata: \n\ndata\n\ndata: a\n\n", ["a"]],
    ["data without a colon as an empty line", "data: a\ndata\ndata: b\n\n", ["a\n\nb"]],
    ["empty lines", "\n\n\r\n\ndata: a\n\n\n\n", ["a"]],
    ["nothing", "", []],
  ])("reads %s", (_, text, expected) => {
    expect(decode([bytes(text)])).toEqual(expected);
    // Byte by byte it is the same.
    expect(decode(cut(bytes(text), [...bytes(text).keys()]))).toEqual(expected);
  });

  test("names an event after its field, and the next one after nothing", () => {
    const decoder = new SseDecoder(100);
    expect(decoder.push(bytes("event: ping\ndata: a\n\ndata: b\n\nevent:\ndata: c\n\n"))).toEqual([
      { name: "ping", data: "a" },
      event("b"),
      event("c"),
    ]);
  });

  test("looks at each character of a long line once", () => {
    const decoder = new SseDecoder(10_000_000);
    const piece = bytes("x".repeat(1000));
    const decode = vi.spyOn(String.prototype, "indexOf");
    let looked = 0;
    for (let index = 0; index < 1000; index++) decoder.push(piece);
    for (const { length } of decode.mock.contexts as string[]) looked += length;
    decode.mockRestore();
    expect(looked).toBeLessThan(3 * 1_000_000);
  });

  test("ends with a replacement where the stream was cut within a character", () => {
    const whole = bytes("data: a\u00e9");
    expect(decode([whole.subarray(0, -1)])).toEqual(["a\ufffd"]);
  });

  test("keeps nothing of an event that it has handed out", () => {
    const decoder = new SseDecoder(20);
    for (let index = 0; index < 1_000; index++)
      expect(decoder.push(bytes("data: 0123456789\n\n"))).toEqual([event("0123456789")]);
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
    expect(decoder.push(bytes("\n\n"))).toEqual([event("x".repeat(94))]);
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
    const ended = fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r"));
    fc.assert(
      fc.property(
        fc.array(ended, { maxLength: 12 }),
        fc.boolean(),
        fc.array(fc.nat(), { maxLength: 20 }),
        (lines, hasEnd, places) => {
          const last = lines.length - 1;
          const text = lines.map(([value, end], index) => value + (hasEnd || index < last ? end : "")).join("");
          const expected = standard(text.split(/\r\n|\r|\n/));
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
      if (data.join("\n") !== "") events.push(data.join("\n"));
      data = [];
    }
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return events;
}
