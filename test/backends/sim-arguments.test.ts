import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sampleSchema } from "../../src/backends/sim-arguments.ts";
import { samplePattern } from "../../src/backends/sim-pattern.ts";

type Schema = Record<string, unknown>;

const ajv = new Ajv2020({ strict: false, ownProperties: true, logger: false });

function problemsOf(schema: unknown, value: unknown): unknown {
  const validate = ajv.compile(schema as Schema);
  return validate(value) ? null : { schema, value, errors: validate.errors };
}

const object = (properties: Schema, rest: Schema = {}): Schema => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...rest,
});

const SCHEMAS: { readonly [title: string]: unknown } = {
  "nothing said": {},
  true: true,
  "no parameters": { type: "object", properties: {} },
  "a function as OpenAI's guide declares it": object({
    location: { type: "string", description: "City and country e.g. Bogotá, Colombia" },
    units: { type: "string", enum: ["celsius", "fahrenheit"] },
  }),
  "strict and optional by null": object({
    limit: { type: ["integer", "null"], minimum: 5 },
    cursor: { type: ["null", "string"] },
  }),
  "an optional as pydantic writes it": object({
    name: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
  }),
  "an enum with null": { enum: [null, "a"], type: ["string", "null"] },
  const: object({ kind: { const: "a" }, nothing: { const: null } }),
  "a default that does not fit": { type: "integer", minimum: 3, default: 1 },
  "an example that does not fit": { type: "string", examples: [7, "fits"] },
  "bounds that leave out 1": { type: "integer", minimum: 10, maximum: 12 },
  "exclusive bounds": { type: "integer", exclusiveMinimum: 3, exclusiveMaximum: 5 },
  "only an upper bound": { type: "integer", maximum: -7 },
  "an exclusive upper bound": { type: "number", exclusiveMaximum: 1 },
  "a number between two whole ones": { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 },
  multiples: { type: "number", multipleOf: 0.01, minimum: 0.015 },
  "multiples of seven": { type: "integer", multipleOf: 7, minimum: 1, maximum: 13 },
  "a long text": { type: "string", minLength: 200 },
  "a short text": { type: "string", maxLength: 2 },
  "a pattern with a length": { type: "string", pattern: "^[a-z]+-\\d{2,}$", minLength: 12 },
  lists: object({ tags: { type: "array", items: { type: "string" }, minItems: 3, uniqueItems: true } }),
  "a list of unlike items": { type: "array", items: { enum: ["a", "b", "c"] }, minItems: 3, uniqueItems: true },
  "a list that must be empty": { type: "array", items: { type: "string" }, maxItems: 0 },
  "a tuple": { type: "array", prefixItems: [{ type: "string" }, { type: "integer" }], minItems: 2, items: false },
  "a list that contains": { type: "array", items: { type: "integer" }, contains: { minimum: 5 }, minContains: 2 },
  "a list of anything": { type: "array", minItems: 2 },
  "nested objects": object({
    a: object({ b: object({ c: { type: "array", items: object({ d: { type: "boolean" } }), minItems: 1 } }) }),
  }),
  "required without a property": { type: "object", required: ["a", "constructor", "__proto__"] },
  "required by type of the rest": { type: "object", required: ["a"], additionalProperties: { type: "integer" } },
  "a map": { type: "object", additionalProperties: { type: "number" }, minProperties: 2 },
  "no property at all": { type: "object", properties: { a: { type: "string" } }, maxProperties: 0 },
  "a dependent property": {
    type: "object",
    properties: { a: {}, b: { type: "integer" } },
    required: ["a"],
    dependentRequired: { a: ["b"] },
  },
  "one of several": object({
    action: {
      oneOf: [object({ kind: { const: "open" }, path: { type: "string" } }), object({ kind: { const: "close" } })],
    },
  }),
  "any of, beside other words": {
    type: "object",
    properties: { a: { type: "string" }, b: { type: "integer" } },
    anyOf: [{ required: ["b"] }, { required: ["a"] }],
  },
  "any of and one of at once": { anyOf: [{ type: "integer" }], oneOf: [{ minimum: 40 }, { maximum: 3 }] },
  "all of": {
    allOf: [
      object({ a: { type: "string" } }, { additionalProperties: true }),
      { properties: { b: { type: "integer" } }, required: ["b"] },
    ],
  },
  "all of, on one property": {
    allOf: [object({ a: { type: "number", minimum: 3 } }), { properties: { a: { type: "integer", maximum: 4 } } }],
  },
  "all of, with choices": {
    allOf: [{ anyOf: [{ type: "string" }, { type: "integer" }] }, { type: "integer", minimum: 9 }],
  },
  "all of, with two enums": { allOf: [{ enum: ["a", "b"] }, { enum: ["b", "c"] }] },
  "a reference": {
    ...object({ point: { $ref: "#/$defs/point" } }),
    $defs: { point: object({ x: { type: "number" } }) },
  },
  "a reference beside other words": { $ref: "#/$defs/n", minimum: 5, $defs: { n: { type: "integer", maximum: 6 } } },
  "an odd name of a reference": { $ref: "#/$defs/a~1b%20c", $defs: { "a/b c": { type: "integer" } } },
  "references through references": {
    $ref: "#/definitions/a",
    definitions: { a: { $ref: "#/definitions/b" }, b: { type: "boolean" } },
  },
  "a tree": { ...object({ value: { type: "string" }, children: { type: "array", items: { $ref: "#" } } }) },
  "a linked list, the link first": {
    $ref: "#/$defs/node",
    $defs: { node: object({ next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } }) },
  },
  "a grammar of expressions": {
    $ref: "#/$defs/expression",
    $defs: {
      expression: { anyOf: [{ $ref: "#/$defs/sum" }, { $ref: "#/$defs/literal" }] },
      sum: object({ left: { $ref: "#/$defs/expression" }, right: { $ref: "#/$defs/expression" } }),
      literal: object({ value: { type: "number" } }),
    },
  },
  "no type, but its words": { properties: { list: { items: { minimum: 3 } } }, required: ["list"] },
};

