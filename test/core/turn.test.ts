import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Backend, BackendEvent } from "../../src/core/ports.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { isTerminal, type ServerEvent } from "../../src/protocol/events.ts";
import { answer, callFunctions, finish, Gate, type Step } from "../../src/testing/index.ts";
import { anyEvent, anyFinish } from "../support/backend-events.ts";
import { checkGrammar } from "../support/grammar.ts";
import { JournalStore, makeEngine, settled, turn } from "./harness.ts";

const SECRET = "secret of the house";
const text = (delta: string): readonly BackendEvent[] => [{ type: "text.delta", delta }];

function check(events: readonly ServerEvent[]): void {
  checkGrammar(events);
}

/** A backend of one's own make; what is not said is as it should be. */
function backendOf(stream: Backend["stream"]): Backend {
  return {
    stream,
    models: async () => [],
    prefill: async () => undefined,
    count: async () => 0,
    close: async () => undefined,
  };
}

describe("a turn is refused before its first event", () => {
  test.each([
    ["when nobody knows its parent", { previous_response_id: "resp_unknown" }, "previous_response_not_found"],
    [
      "when an output has no call",
      { input: [{ type: "function_call_output", call_id: "c", output: "" }] },
      "tool_call_not_found",
    ],
    [
      "when a call has no output",
      { input: [{ type: "function_call", call_id: "c", name: "f", arguments: "{}" }] },
      "tool_output_missing",
    ],
    [
      "when nobody knows an item that it refers to",
      { input: [{ type: "item_reference", id: "msg_1" }] },
      "item_not_found",
    ],
    ["when nobody serves its model", { model: "unknown" }, "model_not_found"],
  ])("%s", async (_, request, code) => {
    const { open, scripted, reports } = makeEngine();
    const refused = turn(open(), request);
    expect(await refused.code()).toBe(code);
    expect((await refused.end).outcome).toBe("refused");
    expect(refused.refusals.map((error) => error.code)).toEqual([code]);
    expect(refused.events).toEqual([]);
    expect(scripted.calls).toEqual([]);
    expect(reports()).toMatchObject([{ outcome: "refused", errorCode: code }]);
  });

  test("when its backend cannot do what it asks for", async () => {
    const refuse = new ApiError("unsupported_tool", "No.", { param: "tools" });
    const { open } = makeEngine({ steps: [{ refuse }] });
    const refused = turn(open());
    expect((await refused.end).error).toBe(refuse);
    expect(refused.events).toEqual([]);
  });

  test("and the text of a bug is not in the refusal", async () => {
    const { open, reports } = makeEngine({ steps: [{ refuse: new Error(SECRET) }] });
    const refused = turn(open());
    expect(await refused.code()).toBe("server_error");
    expect((await refused.end).error?.message).not.toContain(SECRET);
    expect(reports()).toMatchObject([{ cause: expect.objectContaining({ message: SECRET }) }]);
  });

  test("when its store cannot say whether it knows the parent", async () => {
    const store = new JournalStore();
    store.before = () => Promise.reject(new Error(SECRET));
    const { open } = makeEngine({ store });
    expect(await turn(open(), { previous_response_id: "resp_9" }).code()).toBe("server_error");
  });

  test("when its request cannot be written back", async () => {
    const { open } = makeEngine({ steps: [answer("a"), answer("b")] });
    const session = open();
    // Stands for what is nested too deeply, which is more on one machine than on another.
    const unknown = turn(session, { tools: [{ type: "x", deep: 1n }] });
    expect(await unknown.code()).toBe("server_error");
    expect(unknown.refusals).toHaveLength(1);
    const unwritable = turn(
      session,
      {},
      {
        emit: (events) => {
          if (events.length > 0) throw new RangeError("Maximum call stack size exceeded");
        },
      },
    );
    expect(await unwritable.code()).toBe("invalid_value");
    expect((await turn(session).response()).status).toBe("completed");
  });
});

