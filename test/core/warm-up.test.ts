import { describe, expect, test } from "vitest";
import type { BackendEvent } from "../../src/core/ports.ts";
import { parseSteer } from "../../src/protocol/steer.ts";
import { answer, callFunctions, finish, Gate } from "../../src/testing/index.ts";
import { checkGrammar } from "../support/grammar.ts";
import { JournalStore, makeEngine, settled, turn } from "./harness.ts";

describe("a warm-up", () => {
  test("takes in the context of its parent, waits for its turn in its lane, and reports no backend's tokens", async () => {
    const gate = new Gate();
    const { open, scripted, reports } = makeEngine({ steps: [answer("a"), [gate, finish()], answer("c")] });
    const session = open();
    await turn(session, { input: "u1", store: false }).end;
    const before = turn(session, { previous_response_id: "resp_1" });
    const warm = turn(session, { input: "u2", generate: false, store: false, previous_response_id: "resp_1" });
    await gate.reached;
    await settled();
    expect(scripted.prefills).toEqual([]);
    gate.open();
    await before.end;
    expect((await warm.response()).usage).toMatchObject({ input_tokens: 0, output_tokens: 0, total_tokens: 0 });
    expect(scripted.prefills).toMatchObject([{ parent: { id: "resp_1" }, input: [{ content: "u2" }] }]);
    await turn(session, { input: [], previous_response_id: "resp_3" }).end;
    expect(scripted.calls[2]?.context).toMatchObject([
      { content: "u1" },
      { content: [{ text: "a" }] },
      { content: "u2" },
    ]);
    expect(reports().map((report) => report.outcome)).toEqual(["completed", "completed", "completed", "completed"]);
  });

  test("is interrupted only before it has ended, when its client is behind; and can be continued even so", async () => {
    const room = Promise.withResolvers<void>();
    const { open } = makeEngine({ steps: [answer("a")] });
    const session = open();
    const told = turn(
      session,
      { generate: false },
      { emit: (events) => (events[0]?.type === "response.created" ? room.promise : undefined) },
    );
    await settled();
    session.interrupt(null, null);
    room.resolve();
    expect((await told.response()).incomplete_details).toEqual({ reason: "interrupted" });
    checkGrammar(told.events);
    expect(await turn(session, { previous_response_id: "resp_1" }).code()).toBe("completed");
  });

  test("that continues a steered response takes its steers in", async () => {
    const gate = new Gate();
    const [calls] = callFunctions({ callId: "c1", name: "f" }) as [readonly BackendEvent[]];
    const { open, scripted } = makeEngine({ steps: [[calls, gate, finish()]] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    session.steer(parseSteer({ previous_response_id: "resp_1", input: "Hurry." }), () => undefined);
    gate.open();
    await told.end;
    const input = [{ type: "function_call_output", call_id: "c1", output: "" }];
    await turn(session, { generate: false, input, previous_response_id: "resp_1" }).end;
    expect(scripted.prefills).toMatchObject([{ input: [{ content: "Hurry." }, ...input] }]);
  });

  test("that cannot be stored has failed, and what it named is forgotten", async () => {
    const store = new JournalStore();
    const { open } = makeEngine({ store, steps: [answer("a")] });
    const session = open();
    await turn(session, { store: false }).end;
    store.before = () => Promise.reject(new Error("full"));
    expect(await turn(session, { generate: false, previous_response_id: "resp_1" }).code()).toBe("server_error");
    store.before = async () => undefined;
    expect(await turn(session, { previous_response_id: "resp_1" }).code()).toBe("previous_response_not_found");
  });

  test("is refused like any turn: for its parent, its input and its model", async () => {
    const { open, scripted } = makeEngine();
    const session = open();
    const stray = [{ type: "function_call_output", call_id: "c", output: "" }];
    const requests = [{ previous_response_id: "resp_unknown" }, { input: stray }, { model: "unknown" }];
    const codes = await Promise.all(requests.map((request) => turn(session, { generate: false, ...request }).code()));
    expect(codes).toEqual(["previous_response_not_found", "tool_call_not_found", "model_not_found"]);
    expect(scripted.prefills).toEqual([]);
  });
});