test.each(Object.entries(SCHEMAS))("a value for %s is valid", (_, schema) => {
  for (const variant of [0, 1, 2, 7]) {
    const value = sampleSchema(schema, variant);
    expect(value).not.toBeUndefined();
    expect(problemsOf(schema, value)).toBeNull();
  }
});

test("the same schema and variant give the same value", () => {
  for (const schema of Object.values(SCHEMAS)) expect(sampleSchema(schema, 3)).toEqual(sampleSchema(schema, 3));
});

test("variants take turns through enums and examples", () => {
  const paths = { type: "string", examples: ["a", "b"] };
  expect([0, 1, 2].map((variant) => sampleSchema(paths, variant))).toEqual(["a", "b", "a"]);
  expect([0, 1, 2].map((variant) => sampleSchema({ enum: [1, 2] }, variant))).toEqual([1, 2, 1]);
  expect([0, 1].map((variant) => sampleSchema({ type: "string" }, variant))).toEqual(["example", "example 2"]);
});

test("formats give what they name", () => {
  expect(sampleSchema({ type: "string", format: "date" })).toMatch(/^\d{4}-\d\d-\d\d$/);
  expect(sampleSchema({ type: "string", format: "uuid" })).toMatch(/^[0-9a-f-]{36}$/);
  expect(sampleSchema({ type: "string", format: "unheard-of" })).toBe("example");
});

test("a schema that nothing is valid for gives nothing", () => {
  const impossible = [
    false,
    { enum: [] },
    { type: "integer", minimum: 5, maximum: 4 },
    { type: "integer", exclusiveMinimum: 1, exclusiveMaximum: 2 },
    { type: "string", minLength: 3, maxLength: 2 },
    { type: "array", items: { const: 1 }, minItems: 2, uniqueItems: true },
    { $ref: "#/$defs/missing" },
    { $ref: "https://example.com/elsewhere.json" },
    { $ref: "#" },
    { ...object({ self: { $ref: "#" } }) },
    { allOf: [{ type: "string" }, { type: "integer" }] },
    { type: "tuple" },
  ];
  for (const schema of impossible) expect([schema, sampleSchema(schema)]).toEqual([schema, undefined]);
});

