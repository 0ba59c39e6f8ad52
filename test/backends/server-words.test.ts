import { describe, expect, test } from "vitest";
import { readServerWords, withoutSecrets } from "../../src/backends/server-words.ts";

test.each<[string, unknown, string | null]>([
  ["OpenAI's envelope", { error: { message: "no", type: "t", code: "c" } }, "no"],
  ["a text as the error", { error: "no" }, "no"],
  ["vLLM's older form", { object: "error", message: "no", code: 400 }, "no"],
  ["an array of envelopes", [{ error: { message: "one" } }, { error: { message: "two" } }], "one: two"],
  ["FastAPI's list of details", { detail: [{ loc: ["body", "a", 0, "b"], msg: "bad", type: "x" }] }, "a.0.b: bad"],
  ["FastAPI's text", { detail: "Not Found" }, "Not Found"],
  ["Cloudflare's list", { success: false, errors: [{ code: 5006, message: "AiError" }] }, "AiError"],
  ["a message that is an object", { error: { message: { msg: "bad" } } }, "bad"],
  [
    "an answer within an answer",
    { error: { message: "Provider returned error", metadata: { raw: '{"error":{"message":"why"}}' } } },
    "Provider returned error: why",
  ],
  [
    "reasons of a moderation",
    { error: { message: "flagged", metadata: { reasons: ["violence"] } } },
    "flagged: violence",
  ],
  ["JSON inside of a sentence's field", { error: { message: '{"detail":"deep"}' } }, "deep"],
  ["MiniMax's status", { base_resp: { status_code: 1004, status_msg: "login fail" } }, "login fail"],
  ["plain text", "  tools are not supported\n", "tools are not supported"],
  [
    "a page",
    "<!DOCTYPE html><html><head><style>a{}</style><title>502</title></head><body>Bad <b>Gateway</b></body></html>",
    "502 Bad Gateway",
  ],
  ["a shape that nobody knows", { fault: { why: 1 } }, '{"fault":{"why":1}}'],
  ["nothing", "", null],
  ["an empty object", {}, null],
  ["an empty error", { error: {} }, null],
])("finds what the server says in %s", (_, body, text) => {
  expect(readServerWords(typeof body === "string" ? body : JSON.stringify(body)).text).toBe(text);
});

test("finds codes and types at every depth", () => {
  const raw = JSON.stringify({ error: { code: "Context_Length_Exceeded" } });
  const { codes } = readServerWords(JSON.stringify({ error: { code: 400, type: "A", metadata: { raw } } }));
  expect([...codes]).toEqual(["400", "a", "context_length_exceeded"]);
});

test("is bounded", () => {
  expect(readServerWords(JSON.stringify({ error: "x".repeat(5000) })).text).toHaveLength(1001);
  let nested: unknown = "deep";
  for (let depth = 0; depth < 1000; depth += 1) nested = { error: nested };
  expect(readServerWords(JSON.stringify(nested)).text).toBeNull();
});

describe("keys", () => {
  test.each([
    ["Incorrect API key provided: sk-abc123def***xyz.", "Incorrect API key provided: [hidden]."],
    ["authorization: Bearer abc.def-ghi", "authorization: [hidden]"],
    ["see https://user:pass@host/v1", "see https://host/v1"],
    ['{"api_key":"0123456789"}', '{"api_key":"[hidden]"}'],
    ["token gsk_12345678 is wrong", "token [hidden] is wrong"],
    ["own-key-of-ours was refused", "[hidden] was refused"],
    ["task-based models and tokens: 500 are fine", "task-based models and tokens: 500 are fine"],
  ])("are hidden: %s", (text, clean) => {
    expect(withoutSecrets(text, ["own-key-of-ours"])).toBe(clean);
  });
});
