import { describe, expect, test } from "vitest";
import { Assembler } from "../../src/core/assembler.ts";
import { responseFrame } from "../../src/core/response-frame.ts";
import { encodeSse } from "../../src/protocol/codec.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { FakeRuntime, finish } from "../../src/testing/index.ts";
import { checkGrammar, type WireEvent } from "./grammar.ts";

/** One response with everything in it. */
function stream(end: "completed" | "failed"): readonly WireEvent[] {
  const runtime = new FakeRuntime();
  const assembler = new Assembler(responseFrame(parseCreateRequest({ model: "m", input: "Hi" }), runtime), runtime);
  const events = [
    ...assembler.start(),
    ...assembler.push([
      { type: "summary.delta", delta: "s" },
      { type: "reasoning.delta", delta: "r" },
      { type: "text.delta", delta: "t" },
      { type: "text.delta", delta: "u" },
      { type: "refusal.delta", delta: "n" },
      { type: "call", key: 0, kind: "function", callId: "c0", name: "f" },
      { type: "call.delta", key: 0, delta: "{}" },
      { type: "call", key: 1, kind: "custom", callId: "c1", name: "g" },
      { type: "call.delta", key: 1, delta: "x" },
      { type: "item", item: { type: "acme:x", id: "x_1" } },
      ...finish(),
    ]),
  ];
  if (end === "failed") events.push(assembler.terminal(assembler.failed(new ApiError("server_error", "No."))));
  else {
    const last = assembler.finish();
    events.push(...last.events, assembler.terminal(last.response));
  }
  const blocks = events.flatMap(encodeSse);
  return blocks.map((block) => JSON.parse(block.split("data: ")[1] ?? "") as WireEvent);
}

const renumber = (events: readonly WireEvent[]): readonly WireEvent[] =>
  events.map((event, index) => ({ ...event, sequence_number: index }));

describe("the grammar checker", () => {
  const whole = stream("completed");
  const names = whole.map((event, index) => [index, event.type] as const);

  test("lets a whole response through and returns what its last event shows", () => {
    expect(checkGrammar(whole)).toEqual(whole.at(-1)?.["response"]);
    expect(checkGrammar(stream("failed"))["status"]).toBe("failed");
  });

  test.each(names)("misses event %i, %s, when it is left out", (at) => {
    expect(() => checkGrammar(renumber(whole.toSpliced(at, 1)))).toThrow(Error);
  });

  test.each(names)("refuses event %i, %s, when it comes twice", (at) => {
    const event = whole[at] as WireEvent;
    expect(() => checkGrammar(renumber(whole.toSpliced(at, 0, event)))).toThrow(Error);
  });

  test.each(names.flatMap(([at, type]) => Object.keys(whole[at] ?? {}).map((field) => [at, type, field] as const)))(
    "refuses event %i, %s, without its %s",
    (at, _, field) => {
      const { [field]: _gone, ...event } = whole[at] as WireEvent;
      expect(() => checkGrammar(whole.with(at, event as WireEvent))).toThrow(Error);
    },
  );

  test.each(names.slice(1))("refuses a number that is wrong from event %i, %s, on", (at) => {
    const shifted = whole.map((event, index) => (index < at ? event : { ...event, sequence_number: index + 1 }));
    expect(() => checkGrammar(shifted)).toThrow("sequence_number");
  });

  test("refuses an error event that no failure follows", () => {
    const failed = stream("failed");
    const announcement = failed.at(-2) as WireEvent;
    expect(announcement.type).toBe("error");
    expect(() => checkGrammar(renumber(whole.toSpliced(-1, 0, announcement)))).toThrow("response.failed");
    expect(() => checkGrammar(failed.slice(0, -1))).toThrow("no terminal event");
  });
});