test("a schema that describes a huge value ends soon, without one", () => {
  const levels = Array.from({ length: 40 }, (_, level) => [
    `d${level}`,
    object({ left: { $ref: `#/$defs/d${level + 1}` }, right: { $ref: `#/$defs/d${level + 1}` } }),
  ]);
  const bomb = { $ref: "#/$defs/d0", $defs: { ...Object.fromEntries(levels), d40: { type: "string" } } };
  expect(sampleSchema(bomb)).toBeUndefined();
  expect(sampleSchema({ type: "string", minLength: 1e12 })).toBeUndefined();
  expect(sampleSchema({ type: "array", items: { type: "integer" }, minItems: 1e12 })).toBeUndefined();
  expect(sampleSchema({ type: "object", minProperties: 1e12 })).toBeUndefined();
  let deep: unknown = { type: "string" };
  for (let level = 0; level < 10_000; level++) deep = object({ a: deep });
  expect(sampleSchema(deep)).toBeUndefined();
});

test("the parameters of recorded agents' tools get valid arguments", () => {
  const folder = process.env["TURNWIRE_TRACES"] ?? "../shared/traces";
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];
  for (const file of files) {
    const trace = JSON.parse(readFileSync(join(folder, file), "utf8")) as { readonly tools: readonly Schema[] };
    for (const { parameters } of trace.tools) {
      for (const variant of [0, 1, 5]) expect(problemsOf(parameters, sampleSchema(parameters, variant))).toBeNull();
    }
  }
});

test("any schema of the usual words gets a valid value", () => {
  fc.assert(
    fc.property(schemaArbitrary(), fc.nat({ max: 20 }), (schema, variant) => {
      expect(problemsOf(schema, sampleSchema(schema, variant))).toBeNull();
    }),
    { numRuns: 150 },
  );
});

test("any JSON at all as a schema does no harm", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), noise(), (value, schema) => {
      expect(() => sampleSchema(value)).not.toThrow();
      expect(() => sampleSchema(schema)).not.toThrow();
    }),
    { numRuns: 150 },
  );
});

/** Schemas that some value is valid for. */
function schemaArbitrary(): fc.Arbitrary<Schema> {
  const bounds = fc.tuple(fc.integer({ min: -50, max: 50 }), fc.integer({ min: 0, max: 20 }));
  const { schema } = fc.letrec<{ schema: Schema; leaf: Schema; branch: Schema; object: Schema }>((tie) => ({
    leaf: fc.oneof(
      fc.constantFrom<Schema>({ type: "boolean" }, { type: "null" }, { type: "string" }, { type: ["integer", "null"] }),
      bounds.map(([low, width]) => ({ type: "integer", minimum: low, maximum: low + width })),
      bounds.map(([low, width]) => ({ type: "number", exclusiveMinimum: low, maximum: low + width + 0.5 })),
      fc.integer({ min: 1, max: 9 }).map((step) => ({ type: "integer", multipleOf: step, minimum: -step * 3 })),
      fc
        .tuple(fc.nat(12), fc.nat(12))
        .map(([low, more]) => ({ type: "string", minLength: low, maxLength: low + more })),
      fc
        .uniqueArray(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 4, comparator: "SameValue" })
        .map((values) => ({ enum: values })),
      fc.jsonValue({ maxDepth: 2 }).map((value) => ({ const: value })),
      fc
        .constantFrom("^[A-Z]{3}$", "^a|b$", "^\\d{4}-\\d\\d$", "x+y*z?")
        .map((pattern) => ({ type: "string", pattern })),
      fc.constantFrom<Schema>({ $ref: "#/$defs/name" }, { $ref: "#/$defs/tree" }),
    ),
    object: fc
      .tuple(
        fc.dictionary(fc.constantFrom("a", "b", "c", "d", "constructor"), tie("schema"), { maxKeys: 4 }),
        fc.boolean(),
        fc.nat(4),
      )
      .map(([properties, isClosed, count]) => ({
        type: "object",
        properties,
        required: Object.keys(properties).slice(0, count),
        ...(isClosed && { additionalProperties: false }),
      })),
    branch: fc.oneof(
      tie("object"),
      fc.tuple(tie("schema"), fc.nat(3)).map(([items, fewest]) => ({ type: "array", items, minItems: fewest })),
      fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
      tie("schema").map((only) => ({ oneOf: [only] })),
      tie("schema").map((only) => ({ allOf: [only, {}] })),
      fc
        .array(tie("schema"), { minLength: 1, maxLength: 2 })
        .map((prefixItems) => ({ type: "array", prefixItems, minItems: 1 })),
    ),
    schema: fc.oneof({ maxDepth: 4 }, tie("leaf"), tie("branch")),
  }));
  const name = { type: "string", minLength: 3 };
  const tree = object({ name: { $ref: "#/$defs/name" }, children: { type: "array", items: { $ref: "#/$defs/tree" } } });
  return schema.map((root) => ({ ...root, $defs: { name, tree } }));
}

