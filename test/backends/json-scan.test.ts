import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JsonScan } from "../../src/backends/json-scan.ts";

describe("a scan of JSON that comes in pieces", () => {
  test.each(["{}", '{"a":1}', ' [1, {"a": "b\\"}"}, null] ', '"text"', "[]", "[[]]", '{"a":{"b":[true,-1.5e+3]}}'])(
    "knows that %s is complete, and nothing shorter is",
    (text) => {
      const scan = new JsonScan();
      const end = text.trimEnd().length;
      for (const [index, piece] of text.split("").entries()) {
        expect(scan.isComplete).toBe(index >= end);
        scan.push(piece);
        expect(scan.isBroken).toBe(false);
      }
      expect(scan.isComplete).toBe(true);
    },
  );

  test.each(["{{", '{"a":1}{', "{a", '{"a"1', '{"a":1]', "[1}", '{"a":1,}', "]", '{"a":}', '"a"b', '{"ci{"city"'])(
    "knows that %s can never be JSON",
    (text) => {
      expect(JsonScan.of(text).isBroken).toBe(true);
    },
  );

  test("agrees with the parser about any value, however it is cut", () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), (json, place) => {
        const scan = new JsonScan();
        const at = place % (json.length + 1);
        scan.push(json.slice(0, at));
        scan.push(json.slice(at));
        expect(scan.isBroken).toBe(false);
        expect(scan.isComplete).toBe(/^\s*["[{]/.test(json));
      }),
    );
  });
});
