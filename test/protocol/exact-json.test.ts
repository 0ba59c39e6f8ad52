import { expect, test } from "vitest";
import { isRawInteger, parseExactJson } from "../../src/protocol/exact-json.ts";

test.each([
  '{"maximum":9223372036854775807}',
  "[-9223372036854775808,1]",
  '{"a":{"b":[{"c":18446744073709551615}]}}',
  "12345678901234567890123",
  '{"text":": 9007199254740993 in a text","n":9007199254740993}',
])("keeps the digits of %s", (text) => {
  expect(JSON.stringify(parseExactJson(text))).toBe(text);
});

test.each(['{"a":9007199254740991}', "[1.5,2e3,0.1]", '"1234567890123456789"', "[1234567890.1234567]"])(
  "leaves %s to be numbers and texts",
  (text) => {
    expect(parseExactJson(text)).toEqual(JSON.parse(text));
  },
);

test("tells such an integer from an object", () => {
  expect(isRawInteger(parseExactJson("9007199254740993"))).toBe(true);
  expect(isRawInteger({ rawJSON: "1" })).toBe(false);
});
