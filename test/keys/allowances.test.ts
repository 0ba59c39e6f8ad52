import { expect, test } from "vitest";
import { Allowances } from "../../src/keys/allowances.ts";

const LIMITS = { turnsPerMinute: 2, tokensPerMinute: 100, connections: 1 };

test("keys that have rested are not remembered; one that is in use is", () => {
  let now = 0;
  const allowances = new Allowances(() => now);
  const open = allowances.of("open");
  open.takeTurn(LIMITS);
  open.takeConnection();
  for (let key = 0; key < 1000; key += 1) allowances.of(`rested ${key}`).takeTurn(LIMITS);
  now = 60_000;
  for (let key = 0; key < 5000; key += 1) allowances.of(`later ${key}`).takeTurn(LIMITS);
  now = 120_000;
  for (let key = 0; key < 10_000; key += 1) allowances.of(`last ${key}`);
  expect(allowances.size).toBeLessThan(12_000);
  expect(allowances.of("open")).toBe(open);
  expect(() => allowances.of("open").checkConnection(LIMITS)).toThrow("1 WebSocket connections");
});

test("a debt of tokens is remembered for as long as it lasts", () => {
  let now = 0;
  const allowances = new Allowances(() => now);
  allowances.of("a").takeTurn(LIMITS);
  allowances.of("a").takeTokens(1000);
  now = 60_000;
  for (let key = 0; key < 5000; key += 1) allowances.of(`${key}`);
  expect(() => allowances.of("a").takeTurn(LIMITS)).toThrow("100 tokens per minute");
});

test("a limit that is set later counts from then on, and one that is lifted does not", () => {
  const allowance = new Allowances(() => 0).of("a");
  const free = { turnsPerMinute: null, tokensPerMinute: null, connections: null };
  for (let turn = 0; turn < 10; turn += 1) allowance.takeTurn(free);
  allowance.takeTurn(LIMITS);
  allowance.takeTurn(LIMITS);
  expect(() => allowance.takeTurn(LIMITS)).toThrow("2 turns per minute");
  allowance.takeTurn(free);
});
