import { describe, expect, test } from "vitest";
import type { BackendEvent } from "../../src/core/ports.ts";
import type { Session } from "../../src/core/session.ts";
import type { ServerEvent } from "../../src/protocol/events.ts";
import { parseSteer } from "../../src/protocol/steer.ts";
import { answer, callFunctions, finish, Gate, type Step } from "../../src/testing/index.ts";
import { checkGrammar } from "../support/grammar.ts";
import { JournalStore, makeEngine, settled, turn } from "./harness.ts";

const text = (delta: string): readonly BackendEvent[] => [{ type: "text.delta", delta }];
const thought: readonly BackendEvent[] = [{ type: "reasoning.delta", delta: "Hm" }];

/** Steers a response; what is said of one that is not running is returned. */
function steer(
  session: Session,
  id: string,
  input: unknown = "Wait!",
  more: object = {},
): readonly [ServerEvent, string][] {
  const answers: [ServerEvent, string][] = [];
  session.steer(parseSteer({ type: "response.steer", previous_response_id: id, input, ...more }), (event, lane) =>
    answers.push([event, lane]),
  );
  return answers;
}

/** The events of each response of a turn and its successors, each a whole stream. */
function streams(events: readonly ServerEvent[]): readonly (readonly ServerEvent[])[] {
  const starts = events.flatMap((event, index) => (event.type === "response.created" ? index : []));
  const parts = starts.map((start, index) => events.slice(start, starts[index + 1]));
  for (const part of parts) checkGrammar(part);
  return parts;
}

const names = (events: readonly ServerEvent[] = []): readonly string[] =>
  events.map((event) => event.type.slice("response.".length));
const errorOf = (event: ServerEvent | undefined): unknown =>
  event !== undefined && "error" in event ? event.error.code : null;

const failures = (events: readonly ServerEvent[]): readonly unknown[] =>
  events.filter((event) => event.type === "response.steer.failed").map(errorOf);

