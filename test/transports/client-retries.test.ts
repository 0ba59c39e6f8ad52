import { expect, test } from "vitest";
import { retriesFor } from "../../src/transports/client-retries.ts";

test.each([
  [{ "user-agent": "OpenAI/JS 7.59.0", "x-stainless-retry-count": "0" }, 1],
  [{ "user-agent": "OpenAI/JS 7.59.0", "x-stainless-retry-count": "2" }, 0],
  [{ originator: "codex_exec" }, 1],
  [{ "user-agent": "ai/7.0.173 ai-sdk/openai/4.0.118" }, 1],
  [{ "user-agent": "curl/8.5.0" }, undefined],
  [{}, undefined],
])("a client with %j leaves %s further tries", (headers, retries) => {
  expect(retriesFor(headers)).toBe(retries);
});
