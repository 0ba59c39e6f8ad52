import Type, { type TLiteral, type TSchema, type TUnion } from "typebox";
import { Compile } from "typebox/compile";
import type { TLocalizedValidationError } from "typebox/error";
import { ApiError } from "./errors.ts";

/** Throws the `ApiError` that names what is wrong and where, or returns: afterwards the value is known to fit the schema. */
export type Check = (value: unknown, path: string) => void;

type Literals<Values extends string[]> = { [Place in keyof Values]: TLiteral<Values[Place]> };

/** One of a few words. */
export function oneOf<Values extends string[]>(...values: Values): TUnion<Literals<Values>> {
  const literals = values.map((value) => Type.Literal(value)) as Literals<Values>;
  return Type.Union(literals) as TUnion<Literals<Values>>;
}

/** A field that may be left out; null says the same. */
export const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]));

/**
 * Compiles a schema once. `path` is where the value sits in the request (`""` for the whole), so that an error's `param`
 * reads as OpenAI's do: `input[0].content[1].text`.
 */
export function compileCheck(schema: TSchema): Check {
  const validator = Compile(schema);
  return (value, path) => {
    if (!validator.Check(value)) throw toApiError(schema, validator.Errors(value), value, path);
  };
}

/** One check for each type of a thing; a map, since a client may call a type what it likes, `__proto__` included. */
export function compileAll(schemas: { readonly [type: string]: TSchema }): ReadonlyMap<string, Check> {
  return new Map(Object.entries(schemas).map(([type, schema]) => [type, compileCheck(schema)]));
}

function toApiError(
  schema: TSchema,
  errors: readonly TLocalizedValidationError[],
  value: unknown,
  path: string,
): ApiError {
  // In a union the deepest branch is the one that the sender meant.
  const depth = Math.max(...errors.map((error) => error.instancePath.split("/").length));
  const pointer = errors.find((error) => error.instancePath.split("/").length === depth)?.instancePath ?? "";
  const found = errors.filter((error) => error.instancePath === pointer);
  const param = path + toPath(pointer, path === "");
  for (const error of found) {
    if (error.keyword === "required") {
      const name = param === "" ? error.params.requiredProperties[0] : `${param}.${error.params.requiredProperties[0]}`;
      return new ApiError("missing_required_parameter", `Missing required parameter: '${name}'.`, {
        param: name ?? null,
      });
    }
  }
  const actual = at(value, pointer);
  const types = new Set(found.flatMap((error) => (error.keyword === "type" ? error.params.type : [])));
  const choices = found.flatMap((error) => (error.keyword === "const" ? [String(error.params.allowedValue)] : []));
  if (choices.length > 0 && (typeof actual === "string" || types.size === 0)) {
    const list = choices.map((choice) => `'${choice}'`).join(", ");
    const message = `Invalid value: ${quote(actual)}. Supported values are: ${list}.`;
    return new ApiError("invalid_value", message, { param: param || null });
  }
  const range = typeof actual === "number" ? found.flatMap((error) => outOfRange(schema, error, actual, param)) : [];
  if (range[0] !== undefined) return range[0];
  // Where a branch of a union takes the type and refuses the value, the type is not what is wrong.
  const reason = found.find((error) => !["type", "const", "anyOf"].includes(error.keyword))?.message;
  if (reason === undefined && types.size > 0 && !types.has(typeName(actual))) {
    if (choices.length > 0) types.add("string");
    // A field that may be null may be left out: OpenAI does not name it.
    if (types.size > 1) types.delete("null");
    const message = `Invalid type for '${param}': expected ${[...types].map(withArticle).join(" or ")}, but got ${types.has("integer") && typeof actual === "number" ? "a decimal number" : withArticle(typeName(actual))} instead.`;
    return new ApiError("invalid_type", message, { param: param || null });
  }
  return new ApiError("invalid_value", `Invalid value for '${param}': ${reason ?? "is not valid"}.`, {
    param: param || null,
  });
}

/** A number below its minimum or above its maximum, in OpenAI's words. */
function outOfRange(
  schema: TSchema,
  error: TLocalizedValidationError,
  actual: number,
  param: string,
): readonly ApiError[] {
  if (error.keyword !== "minimum" && error.keyword !== "maximum") return [];
  const isMinimum = error.keyword === "minimum";
  const { type } = (at(schema, error.schemaPath) ?? {}) as { readonly type?: unknown };
  const kind = type === "integer" ? "integer" : "decimal";
  const code = `${kind}_${isMinimum ? "below_min" : "above_max"}_value` as const;
  const words = isMinimum ? "below minimum value" : "above maximum value";
  const { comparison, limit } = error.params;
  const message = `Invalid '${param}': ${kind} ${words}. Expected a value ${comparison} ${limit}, but got ${actual} instead.`;
  return [new ApiError(code, message, { param: param || null })];
}

/** `/input/0/content` → `input[0].content`. */
function toPath(pointer: string, isStart: boolean): string {
  const keys = pointer
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  const path = keys.map((key) => (/^\d+$/.test(key) ? `[${key}]` : `.${key}`)).join("");
  return isStart && path.startsWith(".") ? path.slice(1) : path;
}

function at(value: unknown, pointer: string): unknown {
  let current = value;
  for (const key of pointer.split("/").slice(1)) {
    if (typeof current !== "object" || current === null) return undefined;
    current = (current as Record<string, unknown>)[key.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return current;
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (Number.isInteger(value)) return "integer";
  return typeof value;
}

function withArticle(name: string): string {
  if (name === "null") return "null";
  return /^[aeio]/.test(name) ? `an ${name}` : `a ${name}`;
}

function quote(value: unknown): string {
  const text = typeof value === "string" ? `'${value}'` : (JSON.stringify(value) ?? "undefined");
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
