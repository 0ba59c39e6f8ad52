import { asNumber, sampleNumber, sampleText, type Schema } from "./sim-scalars.ts";

/** What a schema may cost to sample: a client may send one that describes values without end. */
const MOST_STEPS = 10_000;
const DEEPEST = 64;

/**
 * Makes a value that is valid for a JSON schema, always the same one for the same schema and variant. It knows `type`,
 * `enum`, `const`, `default`, `examples`, the bounds of numbers, texts, arrays and objects, simple `pattern`s, common
 * `format`s, `anyOf`, `oneOf` and `allOf`, and references within the schema. `not`, `if` and their like are not looked at.
 *
 * @param variant which of several equally good values: rounds of calls differ in it
 * @returns undefined when it finds no valid value
 */
export function sampleSchema(schema: unknown, variant = 0): unknown {
  return new Sampler(schema).sample(schema, variant, []);
}

/** References that are being followed. The smallest value of a recursive schema follows none of them twice. */
type Trail = readonly string[];

class Sampler {
  readonly #root: unknown;
  #steps = 0;
  #depth = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  sample(schema: unknown, variant: number, trail: Trail): unknown {
    this.#depth += 1;
    const value = this.#depth > DEEPEST ? undefined : this.#all([schema], variant, trail);
    this.#depth -= 1;
    return value;
  }

  /** A value for which all of these schemas hold. Whatever branches is taken apart until only plain keywords are left. */
  #all(schemas: readonly unknown[], variant: number, trail: Trail): unknown {
    this.#steps += 1;
    if (this.#steps > MOST_STEPS || schemas.includes(false)) return undefined;
    const known = schemas.filter(isSchema);
    for (const [index, schema] of known.entries()) {
      const { $ref, allOf, anyOf, oneOf, ...plain } = schema;
      const others = [...known.slice(0, index), ...known.slice(index + 1)];
      if (typeof $ref === "string") {
        const target = this.#lookup($ref);
        if (target === undefined || trail.includes($ref)) return undefined;
        return this.#all([...others, without(schema, "$ref"), target], variant, [...trail, $ref]);
      }
      if (Array.isArray(allOf)) return this.#all([...others, without(schema, "allOf"), ...allOf], variant, trail);
      const branches = [anyOf, oneOf].find((list) => Array.isArray(list)) as readonly unknown[] | undefined;
      if (branches === undefined) continue;
      const rest = Array.isArray(anyOf) && Array.isArray(oneOf) ? { ...plain, oneOf } : plain;
      // Null is the branch that says least, so it comes last.
      for (const branch of branches.toSorted((a, b) => Number(isNullSchema(a)) - Number(isNullSchema(b)))) {
        const value = this.#all([...others, rest, branch], variant, trail);
        if (value !== undefined) return value;
      }
      return undefined;
    }
    return this.#plain(known.reduce<Schema>(merge, {}), variant, trail);
  }

  #plain(schema: Schema, variant: number, trail: Trail): unknown {
    if (schema["const"] !== undefined) return schema["const"];
    if (Array.isArray(schema["enum"])) {
      const values = schema["enum"].filter((value) => fits(value, schema));
      return nth(values.some((value) => value !== null) ? values.filter((value) => value !== null) : values, variant);
    }
    const examples: readonly unknown[] = Array.isArray(schema["examples"]) ? schema["examples"] : [];
    const example = nth(
      examples.filter((value) => fits(value, schema)),
      variant,
    );
    if (example !== undefined) return example;
    if (schema["default"] !== undefined && fits(schema["default"], schema)) return schema["default"];
    for (const type of typesOf(schema)) {
      const value = this.#ofType(type, schema, variant, trail);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  #ofType(type: string, schema: Schema, variant: number, trail: Trail): unknown {
    switch (type) {
      case "object":
        return this.#object(schema, variant, trail);
      case "array":
        return this.#array(schema, variant, trail);
      case "string":
        return sampleText(schema, variant);
      case "integer":
      case "number":
        return sampleNumber(schema, type, variant);
      case "boolean":
        return variant % 2 === 0;
      case "null":
        return null;
      default:
        return undefined;
    }
  }

  /** What is required, and whatever that takes; of an object that requires nothing, the first property. */
  #object(schema: Schema, variant: number, trail: Trail): unknown {
    const properties = asSchema(schema["properties"]);
    const dependent = asSchema(schema["dependentRequired"]);
    const fewest = asNumber(schema["minProperties"]) ?? 0;
    const most = asNumber(schema["maxProperties"]) ?? Number.POSITIVE_INFINITY;
    const members = new Map<string, unknown>();
    const names = strings(schema["required"]);
    for (const name of names) {
      if (members.has(name)) continue;
      const rest = schema["additionalProperties"] === false ? {} : schema["additionalProperties"];
      const value = this.sample(Object.hasOwn(properties, name) ? properties[name] : rest, variant, trail);
      if (value === undefined) return undefined;
      members.set(name, value);
      if (Object.hasOwn(dependent, name)) names.push(...strings(dependent[name]));
    }
    for (const [name, property] of Object.entries(properties)) {
      if (members.size >= Math.max(fewest, Math.min(1, most))) break;
      const value =
        members.has(name) || Object.hasOwn(dependent, name) ? undefined : this.sample(property, variant, trail);
      if (value !== undefined) members.set(name, value);
    }
    for (let extra = 1; members.size < fewest && extra <= fewest; extra++) {
      const value = this.sample(schema["additionalProperties"], variant, trail);
      if (value === undefined) return undefined;
      members.set(`property${extra}`, value);
    }
    return members.size < fewest || members.size > most ? undefined : Object.fromEntries(members);
  }

  /** As many items as there must be; one where there may be none. */
  #array(schema: Schema, variant: number, trail: Trail): unknown {
    const { prefixItems, items, contains } = schema;
    const prefix = [prefixItems, items].find((list) => Array.isArray(list)) as readonly unknown[] | undefined;
    const rest = Array.isArray(items) ? schema["additionalItems"] : items;
    const contained = contains === undefined ? 0 : Math.max(1, asNumber(schema["minContains"]) ?? 1);
    const first = prefix?.length ?? 0;
    const fewest = Math.max(asNumber(schema["minItems"]) ?? 0, contained === 0 ? 0 : first + contained);
    const most = asNumber(schema["maxItems"]) ?? Number.POSITIVE_INFINITY;
    if (fewest > most || fewest > MOST_STEPS) return undefined;
    const values: unknown[] = [];
    const seen = new Set<string>();
    while (values.length < Math.min(Math.max(fewest, 1), most)) {
      const index = values.length;
      const item = prefix?.[index] ?? (index < first + contained ? { allOf: [rest ?? true, contains] } : rest);
      const value = this.sample(item, variant + index, trail);
      const isTaken = schema["uniqueItems"] === true && seen.has(JSON.stringify(value));
      if (value === undefined || isTaken) return index < fewest ? undefined : values;
      seen.add(JSON.stringify(value));
      values.push(value);
    }
    return values;
  }

  /** The schema that `#/$defs/name` and its like point to. */
  #lookup(reference: string): unknown {
    if (!reference.startsWith("#")) return undefined;
    let target = this.#root;
    for (const key of reference.split("/").slice(1)) {
      const name = decode(key);
      if (typeof target !== "object" || target === null || !Object.hasOwn(target, name)) return undefined;
      target = (target as Schema)[name];
    }
    return target;
  }
}

