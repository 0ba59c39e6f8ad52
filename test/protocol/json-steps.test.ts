import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ApiError } from "../../src/protocol/errors.ts";
import { parseExactJson } from "../../src/protocol/exact-json.ts";
import { finish } from "../../src/protocol/input.ts";
import { checkJsonLimits, jsonInSteps, type JsonLimits } from "../../src/protocol/json-steps.ts";

const LIMITS: JsonLimits = { maxDepth: 100, maxValues: 10_000 };
const NO_LIMITS: JsonLimits = { maxDepth: Infinity, maxValues: Infinity };

/** With pieces so small that everything is put together from several. */
const read = (text: string | Uint8Array, pieceBytes = 8, limits = LIMITS): unknown =>
  finish(jsonInSteps(typeof text === "string" ? Buffer.from(text) : text, limits, pieceBytes));

/** What reading comes to: the value, or that there is none. */
function outcome(work: () => unknown): unknown {
  try {
    return { value: work() };
  } catch (error) {
    return error instanceof SyntaxError || (error instanceof ApiError && error.code === "invalid_json")
      ? "no JSON"
      : error;
  }
}

const refusal = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error instanceof ApiError ? error.code : error;
  }
};

const text = fc.string({ unit: "grapheme", maxLength: 40 });
const key = fc.oneof(text, fc.constantFrom("__proto__", "constructor", "1", "0", ""));
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    text,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(null, true, false),
    fc.array(tie("value"), { maxLength: 6 }),
    fc.array(fc.tuple(key, tie("value")), { maxLength: 6 }).map((members) => Object.fromEntries(members)),
  ),
}));
/** The same value, written in other ways. */
const written = fc.tuple(value, fc.constantFrom(undefined, 1, "\t"), fc.boolean()).map(([of, space, isEscaped]) => {
  const json = JSON.stringify(of, null, space);
  return isEscaped
    ? json.replaceAll(/[^ -~\s]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : json;
});

const steps = (size: number, make: (size: number) => unknown): number => {
  const reading = jsonInSteps(Buffer.from(JSON.stringify(make(size))), NO_LIMITS, 64);
  for (let count = 0; ; count += 1) if (reading.next().done) return count;
};
const deep = (levels: number): string => `${"[".repeat(levels)}${"]".repeat(levels)}`;
const many = (count: number): string => `[${"0,".repeat(count)}0]`;

describe("JSON that is read in steps", () => {
  test("is what JSON.parse makes of it, in pieces of any size", () => {
    fc.assert(
      fc.property(written, fc.integer({ min: 1, max: 64 }), (json, pieceBytes) => {
        const expected: unknown = parseExactJson(json);
        const actual = read(json, pieceBytes);
        expect(actual).toEqual(expected);
        expect(JSON.stringify(actual)).toBe(JSON.stringify(expected));
      }),
      { numRuns: 500 },
    );
  });

  test("is refused where JSON.parse refuses it, wherever it was damaged", () => {
    const damage = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      cut: fc.integer({ min: 0, max: 3 }),
      put: fc.constantFrom("", ",", ",,", "]", "}", "[", "{", '"', ":", "\\", "1", " 1", "null", '{"a":1}', "\u0001"),
    });
    fc.assert(
      fc.property(written, damage, fc.integer({ min: 1, max: 32 }), (json, { at, cut, put }, pieceBytes) => {
        const place = Math.floor(at * json.length);
        const damaged = json.slice(0, place) + put + json.slice(place + cut);
        expect(outcome(() => read(damaged, pieceBytes))).toEqual(
          outcome(() => parseExactJson(Buffer.from(damaged).toString())),
        );
      }),
      { numRuns: 3000 },
    );
  });

  test.each([
    "",
    " ",
    "[1,]",
    "[,1]",
    "[1,,2]",
    '{"a":1,}',
    '{"a":}',
    '{"a"}',
    "[[1,2,3] 4]",
    "[1][2]",
    "1 2",
    '"a" "b"',
  ])("is none: %j", (json) => {
    expect(outcome(() => read(json, 1))).toBe("no JSON");
  });

  test("keeps integers that no number holds, as JSON at once does", () => {
    const json = `{"tools":[${"1,".repeat(40)}123456789012345678901],"seed":-9007199254740993,"text":"${"x".repeat(40)}"}`;
    expect(JSON.stringify(read(json))).toBe(json);
  });

  test("may begin with the mark of UTF-8, and must be UTF-8", () => {
    expect(read(Buffer.from('\ufeff{"a":[1,2,3,4,5,6,7,8]}'))).toEqual({ a: [1, 2, 3, 4, 5, 6, 7, 8] });
    expect(outcome(() => read(Buffer.from([0x22, 0xff, 0x22])))).toBe("no JSON");
  });

  test("takes as many steps as it has pieces: twice the text, twice the steps", () => {
    const shapes: readonly ((size: number) => unknown)[] = [
      (size) => Array.from({ length: size }, (_, index) => ({ index })),
      (size) => ({ input: "é\n".repeat(size) }),
      (size) => Object.fromEntries(Array.from({ length: size }, (_, index) => [`key${index}`, [index]])),
      (size) => ({ a: [[[Array.from({ length: size }, () => "some text")]]] }),
    ];
    for (const make of shapes) {
      expect(steps(1000, make)).toBeGreaterThan(20);
      expect(steps(2000, make) / steps(1000, make)).toBeLessThan(2.3);
    }
  });
});

describe("the limits of JSON", () => {
  test.each([
    ["in steps", (json: string) => read(json, 8)],
    ["at once", (json: string) => checkJsonLimits(Buffer.from(json), LIMITS)],
  ])("hold for JSON that is read %s", (_, take) => {
    expect(refusal(() => take(deep(101)))).toBe("invalid_value");
    expect(refusal(() => take(deep(100_000)))).toBe("invalid_value");
    expect(refusal(() => take(many(10_001)))).toBe("request_too_large");
    for (const fine of [deep(100), many(9000), JSON.stringify(`${deep(1000)}\\"${many(20_000)}`)]) {
      expect(["invalid_value", "request_too_large"]).not.toContain(refusal(() => take(fine)));
    }
  });
});