describe("a turn that is not refused", () => {
  test("hands its backend the model's own name, the chain and the new input", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a"), answer("b")] });
    const session = open();
    const { id } = await turn(session, { input: "one" }).response();
    await turn(session, { input: "two", previous_response_id: id, temperature: 0.5 }).end;
    const [first, second] = scripted.calls;
    expect(first).toMatchObject({ model: "its own name", chain: [], input: [{ content: "one" }] });
    expect(second?.chain.map((node) => node.id)).toEqual([id]);
    expect(second?.context).toMatchObject([{ content: "one" }, { content: [{ text: "a" }] }, { content: "two" }]);
    expect(second?.settings.temperature).toBe(0.5);
    expect(second?.session).toBe(first?.session);
    expect(scripted.calls.map((call) => call.signal.aborted)).toEqual([false, false]);
  });

  test("tells its client that it began once the request to the model has had its turn to leave", async () => {
    const { open, scripted, runtime } = makeEngine({ steps: [answer("a")] });
    const leaving = Promise.withResolvers<void>();
    runtime.pause = () => leaving.promise;
    const told = turn(open());
    await scripted.call(0);
    await settled();
    expect(told.events).toEqual([]);
    leaving.resolve();
    await told.end;
    check(told.events);
  });

  test("whose client leaves before it was told anything ends its backend and says nothing", async () => {
    const { open, scripted, runtime } = makeEngine({ steps: [answer("a")] });
    const leaving = Promise.withResolvers<void>();
    runtime.pause = () => leaving.promise;
    const session = open();
    const told = turn(session);
    const call = await scripted.call(0);
    session.close();
    leaving.resolve();
    expect((await told.end).outcome).toBe("abandoned");
    expect(call.signal.aborted).toBe(true);
    expect(told.events).toEqual([]);
  });

  test("is one stream of events whose last is terminal", async () => {
    const { open } = makeEngine({ steps: [answer("Hel", "lo")] });
    const told = turn(open());
    await told.end;
    check(told.events);
    expect(told.events.map((event) => event.sequence_number)).toEqual([...told.events.keys()]);
    expect(told.events.filter(isTerminal)).toHaveLength(1);
    expect(told.refusals).toEqual([]);
  });

  test("writes the events of one batch together", async () => {
    const { open } = makeEngine({ steps: [[[...text("a"), ...text("b")], [], text("c"), finish()]] });
    const told = turn(open());
    await told.end;
    // Created and in progress; item, part and two deltas; one delta; the ends of text, part and item; completed.
    expect(told.writes).toEqual([2, 4, 1, 3, 1]);
  });

  test("asks its backend before it tells its client", async () => {
    const journal: string[] = [];
    const backend = backendOf(async function* () {
      journal.push("asked");
      yield finish();
    });
    const { open } = makeEngine({ backend });
    await turn(open(), {}, { emit: (events) => void journal.push(events[0]?.type ?? "") }).end;
    expect(journal.slice(0, 2)).toEqual(["asked", "response.created"]);
  });

  test("reports what it was and what it cost", async () => {
    const { open, reports, runtime, observed } = makeEngine({ steps: [answer("a")] });
    const session = open("acme");
    const advance = (events: readonly ServerEvent[]): void => {
      if (events[0]?.sequence_number === 0) runtime.advance(40);
      else if (events.some(isTerminal)) runtime.advance(2);
    };
    const told = turn(session, { previous_response_id: null }, { emit: advance });
    await told.end;
    expect(reports()).toEqual([
      {
        kind: "turn.ended",
        tenant: "acme",
        transport: "websocket",
        session: session.id,
        requestId: null,
        keyName: null,
        responseId: "resp_1",
        previousResponseId: null,
        model: "m",
        outcome: "completed",
        errorCode: null,
        cause: undefined,
        itemsIn: 1,
        bytesIn: 10,
        bytesOut: told.events.length,
        usage: told.terminal?.response.usage,
        compacted: false,
        timeToFirstOutput: 40,
        duration: 42,
        store: true,
      },
    ]);
    expect(observed.map((event) => event.kind)).toEqual(["session.opened", "turn.started", "turn.ended"]);
  });
});

