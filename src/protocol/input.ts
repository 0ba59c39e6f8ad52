import Type from "typebox";
import { ApiError } from "./errors.ts";
import { isItem, type Item, ITEM_SCHEMAS, PART_SCHEMAS, type TextFormat } from "./items.ts";
import { checkTools } from "./tools.ts";
import { compileAll, compileCheck } from "./validation.ts";

const checkItem = compileAll(ITEM_SCHEMAS);
const checkPart = compileAll(PART_SCHEMAS);
const checkSchema = compileCheck(Type.Object({ name: Type.String({ minLength: 1 }), schema: Type.Object({}) }));

/** A part that nobody knows is most often misspelt; the model would not see what it holds. */
function unknownPart(type: string, param: string): ApiError {
  const names = Object.keys(PART_SCHEMAS).map((name) => `'${name}'`);
  const message = `Invalid value: '${type.slice(0, 80)}'. Supported values are: ${names.join(", ")}.`;
  return new ApiError("invalid_value", message, { param });
}

/** @throws ApiError when the format wants a schema and has none */
export function checkFormat(format: TextFormat, path: string): void {
  if (format.type === "json_schema") checkSchema(format, path);
}

/** The input as items: a string is one user message. @throws ApiError */
export function* inputInSteps(input: string | readonly object[]): Generator<void, readonly Item[]> {
  if (typeof input === "string") return [{ type: "message", role: "user", content: input }];
  return yield* itemsInSteps(input, "input");
}

/**
 * Checks items that came in. A message, and a reference to an item, may leave out its `type`.
 * @param path where they are in the request, for the `param` of an error
 * @throws ApiError
 */
export function parseItems(items: readonly object[], path: string): readonly Item[] {
  return finish(itemsInSteps(items, path));
}

/** Items that are checked in one step. */
const STEP_ITEMS = 256;

/** The same, in steps that each take little time. */
function* itemsInSteps(items: readonly object[], path: string): Generator<void, readonly Item[]> {
  const parsed: Item[] = [];
  for (const [index, item] of items.entries()) {
    parsed.push(parseItem(item as { readonly [field: string]: unknown }, `${path}[${index}]`));
    if (index % STEP_ITEMS === STEP_ITEMS - 1) yield;
  }
  return parsed;
}

/** Does in one go what could be done in steps. */
export function finish<Result>(steps: Generator<void, Result>): Result {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

function parseItem(raw: { readonly [field: string]: unknown }, path: string): Item {
  const { type } = raw;
  if ((type ?? null) === null && !("role" in raw) && typeof raw["id"] === "string") {
    return { ...raw, type: "item_reference" };
  }
  if (type !== undefined && typeof type !== "string") {
    throw new ApiError("invalid_type", `Invalid type for '${path}.type': expected a string.`, {
      param: `${path}.type`,
    });
  }
  if (type === undefined && !("role" in raw)) {
    throw new ApiError("missing_required_parameter", `Missing required parameter: '${path}.type'.`, {
      param: `${path}.type`,
    });
  }
  const item: Item = type === undefined ? { ...raw, type: "message" } : (raw as Item);
  const check = checkItem.get(item.type);
  if (check === undefined) return item;
  check(item, path);
  if (isItem(item, "additional_tools")) checkTools(item.tools, `${path}.tools`);
  if (isItem(item, "tool_search_output")) checkTools(item.tools ?? [], `${path}.tools`);
  if (isItem(item, "configuration_update") && item.text) checkFormat(item.text.format, `${path}.text.format`);
  for (const field of ["content", "output", "summary"] as const) {
    const parts = item[field];
    if (!Array.isArray(parts)) continue;
    parts.forEach((part: { readonly type: string }, index) => {
      const at = `${path}.${field}[${index}]`;
      const check = checkPart.get(part.type);
      if (check === undefined) throw unknownPart(part.type, at);
      check(part, at);
    });
  }
  return item;
}
