import { asNumber, sampleNumber, sampleText, type Schema } from "./sim-scalars.ts";

/**
 * What a schema may cost to sample: a client may send one that describes values without end, or that is very large itself.
 * Everything that is looked at, copied or made is paid for by its size, before it is.
 */
const BUDGET = 100_000;
/** Schemas inside of schemas, and choices inside of choices. */
const DEEPEST = 128;
const MOST_ITEMS = 10_000;
/** Characters that cost as much as one keyword. */
const CHARACTERS_PER_UNIT = 10;
/** What a pattern costs beside its length: it may be short and describe a long text. */
const PER_PATTERN = 200;

class Exhausted extends Error {}

/**
 * Makes a value that is valid for a JSON schema, always the same one for the same schema and variant. It knows `type`,
 * `enum`, `const`, `default`, `examples`, the bounds of numbers, texts, arrays and objects, simple `pattern`s, common
 * `format`s, `anyOf`, `oneOf` and `allOf`, and references within the schema. `not`, `if` and their like are not looked at.
 *
 * @param variant which of several equally good values: rounds of calls differ in it
 * @returns undefined when it finds no valid value
 */
export function sampleSchema(schema: unknown, variant = 0): unknown {
  try {
    return new Sampler(schema).sample(schema, variant);
  } catch (error) {
    if (error instanceof Exhausted) return undefined;
    throw error;
  }
}

