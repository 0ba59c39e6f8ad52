import { describe, expect, test } from "vitest";
import type { ServerEvent } from "../../src/protocol/events.ts";
import { answer, finish, Gate } from "../../src/testing/index.ts";
import { makeEngine, turn } from "./harness.ts";

const input = [{ type: "function_call_output", call_id: "c", output: "x" }];

describe("input for a response", () => {
  test.each([
    ["that runs", "resp_1", "invalid_input"],
    ["that nobody knows", "resp_unknown", "response_not_found"],
  ] as const)("is answered with its input and the next number: %s", async (_, responseId, code) => {
    const gate = new Gate();
    const { open } = makeEngine({ steps: [[gate, finish()]] });
    const session = open();
    const told = turn(session);
    await gate.reached;
    const before = told.events.length;
    const emitted: ServerEvent[] = [];
    session.inject({ responseId, input }, (event) => emitted.push(event));
    const [failed] = [...told.events.slice(before), ...emitted];
    expect(failed).toEqual({
      type: "response.inject.failed",
      response_id: responseId,
      input,
      error: { code, message: expect.stringContaining(responseId) },
      sequence_number: responseId === "resp_1" ? before : 0,
    });
    gate.open();
    expect((await told.response()).status).toBe("completed");
    expect(told.events.map((event) => event.sequence_number)).toEqual(told.events.map((_event, index) => index));
  });

  test("of one that has ended continues its numbers, and the next turn begins at 0", async () => {
    const { open } = makeEngine({ steps: [answer("a"), answer("b")] });
    const session = open();
    const told = turn(session, { store: false });
    const { id } = await told.response();
    const emitted: ServerEvent[] = [];
    for (const _ of [1, 2]) session.inject({ responseId: id, input }, (event) => emitted.push(event));
    expect(emitted).toMatchObject(
      [0, 1].map((more) => ({
        error: { code: "response_already_completed", message: `Response '${id}' has already completed.` },
        sequence_number: told.events.length + more,
      })),
    );
    const next = turn(session, { previous_response_id: id, store: false });
    await next.response();
    expect(next.events[0]?.sequence_number).toBe(0);
  });
});
