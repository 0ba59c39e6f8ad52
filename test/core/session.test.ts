import { describe, expect, test } from "vitest";
import { ApiError } from "../../src/protocol/errors.ts";
import { answer, callFunctions, finish, Gate, type Step } from "../../src/testing/index.ts";
import { JournalStore, makeEngine, settled, TestTurn, turn } from "./harness.ts";

const fails: Step = [[{ type: "text.delta", delta: "half" }], new Error("no")];
const user = (content: string): object => ({ type: "message", role: "user", content });

/** The texts of a context, in order. */
function texts(context: readonly { readonly [field: string]: unknown }[] = []): readonly unknown[] {
  return context.map(({ content }) =>
    typeof content === "string" ? content : (content as { text: string }[])[0]?.text,
  );
}

describe("a conversation goes on", () => {
  test.each([
    ["with store: true", true],
    ["with store: false", false],
  ])("from its latest response with only the new items, %s", async (_, store) => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("a2"), answer("a3")] });
    const session = open();
    let id: string | null = null;
    for (const input of ["u1", "u2", "u3"]) {
      ({ id } = await turn(session, { input, store, previous_response_id: id }).response());
    }
    expect(scripted.calls.map((call) => texts(call.context))).toEqual([
      ["u1"],
      ["u1", "a1", "u2"],
      ["u1", "a1", "u2", "a2", "u3"],
    ]);
  });

  test("with the very context that a client would send that sends everything", async () => {
    const calls = callFunctions({ callId: "c1", name: "f", arguments: '{"a":1}' });
    const steps = [calls, answer("done"), answer("bye")];
    const deltas = makeEngine({ steps });
    const session = deltas.open();
    const inputs = [[user("go")], [{ type: "function_call_output", call_id: "c1", output: "42" }], [user("thanks")]];
    const whole: object[] = [];
    const full = makeEngine({ steps });
    let id: string | null = null;
    for (const input of inputs) {
      const response = await turn(session, { input, previous_response_id: id, store: false }).response();
      ({ id } = response);
      whole.push(...input);
      await turn(full.open(), { input: [...whole] }).end;
      whole.push(...response.output);
    }
    expect(deltas.scripted.calls.map((call) => JSON.stringify(call.context))).toEqual(
      full.scripted.calls.map((call) => JSON.stringify(call.context)),
    );
  });

  test("from any of its responses: two continuations of one are a fork that shares it", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("a2"), answer("b2")] });
    const session = open();
    const { id } = await turn(session, { input: "u1", store: false }).response();
    await turn(session, { input: "left", store: false, previous_response_id: id }).end;
    await turn(session, { input: "right", store: false, previous_response_id: id }).end;
    expect(texts(scripted.calls[2]?.context)).toEqual(["u1", "a1", "right"]);
    expect(scripted.calls[2]?.chain[0]).toBe(scripted.calls[1]?.chain[0]);
  });

  test("and inherits nothing but its items", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("a2")] });
    const session = open();
    const settings = {
      instructions: "Be brief.",
      tools: [{ type: "function", name: "f" }],
      temperature: 0.1,
      metadata: { a: "b" },
    };
    const { id } = await turn(session, settings).response();
    const next = await turn(session, { previous_response_id: id }).response();
    expect(scripted.calls[1]?.settings).toMatchObject({
      instructions: null,
      tools: [],
      temperature: null,
      metadata: {},
    });
    expect(next).toMatchObject({ instructions: null, tools: [], temperature: 1, metadata: {} });
  });

  test("without previous_response_id it begins anew", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("a2")] });
    const session = open();
    await turn(session, { input: "u1" }).end;
    await turn(session, { input: "u2" }).end;
    expect(texts(scripted.calls[1]?.context)).toEqual(["u2"]);
  });

  test("on another connection only from what is stored, with all of its chain", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a"), answer("b"), answer("c")] });
    const first = open();
    const stored = await turn(first, { input: "u1" }).response();
    const unstored = await turn(first, { input: "u2", store: false, previous_response_id: stored.id }).response();
    const other = open();
    expect(await turn(other, { previous_response_id: unstored.id }).code()).toBe("previous_response_not_found");
    await turn(other, { input: "u3", previous_response_id: stored.id }).end;
    expect(texts(scripted.calls[2]?.context)).toEqual(["u1", "a", "u3"]);
  });

  test("a stored response with an unstored one before it goes on where it was made, and nowhere else", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("a2"), answer("a3")] });
    const session = open();
    const root = await turn(session, { input: "u1", store: false }).response();
    const tip = await turn(session, { input: "u2", store: true, previous_response_id: root.id }).response();
    expect(await turn(open(), { previous_response_id: tip.id }).code()).toBe("previous_response_not_found");
    await turn(session, { input: "u3", previous_response_id: tip.id }).end;
    expect(texts(scripted.calls[2]?.context)).toEqual(["u1", "a1", "u2", "a2", "u3"]);
  });
});

