import { describe, expect, test } from "vitest";
import type { BackendEvent } from "../../src/core/ports.ts";
import type { Session } from "../../src/core/session.ts";
import type { ServerEvent } from "../../src/protocol/events.ts";
import { parseClientEvent } from "../../src/protocol/client-event.ts";
import { answer, callFunctions, finish, Gate, type Step } from "../../src/testing/index.ts";
import { checkGrammar } from "../support/grammar.ts";
import { JournalStore, makeEngine, settled, turn } from "./harness.ts";

const text = (delta: string): readonly BackendEvent[] => [{ type: "text.delta", delta }];
const thought: readonly BackendEvent[] = [{ type: "reasoning.delta", delta: "Hm" }];

/** What a client says, as a transport hands it on. */
function say(session: Session, message: object): void {
  const event = parseClientEvent(message);
  if (event.type === "steer") session.steer(event.steer, () => undefined);
  if (event.type === "interrupt") session.interrupt(event.responseId, event.mode);
}

const names = (events: readonly ServerEvent[]): readonly string[] =>
  events.map((event) => event.type.slice("response.".length));

describe("an interrupt", () => {
  test("beats steers that wait for the end of an item: they come back, and nothing follows by itself", async () => {
    const gate = new Gate();
    const { open, scripted } = makeEngine({ steps: [[thought, text("half"), gate], answer("b")] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    for (const input of ["first", "second"]) {
      say(session, { type: "response.steer", previous_response_id: "resp_1", input });
    }
    say(session, { type: "response.interrupt", response_id: "resp_1" });
    expect((await told.response()).incomplete_details).toEqual({ reason: "interrupted" });
    await session.idle();
    checkGrammar(told.events);
    expect(names(told.events).slice(-5)).toEqual([
      "interrupt.accepted",
      "output_item.interrupted",
      "incomplete",
      "steer.failed",
      "steer.failed",
    ]);
    expect(scripted.calls).toHaveLength(1);
  });

  test("leaves a response that a steer has cut already: what follows has an id of its own", async () => {
    const gate = new Gate();
    const second = new Gate();
    const { open } = makeEngine({ steps: [[gate], [text("b"), second]] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    say(session, { type: "response.steer", previous_response_id: "resp_1", input: "Stop." });
    say(session, { type: "response.interrupt", response_id: "resp_1" });
    await second.reached;
    await settled();
    say(session, { type: "response.interrupt", response_id: "resp_2" });
    await session.idle();
    const reasons = told.events.flatMap((event) =>
      event.type === "response.incomplete" ? event.response.incomplete_details?.reason : [],
    );
    expect(reasons).toEqual(["steered", "interrupted"]);
  });

  test("is taken while the client is behind, and what it drops is no part of the context", async () => {
    const room = Promise.withResolvers<void>();
    const { open, scripted } = makeEngine({ steps: [[thought, text("half"), new Gate()], answer("b")] });
    const session = open();
    const told = turn(
      session,
      { input: "u1", store: false },
      { emit: (events) => (names(events).includes("output_text.delta") ? room.promise : undefined) },
    );
    await settled();
    say(session, { type: "response.interrupt", response_id: "resp_1" });
    expect(names(told.events).slice(-2)).toEqual(["interrupt.accepted", "output_item.interrupted"]);
    room.resolve();
    await told.end;
    checkGrammar(told.events);
    await turn(session, { input: "u2", previous_response_id: "resp_1" }).end;
    expect(scripted.calls[1]?.context.map((item) => item.type)).toEqual(["message", "reasoning", "message"]);
  });

  test("hands out no call, so that none waits for an output", async () => {
    const gate = new Gate();
    const [calls] = callFunctions({ callId: "c1", name: "f" }) as [readonly BackendEvent[]];
    const { open } = makeEngine({ steps: [[calls, gate], answer("b")] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    say(session, { type: "response.interrupt", response_id: "resp_1" });
    expect((await told.response()).output).toEqual([]);
    expect(await turn(session, { previous_response_id: "resp_1" }).code()).toBe("completed");
  });

  test("is stored like any other end, before it is told", async () => {
    const gate = new Gate();
    const store = new JournalStore();
    const { open } = makeEngine({ store, steps: [[text("half"), gate]] });
    const session = open();
    const told = turn(
      session,
      {},
      { emit: (events) => void store.journal.push(...names(events).filter((name) => name === "incomplete")) },
    );
    await gate.reached;
    say(session, { type: "response.interrupt", response_id: "resp_1" });
    await told.end;
    expect(store.journal).toEqual(["put resp_1", "kept resp_1", "incomplete"]);
    expect((await store.load("acme", "resp_1"))?.response.status).toBe("incomplete");
  });

  test("whose response cannot be stored has failed, and says so once", async () => {
    const gate = new Gate();
    const store = new JournalStore();
    store.before = () => Promise.reject(new Error("full"));
    const { open } = makeEngine({ store, steps: [[text("half"), gate]] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    say(session, { type: "response.interrupt", response_id: "resp_1" });
    expect(await told.code()).toBe("server_error");
    checkGrammar(told.events);
  });

  test("concerns one response and no other lane; as response.cancel without an id it means the default lane", async () => {
    const gates = [new Gate(), new Gate(), new Gate()];
    const { open } = makeEngine({ steps: gates.map((gate): Step => [text("a"), gate, finish()]) });
    const session = open();
    const [one, two, none] = ["one", "two", undefined].map((lane) =>
      turn(session, {}, lane === undefined ? {} : { lane }),
    );
    await Promise.all(gates.map((gate) => gate.reached));
    say(session, { type: "response.interrupt", response_id: "resp_2", mode: "discard_partial_items" });
    say(session, { type: "response.cancel" });
    say(session, { type: "response.cancel", response_id: "resp_unknown" });
    for (const gate of gates) gate.open();
    expect((await one?.response())?.status).toBe("completed");
    expect((await two?.response())?.incomplete_details).toEqual({ reason: "interrupted" });
    expect((await none?.response())?.incomplete_details).toEqual({ reason: "interrupted" });
  });
});
