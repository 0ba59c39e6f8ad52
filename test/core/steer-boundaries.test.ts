import { describe, expect, test } from "vitest";
import type { BackendEvent } from "../../src/core/ports.ts";
import type { Session } from "../../src/core/session.ts";
import { isTerminal } from "../../src/protocol/events.ts";
import { parseSteer } from "../../src/protocol/steer.ts";
import { answer, finish, Gate, type Step } from "../../src/testing/index.ts";
import { JournalStore, makeEngine, settled, turn, type TestTurn } from "./harness.ts";

const text = (delta: string): readonly BackendEvent[] => [{ type: "text.delta", delta }];
const thought = (delta: string): readonly BackendEvent[] => [{ type: "reasoning.delta", delta }];
const call = (key: number): readonly BackendEvent[] => [
  { type: "call", key, kind: "function", callId: `c${key}`, name: "f" },
];

function steer(session: Session, id: string, input = "Wait!"): void {
  session.steer(parseSteer({ previous_response_id: id, input }), () => undefined);
}

const names = (told: TestTurn): readonly string[] => told.events.map((event) => event.type.slice("response.".length));
const endings = (told: TestTurn): readonly unknown[] =>
  told.events.filter(isTerminal).map(({ response }) => response.incomplete_details?.reason ?? response.status);

/** A response that is steered at the gate. */
async function steered(moves: (gate: Gate) => Iterable<readonly BackendEvent[] | Gate>) {
  const gate = new Gate();
  const { open, scripted } = makeEngine({ steps: [[...moves(gate)], answer("b")] });
  const session = open();
  const told = turn(session);
  await gate.reached;
  await settled();
  steer(session, "resp_1");
  gate.open();
  await told.end;
  await session.idle();
  return { told, scripted, output: (await told.response()).output.map((item) => item.type) };
}

describe("a steer ends its response", () => {
  test("where the next item begins, in the middle of what the backend says at once", async () => {
    const { told, output } = await steered((gate) => [
      text("a"),
      gate,
      [...text("b"), ...thought("never"), ...text("never"), { type: "finish", reason: "stop" }],
    ]);
    expect([endings(told), output]).toEqual([["steered", "completed"], ["message"]]);
  });

  test("where a call would begin, so that the client has nothing to answer", async () => {
    const { told, output } = await steered((gate) => [thought("Hm"), gate, call(0), finish()]);
    expect([endings(told), output]).toEqual([["steered", "completed"], ["reasoning"]]);
  });

  test("not while a call is open, whatever begins beside it: the client answers first", async () => {
    const { told, output, scripted } = await steered((gate) => [call(0), gate, text("a"), call(1), finish()]);
    expect([endings(told), output]).toEqual([["completed"], ["function_call", "message", "function_call"]]);
    expect(names(told).at(-1)).toBe("steer.pending");
    expect(scripted.calls).toHaveLength(1);
  });

  test("not when it ends by itself before another item begins", async () => {
    const { told, output } = await steered((gate) => [text("a"), gate, text("b"), finish()]);
    expect([endings(told), output]).toEqual([["completed", "completed"], ["message"]]);
  });

  test("and when it runs out of tokens, what follows it has tokens of its own", async () => {
    const { told } = await steered((gate) => [text("a"), gate, finish("max_output_tokens")]);
    expect(endings(told)).toEqual(["max_output_tokens", "completed"]);
  });
});

test("steers are taken while the response that they cut is being stored, and applied with the first", async () => {
  const gate = new Gate();
  const store = new JournalStore();
  const stored = Promise.withResolvers<void>();
  store.before = () => stored.promise;
  const { open, scripted } = makeEngine({ store, steps: [[gate], answer("b")] });
  const session = open();
  const told = turn(session);
  await gate.reached;
  for (const input of ["first", "second", "third"]) {
    steer(session, "resp_1", input);
    await settled();
  }
  stored.resolve();
  await told.end;
  await session.idle();
  expect(endings(told)).toEqual(["steered", "completed"]);
  expect(scripted.calls[1]?.input.map((item) => item["content"])).toEqual(["first", "second", "third"]);
});

test("what follows a steered response has all of its settings and none of its input", async () => {
  const gate = new Gate();
  const { open, scripted } = makeEngine({ steps: [[gate], answer("b")] });
  const session = open();
  const settings = {
    instructions: "Be brief.",
    tools: [{ type: "function", name: "f", parameters: {} }],
    tool_choice: "required",
    parallel_tool_calls: false,
    temperature: 0.5,
    max_output_tokens: 100,
    max_tool_calls: 3,
    reasoning: { effort: "low" },
    text: { format: { type: "json_object" } },
    metadata: { a: "b" },
    store: false,
    user: "u",
    top_k: 3,
  };
  const told = turn(session, settings);
  await gate.reached;
  steer(session, "resp_1", "Stop.");
  await told.end;
  await session.idle();
  const [first, second] = scripted.calls;
  expect(second?.settings).toEqual({ ...first?.settings, previous_response_id: "resp_1", input: second?.input });
  expect(second?.input).toEqual([{ type: "message", role: "user", content: "Stop." }]);
});

test("a lane that is steered goes on by itself before its next turn, and no other lane hears of it", async () => {
  const gates = [new Gate(), new Gate()];
  const steps = [...gates.map((gate): Step => [text("a"), gate, finish()]), answer("follows"), answer("next")];
  const { open, scripted } = makeEngine({ steps });
  const session = open();
  const [one, two] = ["one", "two"].map((lane) => turn(session, { input: lane }, { lane }));
  await Promise.all(gates.map((gate) => gate.reached));
  const next = turn(session, { input: "next" }, { lane: "one" });
  steer(session, "resp_1");
  gates[0]?.open();
  await next.end;
  expect(scripted.calls.slice(2).map((each) => each.input[0]?.["content"])).toEqual(["Wait!", "next"]);
  gates[1]?.open();
  await two?.end;
  expect(names(two as TestTurn).filter((name) => name.startsWith("steer"))).toEqual([]);
  expect(endings(one as TestTurn)).toHaveLength(2);
});