describe("a node is readable before its response is said to be complete", () => {
  test("it is put, and kept, and then the client hears of it", async () => {
    const store = new JournalStore();
    const { open } = makeEngine({ store, steps: [answer("a")] });
    const note = (events: readonly ServerEvent[]): void => void store.journal.push(events.at(-1)?.type ?? "");
    await turn(open(), {}, { emit: note }).end;
    expect(store.journal.slice(-4)).toEqual([
      "response.output_item.done",
      "put resp_1",
      "kept resp_1",
      "response.completed",
    ]);
  });

  test("in that very moment another connection can continue it", async () => {
    const { open, store } = makeEngine({ steps: [answer("a"), answer("b")] });
    const other = open();
    let continued: Promise<unknown> = Promise.resolve();
    let loaded: Promise<unknown> = Promise.resolve();
    await turn(
      open(),
      {},
      {
        emit: (events) => {
          const last = events.at(-1);
          if (last === undefined || !isTerminal(last)) return;
          loaded = store.load("acme", last.response.id);
          continued = turn(other, { previous_response_id: last.response.id }).response();
        },
      },
    ).end;
    expect(await loaded).toMatchObject({ id: "resp_1" });
    expect(await continued).toMatchObject({ status: "completed", previous_response_id: "resp_1" });
  });

  test("an incomplete response is kept as well", async () => {
    const store = new JournalStore();
    const { open } = makeEngine({ store, steps: [[text("a"), finish("max_output_tokens")]] });
    expect(await turn(open()).response()).toMatchObject({ status: "incomplete" });
    expect(store.journal).toEqual(["put resp_1", "kept resp_1"]);
  });

  test("with store: false nothing is put", async () => {
    const store = new JournalStore();
    const { open } = makeEngine({ store, steps: [answer("a")] });
    await turn(open(), { store: false }).end;
    expect(store.journal).toEqual([]);
  });

  test("what cannot be put has failed, and cannot be continued", async () => {
    const store = new JournalStore();
    store.before = (act) => (act === "put" ? Promise.reject(new Error(SECRET)) : Promise.resolve());
    const { open, reports } = makeEngine({ store, steps: [answer("a")] });
    const session = open();
    const failed = turn(session);
    expect(await failed.response()).toMatchObject({ status: "failed", error: { code: "server_error" } });
    check(failed.events);
    expect(JSON.stringify(failed.events)).not.toContain(SECRET);
    expect(reports()).toMatchObject([{ outcome: "failed", cause: expect.objectContaining({ message: SECRET }) }]);
    expect(await turn(session, { previous_response_id: "resp_1" }).code()).toBe("previous_response_not_found");
  });
});

describe("a backend that fails after the first event", () => {
  test.each([
    ["with an error of the protocol", new ApiError("rate_limit_exceeded", "Later."), "rate_limit_exceeded", "Later."],
    ["with a bug", new Error(SECRET), "server_error", "The server had an error while processing your request."],
  ])("%s ends the turn with one failure that shows what was done", async (_, error, code, message) => {
    const { open } = makeEngine({
      steps: [[[{ type: "reasoning.delta", delta: "Hm" }], text("half of a mess"), error]],
    });
    const failed = turn(open());
    const response = await failed.response();
    check(failed.events);
    expect(response).toMatchObject({ status: "failed", error: { code, message } });
    expect(response.output.map((item) => item.type)).toEqual(["reasoning"]);
    expect(JSON.stringify(failed.events)).not.toContain(SECRET);
    expect((await failed.end).outcome).toBe("failed");
  });

  test("by ending without a finish has failed", async () => {
    const { open } = makeEngine({ steps: [[text("a")]] });
    const failed = turn(open());
    expect(await failed.response()).toMatchObject({ status: "failed", error: { code: "server_error" } });
    check(failed.events);
  });

  test("leaves no node", async () => {
    const store = new JournalStore();
    const { open } = makeEngine({ store, steps: [[text("a"), new Error("no")]] });
    await turn(open()).end;
    expect(store.journal).toEqual([]);
  });
});

/** A backend that says whether it was left; `fate` is what its third batch is. */
function watched(fate: "finish" | "throw" | "hang") {
  const state = { returned: 0, asked: Promise.withResolvers<void>() };
  const backend = backendOf((_, signal) => ({
    [Symbol.asyncIterator]: () => {
      let count = 0;
      return {
        next: async () => {
          count += 1;
          if (count === 1) return { done: false, value: text("a") };
          state.asked.resolve();
          if (fate === "finish")
            return count === 2 ? { done: false, value: finish() } : { done: true, value: undefined };
          if (fate === "throw") throw new Error("no");
          return new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => reject(new Error("aborted")));
          });
        },
        return: async () => {
          state.returned += 1;
          return { done: true, value: undefined };
        },
      };
    },
  }));
  return { state, backend };
}