describe("no id is known to another tenant", () => {
  test("neither from the store nor from a connection", async () => {
    const { open } = makeEngine({ steps: [answer("a"), answer("b")] });
    const session = open("acme");
    const ids = [
      (await turn(session, { store: true }).response()).id,
      (await turn(session, { store: false }).response()).id,
    ];
    for (const id of ids) {
      expect(await turn(open("other"), { previous_response_id: id }).code()).toBe("previous_response_not_found");
    }
  });
});

describe("turns of one lane", () => {
  test("run one after another, in the order in which they came", async () => {
    const gate = new Gate();
    const { open, scripted } = makeEngine({ steps: [[gate, finish()], answer("b"), answer("c")] });
    const session = open();
    const order: string[] = [];
    const note = (name: string) => ({ emit: () => void order.push(name) });
    const turns = [turn(session, {}, note("one")), turn(session, {}, note("two")), turn(session, {}, note("three"))];
    await gate.reached;
    await settled();
    expect(scripted.calls).toHaveLength(1);
    gate.open();
    await Promise.all(turns.map(({ end }) => end));
    expect(order).toEqual(
      order.toSorted((a, b) => ["one", "two", "three"].indexOf(a) - ["one", "two", "three"].indexOf(b)),
    );
  });

  test("may be sent before the response that they continue is there", async () => {
    const gate = new Gate();
    const { open, scripted } = makeEngine({
      steps: [[gate, [{ type: "text.delta", delta: "a1" }], finish()], answer("a2")],
    });
    const session = open();
    const first = turn(session, { input: "u1", store: false });
    const second = turn(session, { input: "u2", store: false, previous_response_id: "resp_1" });
    await gate.reached;
    gate.open();
    await Promise.all([first.end, second.end]);
    expect(texts(scripted.calls[1]?.context)).toEqual(["u1", "a1", "u2"]);
  });

  test("of other lanes are not waited for", async () => {
    const gate = new Gate();
    const { open } = makeEngine({ steps: [[gate, finish()], answer("b")] });
    const session = open();
    const slow = turn(session, {}, { lane: "slow" });
    await gate.reached;
    expect((await turn(session, {}, { lane: "quick" }).response()).status).toBe("completed");
    gate.open();
    await slow.end;
  });

  test("are refused when too many wait, at once, and what waits is untouched", async () => {
    const gate = new Gate();
    const { open } = makeEngine({ steps: [answer("root"), [gate, finish()], answer("b")], limits: { queuedTurns: 1 } });
    const session = open();
    const { id } = await turn(session, { store: false }).response();
    const running = turn(session);
    await gate.reached;
    const waiting = turn(session, { store: false, previous_response_id: id });
    const refused = turn(session, { store: false, previous_response_id: id });
    expect(await refused.end).toMatchObject({
      outcome: "refused",
      error: { code: "too_many_queued_turns", retryAfter: 1 },
    });
    expect(refused.refusals).toHaveLength(1);
    gate.open();
    await running.end;
    // The refusal has tried nothing, so it has forgotten nothing.
    expect(await waiting.code()).toBe("completed");
  });

  test("hear of a refusal in its place: after the turns before it and before those behind it", async () => {
    const gate = new Gate();
    const { open } = makeEngine({ steps: [[gate, finish()], answer("c")] });
    const session = open();
    const order: string[] = [];
    const note = (name: string) => ({ emit: () => void order.push(name), refuse: () => void order.push(`no ${name}`) });
    const first = turn(session, {}, note("one"));
    await gate.reached;
    const second = turn(session, { previous_response_id: "resp_unknown" }, note("two"));
    const sink = { ...note("three"), bytesIn: 0, bytesOut: () => 0 };
    const third = session.reject(new ApiError("invalid_json", "No."), sink);
    const fourth = turn(session, {}, note("four"));
    gate.open();
    await Promise.all([first.end, second.end, third, fourth.end]);
    expect([...new Set(order)]).toEqual(["one", "no two", "no three", "four"]);
  });
});