/** Schemas with the right words and the wrong values. */
function noise(): fc.Arbitrary<unknown> {
  const words =
    "type enum const default examples required properties items minItems maxItems minimum maximum multipleOf".split(
      " ",
    );
  const more = "pattern minLength anyOf oneOf allOf $ref $defs prefixItems additionalProperties contains format".split(
    " ",
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.jsonValue({ maxDepth: 1 }),
      fc.constantFrom("object", "array", "string", "#", "#/$defs/a", "(a", "[", "a{9999}"),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...words, ...more), tie("value"), { maxKeys: 4 }),
    ),
  }));
  return value;
}

describe("a text for a pattern", () => {
  const PATTERNS = [
    "^[a-z]+$",
    "^\\d{3}-\\d{4}$",
    "^(foo|bar)baz$",
    "^(?:a|b){2,}c?$",
    "^[^a-z0-9]$",
    "^[^\\s]+$",
    "^\\S+@\\S+\\.\\S+$",
    "^#[0-9a-fA-F]{6}$",
    "^\\+?[1-9]\\d{1,14}$",
    "^[\\w.-]+/[\\w.-]+$",
    "^\\$\\{[A-Z_]+\\}$",
    "^[A-Z]{3}[0-9]{2}[a-z]?$",
    "^(?<year>\\d{4})-(?<month>0[1-9]|1[0-2])$",
    "^\\u0041\\x42\\u{43}$",
    "^[\\]\\\\-]$",
    "^.{5,10}$",
    "^a{0}$",
    "^$",
    "",
    "\\bword\\b",
    "^[-a-z]$",
    "^[a-z-]$",
    "^\\p{Lu}\\p{Ll}+\\p{N}$",
    "^[\\d_]+$",
    "^a*?b+?$",
    "^\\t\\n\\/$",
    "^漢[あ-ん]+$",
    "^(?:(?:25[0-5]|1\\d\\d)\\.){3}\\d$",
    "^\\D\\W$",
  ];
  test.each(PATTERNS)("%s matches it", (pattern) => {
    for (const extra of [0, 9]) expect(samplePattern(pattern, extra)).toMatch(new RegExp(pattern, "u"));
  });

  test("is as long as was asked, where the pattern lets it", () => {
    expect(samplePattern("^[a-z]+$", 5)).toHaveLength(6);
    expect(samplePattern("^a{2,4}$", 5)).toHaveLength(4);
    expect(samplePattern("^abc$", 5)).toBe("abc");
  });

  test("is not tried where the pattern is too clever, broken or endless", () => {
    for (const pattern of [
      "(?=a)b",
      "(?!a)b",
      "(?<=a)b",
      "(a)\\1",
      "(a",
      "a)",
      "[a",
      "a\\",
      "*",
      "(a{999}){999}",
      "[^\\s\\S]",
      "\\p{Greek}",
      `${"(".repeat(500)}a`,
    ]) {
      expect([pattern, samplePattern(pattern)]).toEqual([pattern, undefined]);
    }
  });

  test("leaves the schema a text of the right length all the same", () => {
    expect(sampleSchema({ type: "string", pattern: "(?=a)b", minLength: 9 })).toHaveLength(9);
  });
});
