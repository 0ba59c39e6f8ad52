import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import type { BackendEvent } from "../../src/core/ports.ts";
import { answer, finish, Gate } from "../../src/testing/index.ts";
import { makeEngine, turn } from "./harness.ts";

const BENCH = fileURLToPath(new URL("../../bench/forks.bench.ts", import.meta.url));
const text = (delta: string): readonly BackendEvent[] => [{ type: "text.delta", delta }];

describe("forks", () => {
  test("share the very nodes of their chain, and what is new of each is seen by no other", async () => {
    const lanes = Array.from({ length: 20 }, (_, index) => `fork-${index}`);
    const { open, scripted } = makeEngine({
      steps: [answer("a"), answer("b"), ...lanes.flatMap((lane) => [answer(lane), answer("z")])],
    });
    const session = open();
    await turn(session, { input: "one", store: false }).end;
    await turn(session, { input: "two", store: false, previous_response_id: "resp_1" }).end;
    const chain = ["one", [{ text: "a" }], "two", [{ text: "b" }]].map((content) => ({ content }));
    for (const lane of lanes) {
      const fork = turn(session, { input: lane, store: false, previous_response_id: "resp_2" }, { lane });
      const { id } = await fork.response();
      await turn(session, { input: "on", store: false, previous_response_id: id }, { lane }).end;
    }
    for (const [index, lane] of lanes.entries()) {
      const [first, second] = scripted.calls.slice(2 + 2 * index, 4 + 2 * index);
      expect(first?.context).toMatchObject([...chain, { content: lane }]);
      expect(second?.context).toMatchObject([
        ...chain,
        { content: lane },
        { content: [{ text: lane }] },
        { content: "on" },
      ]);
      // Not equal, but the same.
      expect(second?.chain[0]).toBe(scripted.calls[1]?.chain[0]);
      expect(second?.chain[1]).toBe(scripted.calls[2]?.chain[1]);
    }
  });

  test("run side by side with what their source goes on with", async () => {
    const gates = [new Gate(), new Gate()];
    const { open, scripted } = makeEngine({
      steps: [answer("a"), ...gates.map((gate) => [gate, text("b"), finish()])],
    });
    const session = open();
    await turn(session, { store: false }).end;
    const request = { store: false, previous_response_id: "resp_1" };
    const [onward, fork] = [turn(session, request), turn(session, request, { lane: "fork" })];
    await Promise.all(gates.map((gate) => gate.reached));
    for (const gate of gates.toReversed()) gate.open();
    expect([(await onward.response()).status, (await fork.response()).status]).toEqual(["completed", "completed"]);
    expect(scripted.calls[1]?.context).toEqual(scripted.calls[2]?.context);
  });

  test("of a parent that was forgotten while they waited count for themselves and can be continued", async () => {
    const gate = new Gate();
    const { open } = makeEngine({
      steps: [answer("a"), [gate, finish()], answer("fork"), answer("onward")],
      limits: { turnsInFlight: 1 },
    });
    const session = open();
    const stray = { type: "function_call_output", call_id: "stray", output: "" };
    await turn(session, { store: false }, { lane: "source" }).end;
    const busy = turn(session);
    await gate.reached;
    const failing = { store: false, previous_response_id: "resp_1", input: [stray] };
    const failed = turn(session, failing, { lane: "source" });
    const fork = turn(session, { store: false, previous_response_id: "resp_1" }, { lane: "fork" });
    gate.open();
    await busy.end;
    expect(await failed.code()).toBe("tool_call_not_found");
    const { id } = await fork.response();
    expect(await turn(session, { previous_response_id: id }, { lane: "fork" }).code()).toBe("completed");
    expect(await turn(session, { previous_response_id: "resp_1" }, { lane: "other" }).code()).toBe(
      "previous_response_not_found",
    );
  });

  test("of a long chain cost what is new of them: a hundred together far less than the chain once more", async () => {
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, ["--expose-gc", BENCH, "200", "100"]);
    const measured = JSON.parse(stdout) as { readonly forks: number; readonly ratio: number };
    expect(measured.forks).toBe(100);
    // Copies would make it 101.
    expect(measured.ratio).toBeLessThan(1.6);
  });
});