/** A connection with one unstored response. */
async function begun(...steps: readonly Step[]) {
  const test = makeEngine({ steps: [answer("a1"), ...steps] });
  const session = test.open();
  const { id } = await turn(session, { input: "u1", store: false }).response();
  return { ...test, session, id };
}

describe("a continuation that fails forgets what it continued", () => {
  const orphan = { input: [{ type: "function_call_output", call_id: "nobody", output: "" }] };

  test("because it answers a call that the chain does not have", async () => {
    const { session, id } = await begun();
    expect(await turn(session, { ...orphan, previous_response_id: id, store: false }).code()).toBe(
      "tool_call_not_found",
    );
    expect(await turn(session, { previous_response_id: id, store: false }).code()).toBe("previous_response_not_found");
  });

  test("because its backend failed", async () => {
    const { session, id } = await begun(fails);
    expect((await turn(session, { previous_response_id: id, store: false }).end).outcome).toBe("failed");
    expect(await turn(session, { previous_response_id: id, store: false }).code()).toBe("previous_response_not_found");
  });

  test("also for a turn that was already waiting behind it", async () => {
    const { session, id } = await begun(fails);
    const failing = turn(session, { previous_response_id: id, store: false });
    const behind = turn(session, { previous_response_id: id, store: false });
    await failing.end;
    expect(await behind.code()).toBe("previous_response_not_found");
  });

  test("but what is stored is found again in the store", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), fails, answer("a2")] });
    const session = open();
    const { id } = await turn(session, { input: "u1" }).response();
    await turn(session, { previous_response_id: id }).end;
    expect(await turn(session, { input: "u2", previous_response_id: id }).code()).toBe("completed");
    expect(texts(scripted.calls[2]?.context)).toEqual(["u1", "a1", "u2"]);
  });

  test("and nothing that was not named", async () => {
    const { session, id } = await begun(fails, answer("a2"));
    await turn(session, { store: false }).end;
    await turn(session, { model: "unknown", store: false }).end;
    expect(await turn(session, { previous_response_id: id, store: false }).code()).toBe("completed");
  });

  test("and a continuation that is incomplete has not failed", async () => {
    const { session, id } = await begun([finish("max_output_tokens")], answer("a2"));
    expect((await turn(session, { previous_response_id: id, store: false }).end).outcome).toBe("incomplete");
    expect(await turn(session, { previous_response_id: id, store: false }).code()).toBe("completed");
  });

  test("and what stood on it goes on", async () => {
    const { session, id, scripted } = await begun(answer("a2"), fails, answer("a3"));
    const child = await turn(session, { input: "u2", previous_response_id: id, store: false }).response();
    await turn(session, { previous_response_id: id, store: false }).end;
    expect(await turn(session, { input: "u3", previous_response_id: child.id, store: false }).code()).toBe("completed");
    expect(texts(scripted.calls.at(-1)?.context)).toEqual(["u1", "a1", "u2", "a2", "u3"]);
  });
});