/** Reads one step of a JSON pointer in a URI fragment. */
function decode(key: string): string {
  try {
    return decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~");
  } catch {
    return key;
  }
}

const LOWER_BOUNDS = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"];
const UPPER_BOUNDS = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];

/** One schema for two that must both hold. */
function merge(a: Schema, b: Schema): Schema {
  const merged: Record<string, unknown> = { ...a, ...b };
  for (const keyword of LOWER_BOUNDS) bound(Math.max, keyword);
  for (const keyword of UPPER_BOUNDS) bound(Math.min, keyword);
  if (a["properties"] !== undefined && b["properties"] !== undefined) {
    const [left, right] = [asSchema(a["properties"]), asSchema(b["properties"])];
    const shared = Object.keys(left).filter((name) => Object.hasOwn(right, name));
    const both = shared.map((name) => [name, { allOf: [left[name], right[name]] }]);
    merged["properties"] = { ...left, ...right, ...Object.fromEntries(both) };
  }
  if (a["required"] !== undefined) merged["required"] = [...strings(a["required"]), ...strings(b["required"])];
  if (isSchema(a["items"]) && isSchema(b["items"])) merged["items"] = { allOf: [a["items"], b["items"]] };
  if (a["additionalProperties"] === false) merged["additionalProperties"] = false;
  if (a["uniqueItems"] === true) merged["uniqueItems"] = true;
  if (Array.isArray(a["enum"]) && Array.isArray(b["enum"])) {
    const texts = new Set(b["enum"].map((value) => JSON.stringify(value)));
    merged["enum"] = a["enum"].filter((value) => texts.has(JSON.stringify(value)));
  }
  if (a["type"] !== undefined && b["type"] !== undefined) {
    const [left, right] = [typesOf(a), typesOf(b)];
    const both = left.filter((type) => right.includes(type) || (type === "integer" && right.includes("number")));
    const narrowed = right.filter((type) => type === "integer" && left.includes("number"));
    merged["type"] = [...new Set([...both, ...narrowed])];
  }
  return merged;

  function bound(tighter: (x: number, y: number) => number, keyword: string): void {
    const [left, right] = [asNumber(a[keyword]), asNumber(b[keyword])];
    if (left !== undefined && right !== undefined) merged[keyword] = tighter(left, right);
  }
}

