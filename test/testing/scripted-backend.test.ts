import { describe, expect, test } from "vitest";
import type { BackendEvent, BackendRequest } from "../../src/core/ports.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { answer, finish, Gate, ScriptedBackend } from "../../src/testing/index.ts";
import { open } from "../support/compactions.ts";

function ask(input = "hello"): BackendRequest {
  const { input: items, ...settings } = parseCreateRequest({ model: "m", input });
  return { model: "m", parent: null, input: items, settings, session: {}, open };
}

async function collect(batches: AsyncIterable<readonly BackendEvent[]>): Promise<readonly BackendEvent[]> {
  const events: BackendEvent[] = [];
  for await (const batch of batches) events.push(...batch);
  return events;
}

const never = new AbortController().signal;

describe("a scripted backend", () => {
  test("plays its steps in order and records the calls", async () => {
    const backend = new ScriptedBackend([answer("a", "b"), [finish("content_filter")]]);
    expect(await collect(backend.stream(ask("one"), never))).toEqual([
      { type: "text.delta", delta: "a" },
      { type: "text.delta", delta: "b" },
      ...finish(),
    ]);
    expect(await collect(backend.stream(ask("two"), never))).toEqual(finish("content_filter"));
    expect(backend.calls.map(({ context }) => context)).toMatchObject([[{ content: "one" }], [{ content: "two" }]]);
    expect(await backend.calls[0]?.ended).toBe("finished");
    await backend.close();
  });

  test("records what nobody can change afterwards", () => {
    const backend = new ScriptedBackend([answer("a")]);
    backend.stream(ask(), never);
    expect(() => Object.assign(backend.calls[0]?.input[0] as object, { role: "system" })).toThrow("read only");
  });

  test("refuses at once, or breaks off in the middle", async () => {
    const backend = new ScriptedBackend([
      { refuse: new Error("no") },
      [[{ type: "text.delta", delta: "a" }], new Error("cut")],
    ]);
    expect(() => backend.stream(ask(), never)).toThrow("no");
    await expect(collect(backend.stream(ask(), never))).rejects.toThrow("cut");
    expect(await backend.calls[1]?.ended).toBe("failed");
  });

  test("waits at a gate until the test opens it", async () => {
    const gate = new Gate();
    const backend = new ScriptedBackend([[[{ type: "text.delta", delta: "a" }], gate, finish()]]);
    const events = collect(backend.stream(ask(), never));
    await gate.reached;
    const call = await backend.call(0);
    expect(call.taken()).toBe(1);
    gate.open();
    await events;
    expect(call.taken()).toBe(2);
  });

  test("ends at once when it is aborted, at a gate too", async () => {
    const controller = new AbortController();
    const backend = new ScriptedBackend([[new Gate(), finish()]]);
    const events = collect(backend.stream(ask(), controller.signal));
    controller.abort(new Error("enough"));
    await expect(events).rejects.toThrow("enough");
    expect(await backend.calls[0]?.ended).toBe("aborted");
  });

  test("knows when its reader has left", async () => {
    const backend = new ScriptedBackend([answer("a", "b")]);
    for await (const _batch of backend.stream(ask(), never)) break;
    expect(await backend.calls[0]?.ended).toBe("left");
  });

  test("fails on a call that its script does not foresee, at the call and at the end", async () => {
    const backend = new ScriptedBackend();
    expect(() => backend.stream(ask(), never)).toThrow("unexpected call 0");
    await expect(backend.close()).rejects.toThrow("did not foresee");
  });
});
