import { expect, test } from "vitest";
import { appendJoined } from "../../src/backends/join-deltas.ts";
import type { BackendEvent } from "../../src/core/ports.ts";

function joined(...events: BackendEvent[]): readonly BackendEvent[] {
  const all: BackendEvent[] = [];
  for (const event of events) appendJoined(all, event);
  return all;
}

const argument = (key: number, delta: string) => ({ type: "call.delta", key, delta }) as const;
const text = (delta: string) => ({ type: "text.delta", delta }) as const;
const known = (delta: string) => ({ type: "text.delta", delta, logprobs: [logprob(delta)] }) as const;
const logprob = (token: string) => ({ token, logprob: -1, bytes: [], top_logprobs: [] });

test.each(["text.delta", "refusal.delta", "reasoning.delta", "summary.delta"] as const)("%s joins its like", (type) => {
  expect(joined({ type, delta: "a" }, { type, delta: "b" }, { type, delta: "c" })).toEqual([{ type, delta: "abc" }]);
});

test("deltas of one call join, and of two do not", () => {
  expect(joined(argument(0, "a"), argument(0, "b"), argument(1, "c"), argument(0, "d"))).toEqual([
    argument(0, "ab"),
    argument(1, "c"),
    argument(0, "d"),
  ]);
});

test("what is known of the tokens stays with them, whichever of the two knows it", () => {
  expect(joined(known("a"), known("b"))).toEqual([{ ...text("ab"), logprobs: [logprob("a"), logprob("b")] }]);
  expect(joined(text("a"), known("b"))).toEqual([{ ...text("ab"), logprobs: [logprob("b")] }]);
  expect(joined(known("a"), text("b"))).toEqual([{ ...text("ab"), logprobs: [logprob("a")] }]);
});

test("nothing is joined across another kind, and what is no delta stays as it is", () => {
  const events: BackendEvent[] = [
    { type: "text.delta", delta: "a" },
    { type: "reasoning.delta", delta: "b" },
    { type: "text.delta", delta: "c" },
    { type: "call", key: 0, kind: "function", callId: null, name: "f" },
    { type: "call", key: 1, kind: "function", callId: null, name: "f" },
    { type: "finish", reason: "stop" },
  ];
  expect(joined(...events)).toEqual(events);
});

test("events that were given are not changed", () => {
  const first: BackendEvent = Object.freeze({ type: "text.delta", delta: "a" });
  expect(joined(first, { type: "text.delta", delta: "b" })).toHaveLength(1);
  expect(first.delta).toBe("a");
});
