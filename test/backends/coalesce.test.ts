import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CoalescingBackend, type Pause } from "../../src/backends/coalesce.ts";
import type { BackendEvent, BackendRequest } from "../../src/core/ports.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { Gate, type Move, ScriptedBackend } from "../../src/testing/index.ts";
import { compactions } from "../support/compactions.ts";

const REQUEST: BackendRequest = {
  model: "m",
  parent: null,
  input: [],
  settings: parseCreateRequest({ model: "m", input: "Hi" }),
  session: {},
  open: compactions.open,
};

const text = (delta: string): BackendEvent => ({ type: "text.delta", delta });
const END: BackendEvent = { type: "finish", reason: "stop" };
const call = (key: number): BackendEvent => ({ type: "call", key, kind: "function", callId: `c${key}`, name: "f" });
const argument = (key: number, delta: string): BackendEvent => ({ type: "call.delta", key, delta });

/** Pauses that end when the test says so. */
function pauses() {
  const open: (() => void)[] = [];
  const cancelled: boolean[] = [];
  const pause = (): Pause => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    open.push(() => resolve(undefined));
    return { over: promise, cancel: () => cancelled.push(true) };
  };
  return { pause, open, cancelled };
}

async function batchesOf(moves: readonly Move[], pause: () => Pause = pauses().pause) {
  const backend = new CoalescingBackend(new ScriptedBackend([moves]), 8, pause);
  const batches: (readonly BackendEvent[])[] = [];
  for await (const batch of backend.stream(REQUEST, new AbortController().signal)) batches.push(batch);
  return batches;
}

describe("deltas that come within the time", () => {
  test("are one, apart from the first, which nothing holds up", async () => {
    const moves = [[text("a")], [text("b")], [text("c"), text("d")], [END]];
    expect(await batchesOf(moves)).toEqual([[text("a")], [text("bcd"), END]]);
  });

  test("are joined within one call only, and a call is said at once", async () => {
    const moves = [
      [text("a")],
      [text("b")],
      [call(0), argument(0, "1")],
      [argument(0, "2")],
      [argument(1, "3"), argument(1, "4"), argument(0, "5")],
      [END],
    ];
    expect(await batchesOf(moves)).toEqual([
      [text("a")],
      [text("b"), call(0), argument(0, "1")],
      [argument(0, "2"), argument(1, "34"), argument(0, "5"), END],
    ]);
  });
});

test("when the time is over what has come leaves, and what comes then is the next", async () => {
  const gate = new Gate();
  const { pause, open, cancelled } = pauses();
  const backend = new CoalescingBackend(
    new ScriptedBackend([[[text("a")], [text("b")], [text("c")], gate, [text("d")], [END]]]),
    8,
    pause,
  );
  const stream = backend.stream(REQUEST, new AbortController().signal)[Symbol.asyncIterator]();
  expect((await stream.next()).value).toEqual([text("a")]);
  const second = stream.next();
  await gate.reached;
  open[0]?.();
  expect((await second).value).toEqual([text("bc")]);
  gate.open();
  expect((await stream.next()).value).toEqual([text("d"), END]);
  expect((await stream.next()).done).toBe(true);
  expect(cancelled).toHaveLength(open.length);
});

test("a failure comes after what was said before it", async () => {
  const backend = new CoalescingBackend(
    new ScriptedBackend([[[text("a")], [text("b")], new Error("cut")]]),
    8,
    pauses().pause,
  );
  const batches: unknown[] = [];
  const reading = (async () => {
    for await (const batch of backend.stream(REQUEST, new AbortController().signal)) batches.push(batch);
  })();
  await expect(reading).rejects.toThrow("cut");
  expect(batches).toEqual([[text("a")], [text("b")]]);
});

test("whoever leaves ends the call behind it", async () => {
  const inner = new ScriptedBackend([[[text("a")], [text("b")], [text("c")]]]);
  const stream = new CoalescingBackend(inner, 8, pauses().pause).stream(REQUEST, new AbortController().signal);
  for await (const _ of stream) break;
  expect(await inner.calls[0]?.ended).toBe("left");
});

test("whatever comes, the same is said in the same order", async () => {
  const event: fc.Arbitrary<BackendEvent> = fc.oneof(
    fc.string({ minLength: 1, maxLength: 3 }).map(text),
    fc.tuple(fc.nat(1), fc.string({ minLength: 1, maxLength: 3 })).map(([key, delta]) => argument(key, delta)),
    fc.nat(1).map(call),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(event, { maxLength: 4 }), { maxLength: 8 }), async (moves: BackendEvent[][]) => {
      const said = (await batchesOf([...moves, [END]])).flat();
      expect(letters(said)).toEqual(letters([...moves.flat(), END]));
    }),
  );
});

/** Events with their deltas cut into single letters: what joining must not change. */
function letters(events: readonly BackendEvent[]): unknown[] {
  return events.flatMap((event): unknown[] =>
    "delta" in event ? Array.from(event.delta, (letter) => ({ ...event, delta: letter })) : [event],
  );
}
