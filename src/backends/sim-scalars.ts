import { samplePattern } from "./sim-pattern.ts";

/** Texts and numbers within the bounds of a schema. */

export type Schema = { readonly [keyword: string]: unknown };

const LONGEST_TEXT = 10_000;

const FORMATS: { readonly [name: string]: string } = {
  date: "2025-01-31",
  time: "12:00:00Z",
  "date-time": "2025-01-31T12:00:00Z",
  duration: "PT1H",
  email: "someone@example.com",
  hostname: "example.com",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
  uri: "https://example.com/",
  "uri-reference": "/example",
  uuid: "00000000-0000-4000-8000-000000000000",
};

/** A text of the right length and form. Patterns that are too clever are not looked at. */
export function sampleText(schema: Schema, variant: number): string | undefined {
  const { pattern, format } = schema;
  const fewest = asNumber(schema["minLength"]) ?? 0;
  const most = asNumber(schema["maxLength"]) ?? Number.POSITIVE_INFINITY;
  if (fewest > most || fewest > LONGEST_TEXT) return undefined;
  if (typeof pattern === "string") {
    const shortest = samplePattern(pattern);
    const text = shortest && shortest.length < fewest ? samplePattern(pattern, fewest - shortest.length) : shortest;
    if (text !== undefined) return text;
  }
  const known = typeof format === "string" && Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
  if (known !== undefined && known.length >= fewest && known.length <= most) return known;
  const text = variant === 0 ? "example" : `example ${variant + 1}`;
  return text.padEnd(fewest, " example").slice(0, most);
}

/** The smallest number that the schema allows, or 1 when it has no lower bound; a variant goes on from there. */
export function sampleNumber(schema: Schema, type: "integer" | "number", variant: number): number | undefined {
  const above = asNumber(schema["exclusiveMinimum"]);
  const below = asNumber(schema["exclusiveMaximum"]);
  const low = Math.max(asNumber(schema["minimum"]) ?? Number.NEGATIVE_INFINITY, above ?? Number.NEGATIVE_INFINITY);
  const high = Math.min(asNumber(schema["maximum"]) ?? Number.POSITIVE_INFINITY, below ?? Number.POSITIVE_INFINITY);
  const isAllowed = (value: number): boolean => value >= low && value <= high && value !== above && value !== below;
  const multiple = asNumber(schema["multipleOf"]) ?? 1;
  const step = type === "integer" && !Number.isInteger(multiple) ? 1 : multiple;
  // Steps are counted in whole numbers, so that 3 × 0.1 is 0.3.
  const at = (count: number): number => Number((count * step).toPrecision(15));
  let count = Number.isFinite(low) ? Math.ceil(low / step) : high >= step ? 1 : Math.floor(high / step);
  for (const nudge of [0, 1, -1]) {
    if (!isAllowed(at(count + nudge))) continue;
    count += nudge;
    return isAllowed(at(count + variant)) ? at(count + variant) : at(count);
  }
  if (type === "integer" || schema["multipleOf"] !== undefined) return undefined;
  // No whole number lies between the bounds.
  const middle = low === high ? low : low + (high - low) / 2;
  return isAllowed(middle) ? middle : undefined;
}

export function asNumber(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