describe("the iterator of a backend is always returned", () => {
  test.each(["finish", "throw"] as const)("when it ends with a %s", async (fate) => {
    const { state, backend } = watched(fate);
    await turn(makeEngine({ backend }).open()).end;
    expect(state.returned).toBe(1);
  });

  test.each(["client_left", "shutting_down", "interrupted"] as const)(
    "when the turn is stopped: %s",
    async (reason) => {
      const { state, backend } = watched("hang");
      const session = makeEngine({ backend }).open();
      const stopped = turn(session);
      await state.asked.promise;
      if (reason === "interrupted") session.interrupt(null, null);
      else session.stop(reason);
      await stopped.end;
      expect(state.returned).toBe(1);
    },
  );

  test.each([
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no"))],
    ["never answers", () => new Promise<never>(() => undefined)],
  ] as const)("and when it %s at that, it harms nobody", async (_, leave) => {
    const backend = backendOf(() => {
      const batches = [text("a"), finish()].values();
      const next = async () => batches.next() as IteratorResult<readonly BackendEvent[]>;
      return { [Symbol.asyncIterator]: () => ({ next, return: leave }) };
    });
    const told = turn(makeEngine({ backend }).open());
    expect((await told.response()).status).toBe("completed");
    check(told.events);
  });
});

describe("a client that is behind", () => {
  test("stops its backend from being asked for more", async () => {
    const pieces = Array.from({ length: 50 }, (_, index) => `piece ${index}`);
    const { open, scripted } = makeEngine({ steps: [answer(...pieces)] });
    const room = Promise.withResolvers<void>();
    let deltas = 0;
    const told = turn(
      open(),
      {},
      {
        emit: (events) => {
          deltas += events.filter((event) => event.type === "response.output_text.delta").length;
          return deltas === 3 ? room.promise : undefined;
        },
      },
    );
    const call = await scripted.call(0);
    await settled();
    expect(call.taken()).toBe(3);
    room.resolve();
    expect((await told.response()).status).toBe("completed");
    expect(call.taken()).toBe(51);
  });

  test("holds up its own lane only until it is gone", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a")] });
    const room = Promise.withResolvers<void>();
    const session = open();
    const told = turn(session, {}, { emit: (events) => (events[0]?.sequence_number === 2 ? room.promise : undefined) });
    const call = await scripted.call(0);
    await settled();
    session.stop("client_left");
    expect(call.signal.aborted).toBe(true);
    // The transport lets everybody go who waits for a client that has left.
    room.resolve();
    expect((await told.end).outcome).toBe("abandoned");
  });
});

