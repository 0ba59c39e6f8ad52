import Type from "typebox";
import { describe, expect, test } from "vitest";
import { ApiError } from "../../src/protocol/errors.ts";
import { type Check, compileCheck } from "../../src/protocol/validation.ts";

const check = compileCheck(
  Type.Object({
    name: Type.String({ minLength: 1 }),
    count: Type.Optional(Type.Union([Type.Integer({ minimum: 1 }), Type.Null()])),
    ratio: Type.Optional(Type.Number({ maximum: 2 })),
    mode: Type.Optional(Type.Union([Type.Literal("fast"), Type.Literal("slow"), Type.Null()])),
    choice: Type.Optional(
      Type.Union([Type.Union([Type.Literal("auto"), Type.Literal("none")]), Type.Object({ type: Type.String() })]),
    ),
    list: Type.Optional(
      Type.Array(Type.Object({ parts: Type.Optional(Type.Array(Type.Object({ text: Type.String() }))) })),
    ),
    "odd/~name": Type.Optional(Type.Boolean()),
    fixed: Type.Optional(Type.Literal(7)),
  }),
);

/** What the check says: code, message and param; null when the value fits. */
function said(value: unknown, path = "", by: Check = check): readonly (string | null)[] | null {
  try {
    by(value, path);
    return null;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return [error.code, error.message, error.param];
  }
}

test("a value that fits is let through, whatever else it holds", () => {
  expect(
    said({ name: "a", count: null, ratio: 2, mode: "slow", choice: { type: "x" }, list: [{}], more: 1 }),
  ).toBeNull();
});

describe("what is missing", () => {
  test("is named by its path", () => {
    expect(said({})).toEqual(["missing_required_parameter", "Missing required parameter: 'name'.", "name"]);
    expect(said({ name: "a", list: [{}, { parts: [{ text: "" }, {}] }] })).toEqual([
      "missing_required_parameter",
      "Missing required parameter: 'list[1].parts[1].text'.",
      "list[1].parts[1].text",
    ]);
  });

  test("is named from where the value sits in the request", () => {
    expect(said({}, "input[3]")?.[2]).toBe("input[3].name");
    expect(said({ name: "a", list: [{ parts: [{}] }] }, "tools[0]")?.[2]).toBe("tools[0].list[0].parts[0].text");
  });

  test("inside one branch of a union is what the sender left out", () => {
    expect(said({ name: "a", choice: {} })?.[2]).toBe("choice.type");
  });
});

describe("a wrong type", () => {
  test.each([
    [{ name: 1 }, "name", "Invalid type for 'name': expected a string, but got an integer instead."],
    [{ name: null }, "name", "Invalid type for 'name': expected a string, but got null instead."],
    [{ name: "a", count: "1" }, "count", "Invalid type for 'count': expected an integer, but got a string instead."],
    [
      { name: "a", count: 1.5 },
      "count",
      "Invalid type for 'count': expected an integer, but got a decimal number instead.",
    ],
    [{ name: "a", ratio: [] }, "ratio", "Invalid type for 'ratio': expected a number, but got an array instead."],
    [{ name: "a", list: {} }, "list", "Invalid type for 'list': expected an array, but got an object instead."],
    [
      { name: "a", list: [true] },
      "list[0]",
      "Invalid type for 'list[0]': expected an object, but got a boolean instead.",
    ],
    [
      { name: "a", choice: 5 },
      "choice",
      "Invalid type for 'choice': expected a string or an object, but got an integer instead.",
    ],
    [
      { name: "a", "odd/~name": 1 },
      "odd/~name",
      "Invalid type for 'odd/~name': expected a boolean, but got an integer instead.",
    ],
  ])("%j is reported with what was expected", (value, param, message) => {
    expect(said(value)).toEqual(["invalid_type", message, param]);
  });

  test("of the whole has no param at the top of a request, and its path further down", () => {
    expect(said([], "")?.[2]).toBeNull();
    expect(said([], "text")).toEqual([
      "invalid_type",
      "Invalid type for 'text': expected an object, but got an array instead.",
      "text",
    ]);
  });
});

describe("a wrong value", () => {
  test.each([
    [{ name: "a", mode: "swift" }, "mode", "Invalid value: 'swift'. Supported values are: 'fast', 'slow'."],
    [{ name: "a", choice: "maybe" }, "choice", "Invalid value: 'maybe'. Supported values are: 'auto', 'none'."],
    [{ name: "a", fixed: 8 }, "fixed", "Invalid value: 8. Supported values are: '7'."],
    [{ name: "" }, "name", "Invalid value for 'name': must not have fewer than 1 characters."],
  ])("%j is reported with what is supported", (value, param, message) => {
    expect(said(value)).toEqual(["invalid_value", message, param]);
  });

  test.each([
    [
      { name: "a", count: 0 },
      "integer_below_min_value",
      "count",
      "integer below minimum value. Expected a value >= 1, but got 0",
    ],
    [
      { name: "a", ratio: 3 },
      "decimal_above_max_value",
      "ratio",
      "decimal above maximum value. Expected a value <= 2, but got 3",
    ],
  ])("%j is out of its range", (value, code, param, words) => {
    expect(said(value)).toEqual([code, `Invalid '${param}': ${words} instead.`, param]);
  });

  test("is shown, but not at any length", () => {
    const [code, message] = said({ name: "a", mode: "x".repeat(10_000) }) ?? [];
    expect(code).toBe("invalid_value");
    expect(message?.length).toBeLessThan(200);
    expect(message).toContain(`'${"x".repeat(60)}`);
  });

  test("that no rule names is still a wrong value", () => {
    expect(said(1, "x", compileCheck(Type.Never()))).toEqual([
      "invalid_value",
      "Invalid value for 'x': must not be valid.",
      "x",
    ]);
  });
});
