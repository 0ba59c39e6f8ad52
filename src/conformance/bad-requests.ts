import { SAY_OK } from "./prompts.ts";
import type { Json } from "./types.ts";

/** Requests that nobody can serve, each with the field at fault. */
export const BAD_REQUESTS: readonly (readonly [what: string, fields: Json, param: RegExp])[] = [
  ["an input that is a number", { input: 42 }, /^input/],
  ["a role that does not exist", { input: [{ type: "message", role: "pirate", content: "x" }] }, /^input(\[0\]|\.0)/],
  ["a message without content", { input: [{ type: "message", role: "user" }] }, /^input(\[0\]|\.0)/],
  ["tools that are no list", { input: SAY_OK, tools: "all" }, /^tools/],
  ["a function without a name", { input: SAY_OK, tools: [{ type: "function" }] }, /^tools(\[0\]|\.0)/],
  ["a negative max_output_tokens", { input: SAY_OK, max_output_tokens: -1 }, /^max_output_tokens/],
  ["a previous_response_id that is a number", { input: SAY_OK, previous_response_id: 7 }, /^previous_response_id/],
  ["metadata that is a list", { input: SAY_OK, metadata: ["x"] }, /^metadata/],
];
