import { describe, expect, test } from "vitest";
import type { BackendEvent } from "../../src/core/ports.ts";
import type { Session } from "../../src/core/session.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { isTerminal, type ServerEvent } from "../../src/protocol/events.ts";
import { parseSteer } from "../../src/protocol/steer.ts";
import { answer, callFunctions, finish, Gate, type Step } from "../../src/testing/index.ts";
import { checkGrammar } from "../support/grammar.ts";
import { JournalStore, makeEngine, settled, turn, type TestTurn } from "./harness.ts";

const text = (delta: string): readonly BackendEvent[] => [{ type: "text.delta", delta }];
const [calls] = callFunctions({ callId: "c1", name: "f" }) as [readonly BackendEvent[]];
const outputs = [{ type: "function_call_output", call_id: "c1", output: "1" }];

type Answer = { readonly event: ServerEvent; readonly lane: string };

/** Steers a response; what is said of one that is not running is returned. */
function steer(session: Session, id: string, input: unknown = "Wait!"): readonly Answer[] {
  const answers: Answer[] = [];
  const request = parseSteer({ type: "response.steer", previous_response_id: id, input });
  session.steer(request, (event, lane) => answers.push({ event, lane }));
  return answers;
}

const names = (told: TestTurn): readonly string[] => told.events.map((event) => event.type.slice("response.".length));

function check(events: readonly ServerEvent[]): void {
  checkGrammar(events);
}

async function after(microtasks: number, act: () => void): Promise<void> {
  for (let count = 0; count < microtasks; count++) await Promise.resolve();
  act();
}

/** Takes the terminal event only when told to. */
function slowAtTheEnd() {
  const room = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const emit = (events: readonly ServerEvent[]): void | Promise<void> => {
    if (!events.some(isTerminal)) return;
    arrived.resolve();
    return room.promise;
  };
  return { emit, arrived: arrived.promise, open: room.resolve };
}

describe("the numbers of a response go on after its end", () => {
  test("behind steers that were announced as pending", async () => {
    const gate = new Gate();
    const session = makeEngine({ steps: [[calls, gate, finish()]] }).open();
    const told = turn(session);
    await gate.reached;
    for (const input of ["one", "two"]) steer(session, "resp_1", input);
    gate.open();
    await told.end;
    await settled();
    expect(names(told).slice(-2)).toEqual(["steer.pending", "steer.pending"]);
    check([...told.events, ...steer(session, "resp_1").map(({ event }) => event)]);
  });

  test("behind steers that came while its terminal event was on its way", async () => {
    const slow = slowAtTheEnd();
    const session = makeEngine({ steps: [answer("a")] }).open();
    const told = turn(session, {}, slow);
    await slow.arrived;
    steer(session, "resp_1");
    slow.open();
    await told.end;
    await settled();
    check([...told.events, ...steer(session, "resp_1").map(({ event }) => event)]);
  });

  test("when it has failed, and on its own lane", async () => {
    const session = makeEngine({ steps: [[text("a"), new Error("no")]] }).open();
    const told = turn(session, {}, { lane: "a" });
    await told.end;
    const [answered] = steer(session, "resp_1");
    expect(answered?.lane).toBe("a");
    check([...told.events, ...(answered === undefined ? [] : [answered.event])]);
  });

  test("when it has been forgotten, and on its own lane", async () => {
    const session = makeEngine({ steps: [answer("a")] }).open();
    const told = turn(session, {}, { lane: "a" });
    await told.end;
    const input = [{ type: "function_call_output", call_id: "stray", output: "" }];
    await turn(session, { previous_response_id: "resp_1", input }, { lane: "a" }).end;
    const [answered] = steer(session, "resp_1");
    expect(answered).toMatchObject({ lane: "a", event: { error: { code: "response_not_found" } } });
    check([...told.events, ...(answered === undefined ? [] : [answered.event])]);
  });

  test("and nothing is said between the number of the terminal event and the event", async () => {
    for (let delay = 0; delay < 12; delay++) {
      const { engine, open } = makeEngine({ steps: [answer("a"), answer("b")] });
      const session = open();
      const told = turn(
        session,
        { store: false },
        {
          emit: (events) => {
            if (!events.some((event) => event.type === "response.output_item.done")) return;
            // Any number of microtasks after the last event before the terminal one.
            void after(delay, () => {
              session.keepAlive();
              steer(session, "resp_1");
            });
          },
        },
      );
      await told.end;
      await settled();
      await engine.drain(new AbortController().signal);
      const second = told.events.findIndex((event, index) => index > 0 && event.type === "response.created");
      check(second === -1 ? told.events : told.events.slice(0, second));
    }
  });
});

