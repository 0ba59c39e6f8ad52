import type { Json, WireItem } from "./types.ts";
import { isObject } from "./wire.ts";

/** The 31 keys that Open Responses demands of every snapshot of a response, the first one included. */
export const RESPONSE_KEYS = [
  "id",
  "object",
  "created_at",
  "completed_at",
  "status",
  "incomplete_details",
  "model",
  "previous_response_id",
  "instructions",
  "output",
  "error",
  "tools",
  "tool_choice",
  "truncation",
  "parallel_tool_calls",
  "text",
  "top_p",
  "presence_penalty",
  "frequency_penalty",
  "top_logprobs",
  "temperature",
  "reasoning",
  "usage",
  "max_output_tokens",
  "max_tool_calls",
  "store",
  "background",
  "service_tier",
  "metadata",
  "safety_identifier",
  "prompt_cache_key",
] as const;

type Test = { readonly fits: (value: unknown) => boolean; readonly says: string };

const string: Test = { fits: (value) => typeof value === "string", says: "a string" };
const number: Test = { fits: (value) => typeof value === "number", says: "a number (not null)" };
const integer: Test = { fits: Number.isInteger, says: "an integer (not null)" };
const boolean: Test = { fits: (value) => typeof value === "boolean", says: "true or false" };
const array: Test = { fits: Array.isArray, says: "a list" };
const object: Test = { fits: isObject, says: "an object" };
const orNull = ({ fits, says }: Test): Test => ({
  fits: (value) => value === null || fits(value),
  says: `${says}, or null`,
});

/** What each key has to hold. */
const KEY_TESTS: { readonly [key in (typeof RESPONSE_KEYS)[number]]: Test } = {
  id: string,
  object: { fits: (value) => value === "response", says: `"response"` },
  created_at: integer,
  completed_at: orNull(integer),
  status: string,
  incomplete_details: orNull(object),
  model: string,
  previous_response_id: orNull(string),
  instructions: { fits: (value) => value === null || typeof value === "string", says: "a string, or null" },
  output: array,
  error: orNull(object),
  tools: array,
  tool_choice: { fits: (value) => typeof value === "string" || isObject(value), says: "a string or an object" },
  truncation: { fits: (value) => value === "auto" || value === "disabled", says: `"auto" or "disabled"` },
  parallel_tool_calls: boolean,
  text: {
    fits: (value) => isObject(value) && isObject(value["format"]) && value["verbosity"] !== null,
    says: "an object with a 'format', and without a 'verbosity' that is null",
  },
  top_p: number,
  presence_penalty: number,
  frequency_penalty: number,
  top_logprobs: integer,
  temperature: number,
  reasoning: {
    fits: (value) => value === null || (isObject(value) && "effort" in value && "summary" in value),
    says: "null, or an object with both 'effort' and 'summary'",
  },
  usage: orNull(object),
  max_output_tokens: orNull(integer),
  max_tool_calls: orNull(integer),
  store: boolean,
  background: boolean,
  service_tier: string,
  metadata: { fits: (value) => value === null || isObject(value), says: "an object" },
  safety_identifier: orNull(string),
  prompt_cache_key: orNull(string),
};

/** The keys that a snapshot lacks. */
export function missingKeys(response: Json): readonly string[] {
  return RESPONSE_KEYS.filter((key) => !(key in response));
}

/** What is wrong with the values of a snapshot, in words; empty when nothing is. */
export function wrongValues(response: Json): readonly string[] {
  return RESPONSE_KEYS.flatMap((key) => {
    const { fits, says } = KEY_TESTS[key];
    if (!(key in response) || fits(response[key])) return [];
    return [`'${key}' has to be ${says}, not ${JSON.stringify(response[key])}`];
  });
}

/** What is wrong with a usage object; empty when nothing is. */
export function wrongUsage(usage: unknown): readonly string[] {
  if (!isObject(usage)) return ["it is not an object"];
  const problems: string[] = [];
  for (const key of ["input_tokens", "output_tokens", "total_tokens"]) {
    if (!Number.isInteger(usage[key]) || (usage[key] as number) < 0) problems.push(`'${key}' is not a count`);
  }
  for (const [key, field] of [
    ["input_tokens_details", "cached_tokens"],
    ["output_tokens_details", "reasoning_tokens"],
  ] as const) {
    const details = usage[key];
    if (!isObject(details) || !Number.isInteger(details[field])) problems.push(`'${key}.${field}' is not a count`);
  }
  return problems;
}

/** What is wrong with an output item of a known type; empty when nothing is. */
export function wrongItem(item: WireItem): readonly string[] {
  const problems: string[] = [];
  const needs = (field: string, { fits, says }: Test): void => {
    if (!fits(item[field])) problems.push(`'${field}' of a ${item.type} has to be ${says}`);
  };
  switch (item.type) {
    case "message":
      needs("id", string);
      needs("status", string);
      needs("role", string);
      needs("content", array);
      if (item["phase"] === null) problems.push("'phase' of a message has to be left out rather than null");
      for (const part of Array.isArray(item["content"]) ? item["content"] : []) problems.push(...wrongPart(part));
      break;
    case "function_call":
      for (const field of ["id", "call_id", "name", "arguments", "status"]) needs(field, string);
      break;
    case "reasoning":
      needs("id", string);
      needs("summary", array);
      if (item["encrypted_content"] === null) {
        problems.push("'encrypted_content' of a reasoning item has to be left out rather than null");
      }
      break;
    default:
  }
  return problems;
}

function wrongPart(part: unknown): readonly string[] {
  if (!isObject(part)) return ["a content part is not an object"];
  if (part["type"] === "output_text") {
    const problems = typeof part["text"] === "string" ? [] : ["'text' of an output_text part is not a string"];
    return Array.isArray(part["annotations"])
      ? problems
      : [...problems, "an output_text part has no 'annotations' list"];
  }
  if (part["type"] === "refusal") return typeof part["refusal"] === "string" ? [] : ["a refusal part has no 'refusal'"];
  return [];
}
