import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Assembler } from "../../src/core/assembler.ts";
import { responseFrame } from "../../src/core/response-frame.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import { decodeMoves, encodeMoves, type Move } from "../../src/core/recording.ts";
import { replayed } from "../../src/core/replay.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import type { ServerEvent } from "../../src/protocol/events.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import type { Response } from "../../src/protocol/response.ts";
import { answer, FakeRuntime, finish, Gate, type Step } from "../../src/testing/index.ts";
import { anyEvent, anyFinish } from "../support/backend-events.ts";
import { eventsOf, makeEngine, turn } from "./harness.ts";

type Doing = { readonly batch: readonly BackendEvent[]; readonly beside: "nothing" | "aside" | "steer" };
type End = "finish" | "interrupt" | "steer" | "fail";

const anyStep = fc.record({
  batch: fc.array(anyEvent, { maxLength: 4 }),
  beside: fc.constantFrom("nothing" as const, "nothing" as const, "aside" as const, "steer" as const),
});
const anyEnd = fc.constantFrom<End>("finish", "finish", "interrupt", "steer", "fail");

/** What a turn makes of a generation: its events, the response in its last form, and the recording. */
function generate(steps: readonly Doing[], end: End, reason: "stop" | "max_output_tokens" | "content_filter") {
  const runtime = new FakeRuntime();
  const moves: Move[] = [];
  const request = parseCreateRequest({ model: "m", input: "Hi", tools: [{ type: "function", name: "read" }] });
  const assembler = new Assembler(responseFrame(request, runtime), runtime, moves);
  const events: ServerEvent[] = [...assembler.start()];
  for (const { batch, beside } of steps) {
    runtime.advance(1500);
    events.push(...assembler.push(batch));
    if (beside === "aside") events.push(assembler.aside((n) => ({ type: "keepalive", sequence_number: n })));
    if (beside === "steer") assembler.stopAtBoundary();
    if (assembler.isAtBoundary) break;
  }
  const cut = assembler.isAtBoundary ? "steer" : end;
  const last = (): { readonly events: readonly ServerEvent[]; readonly response: Response } => {
    if (cut === "fail") return { events: [], response: assembler.failed(new ApiError("server_error", "No.")) };
    if (cut === "interrupt") {
      events.push(...assembler.interrupt());
      return assembler.cut("interrupted");
    }
    if (cut === "steer" && (assembler.isAtBoundary || assembler.isIdle)) return assembler.cut("steered");
    assembler.push([{ type: "finish", reason }]);
    return assembler.finish();
  };
  const ended = last();
  events.push(...ended.events, assembler.terminal(ended.response));
  return { events, response: ended.response, moves };
}

describe("what was recorded of a response", () => {
  test("makes the very events again, whatever the backend said and however it ended", () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 12 }), anyEnd, anyFinish, (steps, end, reason) => {
        const { events, response, moves } = generate(steps, end, reason);
        // As a store gives it back.
        const stored = JSON.parse(JSON.stringify({ response, recording: encodeMoves(moves) }));
        const again = [...replayed(stored.response, stored.recording)].flat();
        expect(JSON.stringify(again)).toBe(JSON.stringify(events));
      }),
    );
  });

  test("is read as it was written, and deltas that follow each other are one list", () => {
    const moves: Move[] = [
      { type: "text.delta", delta: "a" },
      { type: "text.delta", delta: "b" },
      { type: "call", key: 1, kind: "function", callId: "c", name: "f" },
      { type: "call.delta", key: 1, delta: "x" },
      { type: "call.delta", key: 1, delta: "y" },
      { type: "call.delta", key: 2, delta: "z" },
      { type: "summary.delta", delta: "s" },
    ];
    const encoded = encodeMoves(moves);
    expect(encoded).toEqual([["t", "a", "b"], moves[2], ["c", 1, "x", "y"], ["c", 2, "z"], ["s", "s"]]);
    expect(decodeMoves(encoded)).toEqual(moves);
    expect(() => decodeMoves([["?", "x"]])).toThrow("unknown kind '?'");
  });

  test("is not needed to show what there is: without it each item comes whole", () => {
    const { response } = generate(
      [{ batch: [{ type: "text.delta", delta: "Hi" }], beside: "nothing" }],
      "finish",
      "stop",
    );
    expect([...replayed(response, null)].flat().map(({ type }) => type)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.output_item.done",
      "response.completed",
    ]);
  });
});

describe("the events of a stored response", () => {
  const gate = new Gate();
  const calls: Step = [
    [
      { type: "reasoning.delta", delta: "Hm" },
      { type: "call", key: 0, kind: "function", callId: null, name: "f" },
    ],
    gate,
    [{ type: "call.delta", key: 0, delta: "{}" }],
    finish(),
  ];

  test("come out again as they were streamed, ids that chance made and what was said beside them too", async () => {
    const { engine, open } = makeEngine({ steps: [calls, answer("a", "b")] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    session.keepAlive();
    gate.open();
    const { id } = await told.response();
    const second = turn(session, {
      input: [{ type: "function_call_output", call_id: "call_1", output: "x" }],
      previous_response_id: id,
    });
    await second.end;
    for (const { events, terminal } of [told, second]) {
      expect(await eventsOf(engine, terminal?.response.id ?? "")).toEqual(events);
    }
    expect(told.events.map(({ type }) => type)).toContain("keepalive");
  });

  test("are there for those who may know the response, and nobody else", async () => {
    const { engine, open } = makeEngine({ steps: [answer("a"), answer("b")] });
    const session = open();
    const { id } = await turn(session).response();
    const { id: unstored } = await turn(session, { store: false }).response();
    expect(await engine.runs.follow("acme", unstored)).toBeUndefined();
    expect(await engine.runs.follow("globex", id)).toBeUndefined();
    await engine.delete("acme", id);
    expect(await engine.runs.follow("acme", id)).toBeUndefined();
  });
});