class Sampler {
  readonly #root: unknown;
  /** References that are being followed. The smallest value of a recursive schema follows none of them twice. */
  readonly #trail = new Set<string>();
  #left = BUDGET;
  #depth = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  sample(schema: unknown, variant: number): unknown {
    return this.#all({}, [schema], variant);
  }

  /** @throws Exhausted */
  #spend(units: number): void {
    this.#left -= units;
    if (this.#left < 0) throw new Exhausted();
  }

  /** Pays for a value that is taken over as it is, and gives it. */
  #paid(value: unknown): unknown {
    for (const pending = [value]; pending.length > 0; ) {
      const next = pending.pop();
      this.#spend(typeof next === "string" ? 1 + next.length / CHARACTERS_PER_UNIT : 1);
      if (typeof next !== "object" || next === null) continue;
      const members: readonly unknown[] = Object.values(next);
      this.#spend(members.length);
      for (const member of members) pending.push(member);
    }
    return value;
  }

  #all(plain: Schema, schemas: readonly unknown[], variant: number): unknown {
    const followed: string[] = [];
    this.#depth += 1;
    try {
      return this.#depth > DEEPEST ? undefined : this.#unfold(plain, [...schemas], variant, followed);
    } finally {
      this.#depth -= 1;
      for (const reference of followed) this.#trail.delete(reference);
    }
  }

  /**
   * A value for which all of these schemas hold. Whatever branches is taken apart, and what is left of it queues up, until
   * only plain keywords are left.
   */
  #unfold(before: Schema, queue: unknown[], variant: number, followed: string[]): unknown {
    let plain = before;
    for (let at = 0; at < queue.length; at += 1) {
      const schema = queue[at];
      this.#spend(1);
      if (schema === false) return undefined;
      if (!isSchema(schema)) continue;
      this.#spend(Object.keys(schema).length);
      const { $ref, allOf, anyOf, oneOf, ...rest } = schema;
      const branches = [anyOf, oneOf].find((list) => Array.isArray(list)) as readonly unknown[] | undefined;
      if (typeof $ref === "string") {
        const target = this.#lookup($ref);
        if (target === undefined || this.#trail.has($ref)) return undefined;
        this.#trail.add($ref);
        followed.push($ref);
        queue.push(without(schema, "$ref"), target);
      } else if (Array.isArray(allOf)) {
        queue.push(without(schema, "allOf"));
        for (const member of allOf as readonly unknown[]) queue.push(member);
      } else if (branches !== undefined) {
        const left = Array.isArray(anyOf) && Array.isArray(oneOf) ? { ...rest, oneOf } : rest;
        const others = [...queue.slice(at + 1), left];
        this.#spend(branches.length);
        // Null is the branch that says least, so it comes last.
        for (const branch of branches.toSorted((a, b) => Number(isNullSchema(a)) - Number(isNullSchema(b)))) {
          this.#spend(others.length);
          const value = this.#all(plain, [...others, branch], variant);
          if (value !== undefined) return value;
        }
        return undefined;
      } else {
        plain = merge(plain, schema, (units) => this.#spend(units));
      }
    }
    return this.#plain(plain, variant);
  }

  #plain(schema: Schema, variant: number): unknown {
    if (schema["const"] !== undefined) return this.#paid(schema["const"]);
    if (Array.isArray(schema["enum"])) {
      this.#spend(schema["enum"].length);
      const values = schema["enum"].filter((value) => fits(value, schema));
      const worded = values.filter((value) => value !== null);
      return this.#paid(nth(worded.length > 0 ? worded : values, variant));
    }
    const examples: readonly unknown[] = Array.isArray(schema["examples"]) ? schema["examples"] : [];
    this.#spend(examples.length);
    const example = nth(
      examples.filter((value) => fits(value, schema)),
      variant,
    );
    if (example !== undefined) return this.#paid(example);
    if (schema["default"] !== undefined && fits(schema["default"], schema)) return this.#paid(schema["default"]);
    for (const type of typesOf(schema)) {
      const value = this.#ofType(type, schema, variant);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  #ofType(type: string, schema: Schema, variant: number): unknown {
    this.#spend(1);
    switch (type) {
      case "object":
        return this.#object(schema, variant);
      case "array":
        return this.#array(schema, variant);
      case "string": {
        const { pattern } = schema;
        if (typeof pattern === "string") this.#spend(PER_PATTERN + pattern.length / CHARACTERS_PER_UNIT);
        return this.#paid(sampleText(schema, variant));
      }
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
  #object(schema: Schema, variant: number): unknown {
    const properties = asSchema(schema["properties"]);
    const dependent = asSchema(schema["dependentRequired"]);
    const fewest = asNumber(schema["minProperties"]) ?? 0;
    const most = asNumber(schema["maxProperties"]) ?? Number.POSITIVE_INFINITY;
    const members = new Map<string, unknown>();
    const names = strings(schema["required"]);
    this.#spend(names.length + Object.keys(properties).length);
    for (const name of names) {
      if (members.has(name)) continue;
      this.#spend(1 + name.length / CHARACTERS_PER_UNIT);
      const rest = schema["additionalProperties"] === false ? {} : schema["additionalProperties"];
      const value = this.sample(Object.hasOwn(properties, name) ? properties[name] : rest, variant);
      if (value === undefined) return undefined;
      members.set(name, value);
      const others = Object.hasOwn(dependent, name) ? strings(dependent[name]) : [];
      this.#spend(others.length);
      for (const other of others) names.push(other);
    }
    for (const [name, property] of Object.entries(properties)) {
      if (members.size >= Math.max(fewest, Math.min(1, most))) break;
      const value = members.has(name) || Object.hasOwn(dependent, name) ? undefined : this.sample(property, variant);
      if (value !== undefined) members.set(name, value);
    }
    for (let extra = 1; members.size < fewest && extra <= fewest; extra++) {
      const value = this.sample(schema["additionalProperties"], variant);
      if (value === undefined) return undefined;
      members.set(`property${extra}`, value);
    }
    return members.size < fewest || members.size > most ? undefined : Object.fromEntries(members);
  }

  /** As many items as there must be; one where there may be none. */
  #array(schema: Schema, variant: number): unknown {
    const { prefixItems, items, contains } = schema;
    const prefix = [prefixItems, items].find((list) => Array.isArray(list)) as readonly unknown[] | undefined;
    const rest = Array.isArray(items) ? schema["additionalItems"] : items;
    const contained = contains === undefined ? 0 : Math.max(1, asNumber(schema["minContains"]) ?? 1);
    const first = prefix?.length ?? 0;
    const fewest = Math.max(asNumber(schema["minItems"]) ?? 0, contained === 0 ? 0 : first + contained);
    const most = asNumber(schema["maxItems"]) ?? Number.POSITIVE_INFINITY;
    if (fewest > most || fewest > MOST_ITEMS) return undefined;
    const values: unknown[] = [];
    const seen = new Set<string>();
    while (values.length < Math.min(Math.max(fewest, 1), most)) {
      const index = values.length;
      const item = prefix?.[index] ?? (index < first + contained ? { allOf: [rest ?? true, contains] } : rest);
      const value = this.sample(item, variant + index);
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
    this.#spend(1 + reference.length / CHARACTERS_PER_UNIT);
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

/** One schema for two that must both hold. @param spend pays for what is copied, before it is */
function merge(a: Schema, b: Schema, spend: (units: number) => void): Schema {
  for (const schema of [a, b]) {
    spend(Object.keys(schema).length);
    for (const keyword of ["required", "enum", "type"]) spend(lengthOf(schema[keyword]));
    spend(Object.keys(asSchema(schema["properties"])).length);
  }
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
    const write = (value: unknown): string => {
      const json = JSON.stringify(value);
      spend(json.length / CHARACTERS_PER_UNIT);
      return json;
    };
    const texts = new Set(b["enum"].map(write));
    merged["enum"] = a["enum"].filter((value) => texts.has(write(value)));
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

function lengthOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 0;
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
