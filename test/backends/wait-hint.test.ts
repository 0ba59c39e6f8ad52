import { expect, test } from "vitest";
import { readWaitHint } from "../../src/backends/wait-hint.ts";

const NOW = Date.parse("2026-11-28T19:10:00Z");

test.each<[{ [name: string]: string }, string, number | undefined]>([
  [{ "retry-after": "7" }, "", 7],
  [{ "retry-after": "1.5" }, "", 2],
  [{ "retry-after": "Sat, 28 Nov 2026 19:10:04 GMT" }, "", 4],
  [{ "retry-after": "Sat, 28 Nov 2026 19:00:00 GMT" }, "", 0],
  [{ "retry-after-ms": "30000" }, "", 30],
  [{ "retry-after-ms": "250", "retry-after": "9" }, "", 1],
  [{}, '{"error":{"message":"Please try again in 7m12s."}}', 432],
  [{}, "try again in 6.5s", 7],
  [{}, "Please retry after 20 seconds.", 20],
  [{}, "Try again in 200ms", 1],
  [{}, "Please wait 2 minutes", 120],
  [{}, "try again in 1h2m3s", 3723],
  [{}, '{"error":{"details":[{"retryDelay":"38s"}]}}', 38],
  [{}, '{"error":"Model x is currently loading","estimated_time":20.3}', 21],
  [{}, '{"retry_after_ms": 1500}', 2],
  [{ "x-ratelimit-reset-requests": "7m12s" }, "{}", 432],
  [{ "x-ratelimit-reset-requests": "1ms", "x-ratelimit-reset-tokens": "6s" }, "", 6],
  [
    {
      "x-ratelimit-reset-requests": "1s",
      "x-ratelimit-remaining-requests": "0",
      "x-ratelimit-reset-tokens": "1h",
      "x-ratelimit-remaining-tokens": "5",
    },
    "",
    1,
  ],
  [{ "x-ratelimit-reset": String(NOW + 5000) }, "", 5],
  [{ "x-ratelimit-reset": String(NOW / 1000 + 5) }, "", 5],
  [{ "ratelimit-reset": "12" }, "", 12],
  [{ "anthropic-ratelimit-requests-reset": "2026-11-28T19:10:09Z" }, "", 9],
  [{ "retry-after": "soon" }, "slow down", undefined],
  [{ "retry-after": "-3" }, "", undefined],
])("reads the wait from %j and %j", (headers, body, seconds) => {
  expect(readWaitHint(headers, body, NOW)).toBe(seconds);
});