describe("a continuation that is refused can be mended and sent again", () => {
  test.each([
    ["because its model is unknown", { model: "unknown" }],
    [
      "because a call of its input has no output",
      { input: [{ type: "function_call", call_id: "c", name: "f", arguments: "{}" }] },
    ],
    ["because it refers to an item that is not there", { input: [{ type: "item_reference", id: "msg_unknown" }] }],
    [
      "because an item is there twice",
      { input: ["a", "b"].map((content) => ({ role: "user", id: "msg_1", content })) },
    ],
  ])("%s", async (_, request) => {
    const { session, id } = await begun(answer("a2"));
    expect((await turn(session, { ...request, previous_response_id: id, store: false }).end).outcome).toBe("refused");
    expect(await turn(session, { previous_response_id: id, store: false }).code()).toBe("completed");
  });

  test("because it could not be read", async () => {
    const { session, id } = await begun(answer("a2"));
    const sink = { emit: () => undefined, bytesIn: 0, bytesOut: () => 0 };
    const end = await session.reject(new ApiError("invalid_type", "No."), sink);
    expect(end).toMatchObject({ outcome: "refused", error: { code: "invalid_type" } });
    expect(await turn(session, { previous_response_id: id }).code()).toBe("completed");
  });

  test("because a call of the response was not answered", async () => {
    const { session, id } = await begun(callFunctions({ callId: "c", name: "f" }), answer("a3"));
    const asks = await turn(session, { previous_response_id: id, store: false }).response();
    const next = { previous_response_id: asks.id, store: false };
    expect(await turn(session, { ...next, input: "u2" }).code()).toBe("tool_output_missing");
    const output = { type: "function_call_output", call_id: "c", output: "done" };
    expect(await turn(session, { ...next, input: [output] }).code()).toBe("completed");
  });
});

describe("a fork to another lane", () => {
  test("continues a response of this connection, stored or not, and both lanes go on", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("b"), answer("a2")] });
    const session = open();
    const { id } = await turn(session, { input: "u1", store: false }, { lane: "one" }).response();
    await turn(session, { input: "fork", store: false, previous_response_id: id }, { lane: "two" }).end;
    await turn(session, { input: "u2", store: false, previous_response_id: id }, { lane: "one" }).end;
    expect(scripted.calls.map((call) => texts(call.context)).slice(1)).toEqual([
      ["u1", "a1", "fork"],
      ["u1", "a1", "u2"],
    ]);
  });

  test("that fails does not forget what it borrowed", async () => {
    const { open } = makeEngine({ steps: [answer("a1"), fails, answer("a2")] });
    const session = open();
    const { id } = await turn(session, { store: false }, { lane: "one" }).response();
    expect(await turn(session, { previous_response_id: id }, { lane: "two" }).code()).toBe("server_error");
    expect(await turn(session, { previous_response_id: id }, { lane: "one" }).code()).toBe("completed");
  });

  test("keeps its parent while it waits, whatever becomes of the lane that made it", async () => {
    const gate = new Gate();
    const { open } = makeEngine({
      steps: [answer("a1"), [gate, finish()], fails, answer("fork")],
    });
    const session = open();
    const { id } = await turn(session, { store: false }, { lane: "one" }).response();
    const busy = turn(session, { store: false }, { lane: "two" });
    await gate.reached;
    const fork = turn(session, { store: false, previous_response_id: id }, { lane: "two" });
    expect(await turn(session, { store: false, previous_response_id: id }, { lane: "one" }).code()).toBe(
      "server_error",
    );
    expect(await turn(session, { store: false, previous_response_id: id }, { lane: "one" }).code()).toBe(
      "previous_response_not_found",
    );
    gate.open();
    await busy.end;
    expect(await fork.code()).toBe("completed");
  });
});

describe("the local cache", () => {
  test("lets the least recently used response go when its bytes run out, and that one is then unknown", async () => {
    const { open, scripted } = makeEngine({
      steps: Array.from({ length: 6 }, () => answer("x".repeat(2_000))),
      limits: { sessionBytes: 8_000 },
    });
    const session = open();
    const ids: string[] = [];
    for (let count = 0; count < 4; count++) ids.push((await turn(session, { store: false }).response()).id);
    expect(await turn(session, { store: false, previous_response_id: ids[0] }).code()).toBe(
      "previous_response_not_found",
    );
    expect(await turn(session, { store: false, previous_response_id: ids[3] }).code()).toBe("completed");
    expect(scripted.calls).toHaveLength(5);
  });

  test("that holds nothing still leaves what is stored", async () => {
    const { open } = makeEngine({ steps: [answer("a"), answer("b"), answer("c")], limits: { sessionBytes: 0 } });
    const session = open();
    const stored = await turn(session).response();
    const unstored = await turn(session, { store: false }).response();
    expect(await turn(session, { previous_response_id: unstored.id }).code()).toBe("previous_response_not_found");
    expect(await turn(session, { previous_response_id: stored.id }).code()).toBe("completed");
  });

  test("is asked before the store", async () => {
    const store = new JournalStore();
    const { open } = makeEngine({ store, steps: [answer("a"), answer("b"), answer("c")] });
    const session = open();
    const { id } = await turn(session).response();
    await turn(session, { previous_response_id: id }).end;
    expect(store.journal.filter((line) => line.startsWith("load"))).toEqual([]);
    await turn(open(), { previous_response_id: id }).end;
    expect(store.journal.filter((line) => line.startsWith("load"))).toEqual([`load ${id}`]);
  });

  test("is gone with its connection", async () => {
    const { open } = makeEngine({ steps: [answer("a")] });
    const session = open();
    const { id } = await turn(session, { store: false }).response();
    session.close();
    expect(await turn(open(), { previous_response_id: id }).code()).toBe("previous_response_not_found");
  });
});