describe("a turn that is stopped", () => {
  /** Where the stop meets the turn; what has been said until then; how the turn ends. */
  const PHASES = [
    ["while it waits in its lane", 0],
    ["while its parent is looked for", 0],
    ["before its backend says anything", 2],
    ["between two batches", 5],
    ["while its client is behind", 5],
    ["while its end is told", 8],
    ["while it is stored", 8],
  ] as const;

  async function stopAt(phase: (typeof PHASES)[number][0], reason: "client_left" | "shutting_down") {
    const gate = new Gate();
    const room = Promise.withResolvers<void>();
    const store = new JournalStore();
    const before: Step = [text("a"), gate];
    const steps: Step[] =
      phase === "between two batches"
        ? [[...before, text("b"), finish()]]
        : phase === "before its backend says anything" || phase === "while it waits in its lane"
          ? [[gate, text("a"), finish()]]
          : [answer("a")];
    const test = makeEngine({ steps, store });
    const session = test.open();
    const arrived = Promise.withResolvers<void>();
    if (phase === "while its parent is looked for" || phase === "while it is stored") {
      store.before = async () => {
        arrived.resolve();
        await room.promise;
      };
    }
    const emit = (events: readonly ServerEvent[]): void | Promise<void> => {
      const isLate = events.some((event) => event.type === "response.output_item.done");
      const isHere =
        phase === "while its end is told"
          ? isLate
          : phase === "while its client is behind" && !isLate && events[0]?.sequence_number === 2;
      if (!isHere) return;
      arrived.resolve();
      return room.promise;
    };
    const first = phase === "while it waits in its lane" ? turn(session, {}, {}) : null;
    const request = phase === "while its parent is looked for" ? { previous_response_id: "resp_0" } : {};
    const subject = turn(session, request, { emit });
    if (steps[0] !== undefined && [...(steps[0] as Iterable<unknown>)].includes(gate)) await gate.reached;
    else await arrived.promise;
    await settled();
    const said = subject.events.length;
    session.stop(reason);
    room.resolve();
    const end = await subject.end;
    await first?.end;
    return { ...test, subject, said, end, store };
  }

  test.each(PHASES)("because its client left, %s, says nothing more", async (phase, saidBefore) => {
    const { subject, said, end, reports, store } = await stopAt(phase, "client_left");
    expect(said).toBe(saidBefore);
    expect(subject.events).toHaveLength(said);
    expect(subject.refusals).toEqual([]);
    expect(end).toMatchObject({ outcome: "abandoned", error: null });
    expect(reports().at(-1)).toMatchObject({ outcome: "abandoned", errorCode: null });
    // What is being stored already cannot be called back.
    const puts = phase === "while it is stored" ? ["put resp_1"] : [];
    expect(store.journal.filter((line) => line.startsWith("put"))).toEqual(puts);
  });

  test.each(PHASES.slice(0, 2))("because the server goes, %s, is refused", async (phase) => {
    const { subject, end } = await stopAt(phase, "shutting_down");
    expect(end).toMatchObject({ outcome: "refused", error: { code: "server_shutting_down", retryAfter: 1 } });
    expect(subject.events).toEqual([]);
  });

  test.each(PHASES.slice(2, 5))("because the server goes, %s, has failed", async (phase) => {
    const { subject, end } = await stopAt(phase, "shutting_down");
    check(subject.events);
    expect(end).toMatchObject({ outcome: "failed", error: { code: "server_shutting_down" } });
    expect(subject.terminal?.response).toMatchObject({ status: "failed", error: { code: "server_shutting_down" } });
  });

  test.each(PHASES.slice(5))("because the server goes, %s, comes to its good end", async (phase) => {
    const { subject, end } = await stopAt(phase, "shutting_down");
    check(subject.events);
    expect(end).toMatchObject({ outcome: "completed", error: null });
  });

  test("because its connection is too old has failed, and says so", async () => {
    const gate = new Gate();
    const session = makeEngine({ steps: [[text("a"), gate]] }).open();
    const stopped = turn(session);
    await gate.reached;
    session.stop("connection_limit");
    expect(await stopped.code()).toBe("websocket_connection_limit_reached");
    check(stopped.events);
    expect(stopped.terminal?.response).toMatchObject({ status: "failed", output: [] });
  });

  test("aborts its backend call", async () => {
    const gate = new Gate();
    const { open, scripted } = makeEngine({ steps: [[text("a"), gate]] });
    const session = open();
    const stopped = turn(session);
    await gate.reached;
    session.stop("client_left");
    expect(await scripted.calls[0]?.ended).toBe("aborted");
    await stopped.end;
  });

  test("does not listen to a backend that goes on all the same", async () => {
    const said = Promise.withResolvers<void>();
    const backend = backendOf(async function* () {
      for (let count = 0; count < 1_000; count++) {
        yield text(String(count));
        if (count === 2) said.resolve();
        await settled();
      }
    });
    const session = makeEngine({ backend }).open();
    const failed = turn(session);
    await said.promise;
    session.stop("shutting_down");
    expect((await failed.end).outcome).toBe("failed");
    expect(failed.events.length).toBeLessThan(20);
    check(failed.events);
  });

  test("for a client that leaves while the server goes says nothing more either", async () => {
    const room = Promise.withResolvers<void>();
    const { open } = makeEngine({ steps: [[text("a"), new Gate()]] });
    const session = open();
    const stopped = turn(session, {}, { emit: () => room.promise });
    await stopped.begun;
    session.stop("shutting_down");
    session.stop("client_left");
    session.stop("shutting_down");
    room.resolve();
    expect((await stopped.end).outcome).toBe("abandoned");
    expect(stopped.terminal).toBeUndefined();
  });

  test("after its end is left alone", async () => {
    const { open } = makeEngine({ steps: [answer("a")] });
    const session = open();
    const ended = turn(session);
    await ended.end;
    const count = ended.events.length;
    session.stop("shutting_down");
    session.interrupt(ended.terminal?.response.id ?? "", null);
    await settled();
    expect(ended.events).toHaveLength(count);
  });
});

