import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { overflowIn } from "../../src/backends/overflow.ts";
import { readServerWords } from "../../src/backends/server-words.ts";

function overflow(status: number | null, body: unknown) {
  const { text, codes } = readServerWords(typeof body === "string" ? body : JSON.stringify(body));
  return overflowIn({ status, text, codes });
}

const TOO_LONG: readonly (readonly [number, unknown])[] = [
  [400, { error: { message: "This model's maximum context length is 8192 tokens, you sent more" } }],
  [400, { error: { message: "x", code: "context_length_exceeded" } }],
  [400, [{ error: { message: "The input token count (9) exceeds the maximum number of tokens allowed (8)." } }]],
  [400, { code: "Client specified an invalid argument", error: "This model's maximum prompt length is 8 but got 9." }],
  [422, { error: "`inputs` must have less than 4095 tokens. Given: 5000" }],
  [
    422,
    { error: "`inputs` tokens + `max_new_tokens` must be <= 40. Given: 50 `inputs` tokens and 1 `max_new_tokens`" },
  ],
  [500, { error: { message: "the request exceeds the available context size" } }],
  [413, "Payload Too Large"],
  [413, { error: { type: "request_too_large" } }],
  [400, { error: { message: "prompt is too long: 214315 tokens > 200000 maximum" } }],
  [400, { error: { message: "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000" } }],
  [400, { error: { message: "Range of input length should be [1, 30720]" } }],
  [400, { error: { message: "Input is too long for requested model." } }],
  [400, { error: { message: "Trying to keep the first 9 tokens when context the overflows." } }],
  [400, { error: { message: "输入长度超过模型最大上下文长度" } }],
  [400, { error: { message: "la solicitud supera la ventana de contexto" } }],
  [
    400,
    {
      error: {
        message: "Provider returned error",
        metadata: { raw: '{"error":{"message":"Prompt exceeds max length"}}' },
      },
    },
  ],
  [
    400,
    {
      error: {
        message:
          "maximum context length is 100 tokens. However, you requested 110 (90 in the messages, 20 in the completion).",
      },
    },
  ],
];

test.each(TOO_LONG)("recognises a context that is too long: %s", (status, body) => {
  expect(overflow(status, body)).toBe("context");
});

test.each(TOO_LONG.filter(([status]) => status === 400))("and the same inside a stream: %s %j", (_, body) => {
  expect(overflow(null, body)).toBe("context");
});

test.each([
  "'max_tokens' is too large: 100000. This model's maximum context length is 4096 tokens and your request has 12 input tokens.",
  "max_tokens is too large: 8000. This model supports at most 4096 completion tokens, whereas you provided 8000.",
  "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
  "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window`",
  "maximum context length is 4096 tokens. However, you requested 5000 tokens (90 in the messages, 4910 in the completion). Please reduce the length of the messages or completion.",
  "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens",
  "max_new_tokens must be <= 2048. Given: 5000",
  "Range of max_tokens should be [1, 8192]",
])("tells an output limit that is too large from a context that is too long: %s", (message) => {
  expect(overflow(400, { error: { message } })).toBe("output");
});

test.each([
  [400, "tools are not supported"],
  [400, "Too many tools: the maximum is 128"],
  [400, "Image exceeds the maximum size of 5 MB"],
  [400, "Invalid 'messages[2].tool_call_id': string too long. Expected a string with maximum length 40."],
  [413, "Request too large on tokens per minute (TPM): Limit 6000, Requested 9000, reduce your message size."],
  [401, "maximum context length"],
  [429, "Rate limit: too many tokens"],
])("leaves other refusals alone: %i %s", (status, message) => {
  expect(overflow(status, { error: { message } })).toBeNull();
});

const CASES = new URL("../../../shared/cases/context-overflow.json", import.meta.url);

test.skipIf(!existsSync(CASES))("recognises every collected wording", () => {
  const cases = JSON.parse(readFileSync(CASES, "utf8")) as { server: string; status: number; body: unknown }[];
  expect(cases.length).toBeGreaterThan(30);
  expect(cases.filter(({ status, body }) => overflow(status, body) !== "context")).toEqual([]);
});