describe("a steer that was taken is not lost", () => {
  test("to a continuation that could not be read", async () => {
    const gate = new Gate();
    const { open, scripted } = makeEngine({ steps: [[text("a"), gate, finish()], answer("b")] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    steer(session, "resp_1");
    const sink = { emit: () => undefined, refuse: () => undefined, bytesIn: 0, bytesOut: () => 0 };
    const refused = session.reject(new ApiError("invalid_value", "No."), sink);
    gate.open();
    await refused;
    await session.idle();
    expect(scripted.calls[1]?.input).toMatchObject([{ content: "Wait!" }]);
    expect(told.events.filter(isTerminal)).toHaveLength(2);
  });

  test("to a server that goes before what follows has a place to run", async () => {
    const gates = [new Gate(), new Gate()];
    const [first, second] = gates as [Gate, Gate];
    const steps: Step[] = [[text("a"), first, finish()], [second, finish()], answer("c")];
    const { open, scripted } = makeEngine({ steps, limits: { turnsInFlight: 1 } });
    const session = open();
    const told = turn(session);
    await first.reached;
    const other = turn(session, {}, { lane: "other" });
    steer(session, "resp_1");
    first.open();
    await second.reached;
    // The lane that was steered waits for the other one to end.
    session.refuse(new ApiError("server_shutting_down", "No."));
    second.open();
    await other.end;
    await session.idle();
    // What is applied is not given back, and what is given back begins nothing.
    const applied = scripted.calls.slice(2).map((call) => call.input);
    const failed = told.events.filter((event) => event.type === "response.steer.failed");
    expect([applied.length, failed.length]).toEqual([1, 0]);
    expect(applied[0]).toMatchObject([{ content: "Wait!" }]);
  });

  test("to a server that goes while the client's own continuation waits", async () => {
    const gates = [new Gate(), new Gate()];
    const [first, second] = gates as [Gate, Gate];
    const steps: Step[] = [[calls, first, finish()], [second, finish()], answer("c")];
    const { open, scripted } = makeEngine({ steps, limits: { turnsInFlight: 1 } });
    const session = open();
    const told = turn(session);
    await first.reached;
    const other = turn(session, {}, { lane: "other" });
    steer(session, "resp_1");
    const next = turn(session, { previous_response_id: "resp_1", input: outputs });
    first.open();
    await second.reached;
    session.refuse(new ApiError("server_shutting_down", "No."));
    second.open();
    await Promise.all([other.end, next.end]);
    expect(names(told)).not.toContain("steer.failed");
    expect(scripted.calls[2]?.input).toMatchObject([{ content: "Wait!" }, ...outputs]);
  });

  test("because its input is nested so deeply that it cannot be given back", async () => {
    const gate = new Gate();
    const { open } = makeEngine({ steps: [[text("a"), gate, finish()]] });
    const session = open();
    const told = turn(session, {}, { emit: (events) => void JSON.stringify(events) });
    await gate.reached;
    const deep = JSON.parse(`${"[".repeat(50_000)}${"]".repeat(50_000)}`) as unknown;
    steer(session, "resp_1", deep);
    steer(session, "resp_1", [{ role: "user", content: [{ type: "input_file", deep }] }]);
    gate.open();
    await told.end;
    await session.idle();
    expect(names(told).filter((name) => name.startsWith("steer"))).toEqual(["steer.failed", "steer.failed"]);
    check(told.events);
  });
});

describe("a server that goes", () => {
  test("takes no steer that it could only give back, so the response is not cut for it", async () => {
    const gate = new Gate();
    const { open } = makeEngine({ steps: [[text("a"), gate, [{ type: "reasoning.delta", delta: "Hm" }], finish()]] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    session.refuse(new ApiError("server_shutting_down", "No."));
    steer(session, "resp_1");
    gate.open();
    expect((await told.response()).status).toBe("completed");
    expect(told.events.find((event) => event.type === "response.steer.failed")).toMatchObject({
      error: { code: "response_not_active" },
    });
  });
});

describe("a response whose terminal event is on its way", () => {
  test("is not said to be uninterruptible", async () => {
    const slow = slowAtTheEnd();
    const session = makeEngine({ steps: [answer("a")] }).open();
    const told = turn(session, {}, slow);
    await slow.arrived;
    session.interrupt("resp_1", "keep_everything");
    slow.open();
    await told.end;
    expect(names(told).at(-1)).toBe("completed");
  });

  test("of failure was not completed, so steers hear that it takes no more", async () => {
    const slow = slowAtTheEnd();
    const session = makeEngine({ steps: [[new Error("no")]] }).open();
    const told = turn(session, {}, slow);
    await slow.arrived;
    steer(session, "resp_1");
    slow.open();
    await told.end;
    expect(told.events.at(-1)).toMatchObject({ error: { code: "response_not_active" } });
  });
});

describe("after the client has left nothing is said", () => {
  test("of steers, when it left while the terminal event was on its way", async () => {
    const slow = slowAtTheEnd();
    const gate = new Gate();
    const session = makeEngine({ steps: [[text("a"), gate, finish()]] }).open();
    const told = turn(session, {}, slow);
    await gate.reached;
    steer(session, "resp_1");
    gate.open();
    await slow.arrived;
    const said = told.events.length;
    session.close();
    slow.open();
    await told.end;
    await settled();
    expect(told.events).toHaveLength(said);
    expect(steer(session, "resp_1")).toEqual([]);
  });

  test("of turns that were refused in their place, and the server's going changes nothing", async () => {
    const { open } = makeEngine({ steps: [[new Gate()]] });
    const session = open();
    const told = turn(session);
    await told.begun;
    const refusals: ApiError[] = [];
    const sink = {
      emit: () => undefined,
      refuse: (error: ApiError) => void refusals.push(error),
      bytesIn: 0,
      bytesOut: () => 0,
    };
    const refused = session.reject(new ApiError("invalid_value", "No."), sink);
    const waiting = turn(session);
    session.close();
    session.stop("shutting_down");
    const late = turn(session);
    await Promise.all([refused, waiting.end, late.end]);
    expect([refusals, waiting.refusals, late.refusals]).toEqual([[], [], []]);
  });

  test("and what was being stored is not kept here any more", async () => {
    const store = new JournalStore();
    const [arrived, stored] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    store.before = async () => {
      arrived.resolve();
      await stored.promise;
    };
    const session = makeEngine({ store, steps: [answer("a")] }).open();
    const told = turn(session);
    await arrived.promise;
    session.close();
    stored.resolve();
    expect((await told.end).outcome).toBe("abandoned");
    expect(told.terminal).toBeUndefined();
  });
});

test("the response that follows a steer came with no request: its bytes are its own", async () => {
  const gate = new Gate();
  const { open, reports } = makeEngine({ steps: [[text("a"), gate, finish()], answer("b")] });
  const session = open();
  const told = turn(session);
  await gate.reached;
  steer(session, "resp_1");
  gate.open();
  await told.end;
  await session.idle();
  expect(reports().map((report) => report.bytesIn)).toEqual([10, 0]);
  // The harness counts an event as a byte.
  expect(reports().reduce((sum, report) => sum + report.bytesOut, 0)).toBe(told.events.length);
});