const tools = () => [{ type: "function", name: "f", parameters: { type: "object" } }];

describe("what clients repeat", () => {
  test("equal tools are one array, for as long as they stay the same", async () => {
    const { open, scripted } = makeEngine({ steps: Array.from({ length: 5 }, () => answer("a")) });
    const session = open();
    for (const given of [tools(), tools(), [], tools(), tools()]) await turn(session, { tools: given }).end;
    const seen = scripted.calls.map((call) => call.settings.tools);
    expect(seen[1]).toBe(seen[0]);
    expect(seen[2]).not.toBe(seen[0]);
    expect(seen[4]).toBe(seen[3]);
    expect(Object.isFrozen(seen[0])).toBe(true);
  });

  test("is not shared between connections", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a"), answer("a")] });
    await turn(open(), { tools: tools() }).end;
    await turn(open(), { tools: tools() }).end;
    expect(scripted.calls[1]?.settings.tools).not.toBe(scripted.calls[0]?.settings.tools);
    expect(scripted.calls[1]?.session).not.toBe(scripted.calls[0]?.session);
  });
});

describe("a connection that is closed", () => {
  test("aborts what runs, drops what waits, and says nothing more", async () => {
    const gate = new Gate();
    const { open, engine, observed, scripted, reports } = makeEngine({
      steps: [[[{ type: "text.delta", delta: "a" }], gate]],
    });
    const session = open();
    const running = turn(session);
    await gate.reached;
    await settled();
    const waiting = turn(session, { previous_response_id: "resp_unknown" });
    const said = running.events.length;
    session.close();
    expect((await running.end).outcome).toBe("abandoned");
    expect((await waiting.end).outcome).toBe("abandoned");
    expect(running.events).toHaveLength(said);
    expect(waiting.refusals).toEqual([]);
    expect(await scripted.calls[0]?.ended).toBe("aborted");
    expect(engine.openSessions).toBe(0);
    expect(observed.filter((event) => event.kind === "session.closed")).toHaveLength(1);
    expect(reports().map((report) => report.outcome)).toEqual(["abandoned", "abandoned"]);
  });

  test("takes no more turns", async () => {
    const { open, scripted } = makeEngine();
    const session = open();
    session.close();
    expect((await turn(session).end).outcome).toBe("refused");
    expect(scripted.calls).toEqual([]);
  });
});

test("silence is broken for every response that runs, and counts among its events", async () => {
  const gates = [new Gate(), new Gate()];
  const { open } = makeEngine({ steps: gates.map((gate): Step => [gate, finish()]) });
  const session = open();
  const turns = ["one", "two"].map((lane) => new TestTurn(session, {}, { lane }));
  await Promise.all(gates.map((gate) => gate.reached));
  session.keepAlive();
  for (const gate of gates) gate.open();
  await Promise.all(turns.map(({ end }) => end));
  session.keepAlive();
  for (const { events } of turns) {
    expect(events.map((event) => event.type)).toEqual([
      "response.created",
      "response.in_progress",
      "keepalive",
      "response.completed",
    ]);
    expect(events.map((event) => event.sequence_number)).toEqual([0, 1, 2, 3]);
  }
});