/** Types that a value may have, null last; guessed from other keywords where the schema does not say. */
function typesOf(schema: Schema): readonly string[] {
  const { type } = schema;
  if (typeof type === "string") return [type];
  if (Array.isArray(type)) {
    return strings(type).toSorted((a, b) => Number(a === "null") - Number(b === "null"));
  }
  const has = (...keywords: readonly string[]): boolean => keywords.some((keyword) => schema[keyword] !== undefined);
  if (has("properties", "required", "additionalProperties", "minProperties")) return ["object"];
  if (has("items", "prefixItems", "minItems", "contains")) return ["array"];
  if (has("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")) return ["number"];
  return ["string"];
}

/** Whether a value that the schema itself proposes keeps to its type and bounds. */
function fits(value: unknown, schema: Schema): boolean {
  if (schema["type"] !== undefined) {
    const actual = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
    const types = typesOf(schema);
    if (!types.includes(actual) && !(types.includes("integer") && Number.isInteger(value))) return false;
  }
  const size = typeof value === "number" ? value : typeof value === "string" ? value.length : undefined;
  if (size === undefined) return true;
  const [low, high] =
    typeof value === "number" ? (["minimum", "maximum"] as const) : (["minLength", "maxLength"] as const);
  return size >= (asNumber(schema[low]) ?? size) && size <= (asNumber(schema[high]) ?? size);
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNullSchema(value: unknown): boolean {
  return isSchema(value) && (value["type"] === "null" || value["const"] === null);
}

function asSchema(value: unknown): Schema {
  return isSchema(value) ? value : {};
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((member) => typeof member === "string") : [];
}

function without(schema: Schema, keyword: string): Schema {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => name !== keyword));
}

function nth(values: readonly unknown[], variant: number): unknown {
  return values.length === 0 ? undefined : values[variant % values.length];
}