describe("a warm-up", () => {
  test("is complete at once, with no output and no tokens, and can be continued", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a")] });
    const session = open();
    const warm = turn(session, { generate: false, store: false, instructions: "Be brief.", input: "one" });
    const { id, output, usage } = await warm.response();
    check(warm.events);
    expect(warm.events.map((event) => event.type)).toEqual([
      "response.created",
      "response.in_progress",
      "response.completed",
    ]);
    expect([output, usage?.total_tokens]).toEqual([[], 0]);
    expect(scripted.calls).toEqual([]);
    expect(scripted.prefills).toMatchObject([{ input: [{ content: "one" }], settings: { instructions: "Be brief." } }]);
    await turn(session, { previous_response_id: id, input: [] }).end;
    expect(scripted.calls[0]?.context).toMatchObject([{ content: "one" }]);
  });

  test("is not held up by a backend that cannot warm up", async () => {
    const backend = { ...backendOf(async function* () {}), prefill: () => Promise.reject(new Error("no")) };
    expect((await turn(makeEngine({ backend }).open(), { generate: false }).response()).status).toBe("completed");
  });

  test("ends its backend's work when the connection ends", async () => {
    const { open, scripted } = makeEngine();
    const signals: AbortSignal[] = [];
    scripted.prefill = async (_request?: unknown, signal?: AbortSignal) => {
      if (signal !== undefined) signals.push(signal);
    };
    const session = open();
    await turn(session, { generate: false }).end;
    expect(signals.map((signal) => signal.aborted)).toEqual([false]);
    session.close();
    expect(signals.map((signal) => signal.aborted)).toEqual([true]);
  });
});