describe("a steer that is taken", () => {
  test("ends the response behind the item that is open, and begins what follows it", async () => {
    const gate = new Gate();
    const { open, scripted } = makeEngine({
      steps: [[text("one"), gate, text(" item"), [...thought, ...text("never")], finish()], answer("As you wish.")],
    });
    const session = open();
    const told = turn(session, { input: "u1", instructions: "Be brief.", store: false });
    await gate.reached;
    expect(steer(session, "resp_1", [{ role: "user", content: "Stop." }])).toEqual([]);
    gate.open();
    await told.end;
    await session.idle();
    const [first, second] = streams(told.events);
    expect(names(first)).toContain("steer.accepted");
    expect(first?.at(-1)).toMatchObject({
      type: "response.incomplete",
      response: { incomplete_details: { reason: "steered" }, output: [{ content: [{ text: "one item" }] }] },
    });
    expect(second?.at(-1)).toMatchObject({
      type: "response.completed",
      response: { id: "resp_2", previous_response_id: "resp_1", instructions: "Be brief.", store: false },
    });
    expect(scripted.calls[1]?.context).toMatchObject([
      { content: "u1" },
      { content: [{ text: "one item" }] },
      { role: "user", content: "Stop." },
    ]);
  });

  test("ends at once a response that has no item open", async () => {
    const gate = new Gate();
    const { open } = makeEngine({ steps: [[gate, text("never"), finish()], answer("a")] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    steer(session, "resp_1");
    await told.end;
    await session.idle();
    const [first] = streams(told.events);
    expect(names(first)).toEqual(["created", "in_progress", "steer.accepted", "incomplete"]);
  });

  test("too late to cut the response is applied to what follows it", async () => {
    const store = new JournalStore();
    const [stored, arrived] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    store.before = async () => {
      arrived.resolve();
      await stored.promise;
    };
    const { open, scripted } = makeEngine({ store, steps: [answer("a"), answer("b")] });
    const session = open();
    const told = turn(session);
    await arrived.promise;
    steer(session, "resp_1", "More.");
    stored.resolve();
    await told.end;
    await session.idle();
    const [first, second] = streams(told.events);
    expect(names(first).slice(-2)).toEqual(["steer.accepted", "completed"]);
    expect(second?.at(-1)?.type).toBe("response.completed");
    expect(scripted.calls[1]?.input).toMatchObject([{ content: "More." }]);
  });

  test("is applied with all others, in their order", async () => {
    const gate = new Gate();
    const { open, scripted } = makeEngine({ steps: [[text("a"), gate, finish()], answer("b")] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    for (const input of ["first", "second"]) steer(session, "resp_1", input);
    gate.open();
    await told.end;
    await session.idle();
    expect(scripted.calls[1]?.input).toMatchObject([{ content: "first" }, { content: "second" }]);
    expect(scripted.calls).toHaveLength(2);
  });

  test("of a response that waits for the client's tools waits with it", async () => {
    const gate = new Gate();
    const [calls] = callFunctions({ callId: "c1", name: "f" }) as [readonly BackendEvent[]];
    const custom: BackendEvent = { type: "call", key: 9, kind: "custom", callId: "c2", name: "g" };
    const { open, scripted } = makeEngine({ steps: [[[...calls, custom], gate, finish()], answer("b")] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    steer(session, "resp_1", "Hurry.");
    gate.open();
    await told.end;
    await settled();
    const [stream] = streams(told.events);
    expect(stream?.slice(-2)).toMatchObject([
      { type: "response.completed" },
      {
        type: "response.steer.pending",
        steer: { id: "steer_1", previous_response_id: "resp_1" },
        required_input: [
          { type: "function_call_output", call_id: "c1", name: "f" },
          { type: "custom_tool_call_output", call_id: "c2" },
        ],
      },
    ]);
    const outputs = [
      { type: "function_call_output", call_id: "c1", output: "1" },
      { type: "custom_tool_call_output", call_id: "c2", output: "2" },
    ];
    expect((await turn(session, { input: outputs, previous_response_id: "resp_1" }).response()).status).toBe(
      "completed",
    );
    expect(scripted.calls[1]?.input).toMatchObject([{ content: "Hurry." }, ...outputs]);
  });

  test("is swallowed by a continuation that is waiting already", async () => {
    const gate = new Gate();
    const { open, scripted } = makeEngine({ steps: [[text("a"), gate, finish()], answer("b")] });
    const session = open();
    const first = turn(session);
    await gate.reached;
    steer(session, "resp_1", "Steered.");
    const second = turn(session, { input: "Sent.", previous_response_id: "resp_1" });
    gate.open();
    await Promise.all([first.end, second.end]);
    await session.idle();
    expect(scripted.calls).toHaveLength(2);
    expect(scripted.calls[1]?.input).toMatchObject([{ content: "Steered." }, { content: "Sent." }]);
  });
});

/** A response that is steered while it runs, and then ends in some way. */
async function steered(end: Step) {
  const gate = new Gate();
  const test = makeEngine({ steps: [[text("a"), gate, ...(end as Iterable<never>)], answer("b")] });
  const session = test.open();
  const told = turn(session);
  await gate.reached;
  steer(session, "resp_1", [{ role: "user", content: "Wait!" }]);
  return { ...test, gate, session, told };
}

describe("a steer is given back", () => {
  test("when its response fails", async () => {
    const { gate, told, session } = await steered([new Error("no")]);
    gate.open();
    await told.end;
    await session.idle();
    const [stream] = streams(told.events);
    expect(stream?.at(-1)).toMatchObject({
      type: "response.steer.failed",
      steer: { id: "steer_1", previous_response_id: "resp_1", input: [{ role: "user", content: "Wait!" }] },
      error: { code: "successor_creation_failed", type: "invalid_request_error" },
    });
  });

  test("when its response is interrupted", async () => {
    const { told, session } = await steered([]);
    session.interrupt("resp_1", null);
    await told.end;
    const [stream] = streams(told.events);
    expect(names(stream).slice(-2)).toEqual(["incomplete", "steer.failed"]);
  });

  test("when the server goes, also one that waits for the client's tools", async () => {
    const gate = new Gate();
    const [calls] = callFunctions({ callId: "c1", name: "f" }) as [readonly BackendEvent[]];
    const { open, engine } = makeEngine({ steps: [[calls, gate, finish()]] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    steer(session, "resp_1");
    gate.open();
    await told.end;
    await settled();
    await engine.drain(new AbortController().signal);
    const [stream] = streams(told.events);
    expect(names(stream).slice(-2)).toEqual(["steer.pending", "steer.failed"]);
  });

  test("when the server goes before what follows has begun", async () => {
    const { gate, told, session, engine } = await steered([finish()]);
    const drained = engine.drain(new AbortController().signal);
    gate.open();
    await drained;
    await session.idle();
    expect(streams(told.events)).toHaveLength(1);
    expect(names(told.events).at(-1)).toBe("steer.failed");
  });

  test("when what follows is refused", async () => {
    const gate = new Gate();
    const { open } = makeEngine({ steps: [[text("a"), gate, finish()], { refuse: new Error("no") }] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    steer(session, "resp_1");
    gate.open();
    await told.end;
    await session.idle();
    expect(names(told.events).at(-1)).toBe("steer.failed");
    expect(told.refusals).toEqual([]);
  });

  test("when another response of its lane takes its place", async () => {
    const [calls] = callFunctions({ callId: "c1", name: "f" }) as [readonly BackendEvent[]];
    const gates = [new Gate(), new Gate()];
    const { open } = makeEngine({
      steps: gates.map((gate): Step => [calls, gate, finish()]),
    });
    const session = open();
    const told = [];
    for (const [index, gate] of gates.entries()) {
      const each = turn(session);
      told.push(each);
      await gate.reached;
      steer(session, `resp_${index + 1}`);
      gate.open();
      await each.end;
      await settled();
    }
    expect(names(told[0]?.events).at(-1)).toBe("steer.failed");
    expect(names(told[1]?.events).at(-1)).toBe("steer.pending");
  });
});

describe("a steer is not taken", () => {
  test("of a response that nobody knows here", () => {
    const session = makeEngine().open();
    const [[event, lane] = []] = steer(session, "resp_9", "Wait!");
    expect(event).toEqual({
      type: "response.steer.failed",
      sequence_number: 0,
      steer: { previous_response_id: "resp_9", input: "Wait!" },
      error: {
        type: "invalid_request_error",
        code: "response_not_found",
        message: "The response to steer is not known on this connection.",
      },
    });
    expect(lane).toBe("");
  });

  test.each([
    ["completed", answer("a"), "response_already_completed"],
    ["is incomplete", [finish("max_output_tokens")], "response_not_active"],
    ["failed", [new Error("no")], "response_not_active"],
  ] as const)(
    "of a response that has %s, under its lane and where it is known under its next number",
    async (_, step, code) => {
      const { open } = makeEngine({ steps: [step as Step] });
      const session = open();
      const told = turn(session, {}, { lane: "lane" });
      await told.end;
      const [[event, lane] = []] = steer(session, "resp_1");
      const [[next] = []] = steer(session, "resp_1", 5);
      const count = told.events.length;
      expect([errorOf(event), lane, event?.sequence_number]).toEqual([code, "lane", count]);
      expect(next?.sequence_number).toBe(count + 1);
    },
  );

  test("when the response is compacted on the way, or holds as many steers as it may, or the input is not allowed", async () => {
    const gates = [new Gate(), new Gate()];
    const { open } = makeEngine({
      steps: gates.map((gate): Step => [text("a"), gate, finish()]),
      limits: { pendingSteers: 0 },
    });
    const session = open();
    const compacting = turn(session, { context_management: [{ type: "compaction" }] }, { lane: "a" });
    const full = turn(session, {}, { lane: "b" });
    await Promise.all(gates.map((gate) => gate.reached));
    expect(steer(session, "resp_1")).toEqual([]);
    expect(steer(session, "resp_2")).toEqual([]);
    expect(steer(session, "resp_2", "Wait!", { stream_id: "b" })).toEqual([]);
    for (const gate of gates) gate.open();
    await Promise.all([compacting.end, full.end]);
    expect(failures(compacting.events)).toEqual(["steering_not_supported"]);
    expect(failures(full.events)).toEqual(["too_many_pending_steers", "invalid_input"]);
    for (const told of [compacting, full]) streams(told.events);
  });

  test("while its terminal event is on its way to a client that is behind", async () => {
    const room = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const { open } = makeEngine({ steps: [answer("a")] });
    const session = open();
    const told = turn(
      session,
      {},
      {
        emit: (events) => {
          if (events.at(-1)?.type !== "response.completed") return undefined;
          arrived.resolve();
          return room.promise;
        },
      },
    );
    await arrived.promise;
    steer(session, "resp_1");
    room.resolve();
    await told.end;
    expect(told.events.at(-1)).toMatchObject({
      type: "response.steer.failed",
      error: { code: "response_already_completed" },
    });
    streams(told.events);
  });

  test("once it has been interrupted or stopped", async () => {
    const gate = new Gate();
    const room = Promise.withResolvers<void>();
    const { open } = makeEngine({ steps: [[text("a"), gate]] });
    const session = open();
    const told = turn(
      session,
      {},
      {
        emit: (events) =>
          events.some((event) => event.type === "response.output_text.delta") ? room.promise : undefined,
      },
    );
    await told.begun;
    await settled();
    session.interrupt("resp_1", null);
    steer(session, "resp_1");
    room.resolve();
    await told.end;
    const failed = told.events.find((event) => event.type === "response.steer.failed");
    expect(errorOf(failed)).toBe("response_not_active");
    streams(told.events);
  });
});

test("only the latest failures are remembered", async () => {
  const { open } = makeEngine({ steps: Array.from({ length: 65 }, (): Step => [new Error("no")]) });
  const session = open();
  for (let count = 0; count < 65; count++) await turn(session).end;
  expect(errorOf(steer(session, "resp_1")[0]?.[0])).toBe("response_not_found");
  expect(errorOf(steer(session, "resp_65")[0]?.[0])).toBe("response_not_active");
});
