import { describe, expect, test } from "vitest";
import { AnswerBody } from "../../src/backends/answer-body.ts";

/** The data of the chunks in a body, whole or byte by byte. */
function dataOf(body: string, isCut: boolean): { readonly data: readonly string[]; readonly strange: string | null } {
  const reader = new AnswerBody(10_000);
  const bytes = Buffer.from(body);
  const pieces = isCut ? [...bytes].map((byte) => Uint8Array.of(byte)) : [bytes];
  const events = [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
  return { data: events.map(({ data }) => data), strange: reader.strange };
}

describe.each([false, true])("a body, cut into bytes: %s", (isCut) => {
  test.each([
    ["an event stream", 'data: {"a":1}\n\ndata: [DONE]\n\n', ['{"a":1}', "[DONE]"]],
    ["an event stream behind empty lines and a byte order mark", "\ufeff\n\ndata: x\n\n", ["x"]],
    ["one JSON value", '{"a":{"b":[1]}}', ['{"a":{"b":[1]}}', "[DONE]"]],
    ["one JSON value and a line end", ' {"a":1}\n', ['{"a":1}', "[DONE]"]],
    ["one JSON value on many lines", '{\n  "a": 1\n}\n', ['{\n  "a": 1\n}', "[DONE]"]],
    ["one JSON list", '[{"error":1}]', ['[{"error":1}]', "[DONE]"]],
    ["JSON values on lines", '{"a":1}\n\n{"b":2}\r\n{"c":3}', ['{"a":1}', '{"b":2}', '{"c":3}']],
  ])("is %s", (_, body, expected) => {
    const { data, strange } = dataOf(body, isCut);
    expect(data.map((each) => each.trim())).toEqual(expected);
    expect(strange).toBeNull();
  });

  test.each(["<html>Just a moment...</html>", "upstream connect error", ""])("%j is none of them", (body) => {
    expect(dataOf(body, isCut)).toEqual({ data: [], strange: body });
  });
});

test("a JSON value has a limit", () => {
  const reader = new AnswerBody(100);
  expect(() => {
    for (let index = 0; index < 20; index += 1) reader.push(Buffer.from('{"a": "xxxxxxxxxx'));
  }).toThrow(new RangeError("a JSON answer is longer than 100 characters"));
});