describe("an interrupt", () => {
  test("drops what is open, and the response is incomplete and can be continued", async () => {
    const gate = new Gate();
    const { open, scripted } = makeEngine({
      steps: [[[{ type: "reasoning.delta", delta: "Hm" }], text("half of a"), gate], answer("b")],
    });
    const session = open();
    const interrupted = turn(session, { store: false });
    await gate.reached;
    session.interrupt("resp_1", "discard_partial_items");
    const response = await interrupted.response();
    check(interrupted.events);
    expect(interrupted.events.slice(-3).map((event) => event.type)).toEqual([
      "response.interrupt.accepted",
      "response.output_item.interrupted",
      "response.incomplete",
    ]);
    expect(response).toMatchObject({ status: "incomplete", incomplete_details: { reason: "interrupted" } });
    expect(response.output.map((item) => item.type)).toEqual(["reasoning"]);
    expect(await scripted.calls[0]?.ended).toBe("aborted");
    expect((await turn(session, { previous_response_id: response.id }).response()).status).toBe("completed");
  });

  test("drops every open call", async () => {
    const gate = new Gate();
    const [calls] = callFunctions({ callId: "a", name: "f" }, { callId: "b", name: "g" }) as [readonly BackendEvent[]];
    const { open } = makeEngine({ steps: [[calls, gate]] });
    const session = open();
    const interrupted = turn(session);
    await gate.reached;
    session.interrupt(null, null);
    expect((await interrupted.response()).output).toEqual([]);
    check(interrupted.events);
    expect(interrupted.events.filter((event) => event.type === "response.output_item.interrupted")).toHaveLength(2);
  });

  test("of a mode that is not there is answered, and the response goes on", async () => {
    const gate = new Gate();
    const { open } = makeEngine({ steps: [[text("a"), gate, text("b"), finish()]] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    session.interrupt("resp_1", "keep_everything");
    gate.open();
    expect((await told.response()).status).toBe("completed");
    check(told.events);
    expect(told.events).toContainEqual(
      expect.objectContaining({
        type: "response.interrupt.failed",
        error: expect.objectContaining({ code: "interrupt_not_supported" }),
      }),
    );
  });

  test("of what is not running is not answered", async () => {
    const { open } = makeEngine({ steps: [answer("a")] });
    const session = open();
    const told = turn(session);
    await told.end;
    const count = told.events.length;
    for (const id of ["resp_1", "resp_unknown", null]) session.interrupt(id, null);
    await settled();
    expect(told.events).toHaveLength(count);
  });

  test("after the backend has finished leaves the response alone", async () => {
    const store = new JournalStore();
    const stored = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    store.before = async () => {
      arrived.resolve();
      await stored.promise;
    };
    const { open } = makeEngine({ store, steps: [answer("a")] });
    const session = open();
    const told = turn(session);
    await arrived.promise;
    session.interrupt("resp_1", null);
    session.keepAlive();
    stored.resolve();
    expect((await told.response()).status).toBe("completed");
    check(told.events);
    expect(told.events.map((event) => event.type).slice(-2)).toEqual(["keepalive", "response.completed"]);
  });
});

describe("whatever goes wrong wherever", () => {
  type Fault = { readonly at: string; readonly is: "bug" | "known" };
  const known = new ApiError("rate_limit_exceeded", "Later.");
  const thrown = (fault: Fault): Error => (fault.is === "bug" ? new Error(SECRET) : known);

  const scenario = fc.record({
    batches: fc.array(fc.array(anyEvent, { maxLength: 3 }), { maxLength: 6 }),
    reason: anyFinish,
    fault: fc.record({
      at: fc.constantFrom("nowhere", "stream", "iterator", "next", "batch", "return", "unfinished", "put"),
      is: fc.constantFrom("bug" as const, "known" as const),
    }),
    place: fc.nat({ max: 6 }),
    stop: fc.option(
      fc.record({
        after: fc.nat({ max: 8 }),
        how: fc.constantFrom("client_left" as const, "shutting_down" as const, "interrupt" as const),
      }),
    ),
    slow: fc.boolean(),
    store: fc.boolean(),
  });

  test("a turn is refused without an event, or has one terminal event, last; unless its client has left", async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async ({ batches, reason, fault, place, stop, slow, store: isStored }) => {
        const end: readonly BackendEvent[] = fault.at === "unfinished" ? [] : [{ type: "finish", reason }];
        const all = [...batches, end];
        const backend = backendOf((_request, signal) => {
          if (fault.at === "stream") throw thrown(fault);
          return {
            [Symbol.asyncIterator]: () => {
              if (fault.at === "iterator") throw thrown(fault);
              let index = 0;
              return {
                next: () => {
                  const here = index++;
                  if (fault.at === "next" && here === place) throw thrown(fault);
                  if (fault.at === "batch" && here === place) return Promise.reject(thrown(fault));
                  if (signal.aborted) return Promise.reject(new Error("aborted"));
                  const value = all[here];
                  return Promise.resolve(value === undefined ? { done: true, value } : { done: false, value });
                },
                return: () => {
                  if (fault.at === "return") throw thrown(fault);
                  return Promise.resolve({ done: true, value: undefined });
                },
              };
            },
          };
        });
        const store = new JournalStore();
        if (fault.at === "put")
          store.before = async (act) => (act === "put" ? Promise.reject(thrown(fault)) : undefined);
        const { open, reports } = makeEngine({ backend, store });
        const session = open();
        let writes = 0;
        let saidAfterwards = 0;
        let hasLeft = false;
        const subject = turn(
          session,
          { store: isStored },
          {
            emit: (events) => {
              if (hasLeft) saidAfterwards += events.length;
              writes += 1;
              if (stop !== null && writes === stop.after + 1) {
                if (stop.how === "interrupt") session.interrupt(null, null);
                else session.stop(stop.how);
                hasLeft = stop.how === "client_left";
              }
              return slow ? Promise.resolve() : undefined;
            },
          },
        );
        const { outcome, error } = await subject.end;
        await settled();
        const terminals = subject.events.filter(isTerminal);
        const hasStream = outcome !== "refused" && outcome !== "abandoned";
        if (hasStream) check(subject.events);
        expect({
          outcome,
          hasEvents: outcome === "abandoned" ? null : subject.events.length > 0,
          terminals: outcome === "abandoned" ? null : terminals.length,
          refusals: subject.refusals.length,
          saidAfterwards,
        }).toEqual({
          outcome: outcome === "abandoned" && !hasLeft ? "its client was there" : outcome,
          hasEvents: outcome === "abandoned" ? null : hasStream,
          terminals: outcome === "abandoned" ? null : Number(hasStream),
          refusals: Number(outcome === "refused"),
          saidAfterwards: 0,
        });
        // A failure and a refusal have an error, and nothing else has.
        expect(error !== null).toBe(outcome === "refused" || outcome === "failed");
        expect(JSON.stringify([subject.events, subject.refusals.map((each) => each.message)])).not.toContain(SECRET);
        expect(reports().map((report) => report.outcome)).toEqual([outcome]);
        // What ended well can be continued here, and what did not cannot.
        if (hasLeft) return;
        const next = await turn(session, { previous_response_id: reports()[0]?.responseId }).code();
        const isKnown = outcome === "completed" || outcome === "incomplete";
        expect([next, next === "previous_response_not_found"]).toEqual([
          next,
          !isKnown && next !== "server_shutting_down",
        ]);
      }),
      { numRuns: 1_000 },
    );
  });
});
