import { describe, expect, test } from "vitest";
import { EventLog, OpenCall, OpenText } from "../../src/core/open-item.ts";
import type { OutputItem } from "../../src/protocol/items.ts";

describe("an event log", () => {
  test("numbers from 0 and hands out what was written since the last time", () => {
    const log = new EventLog();
    const call = new OpenCall({ kind: "function", id: "fc_1", callId: "call_1", name: "f" }, 0, log);
    call.delta("{}");
    const first = log.take();
    expect(first.map((event) => event.sequence_number)).toEqual([0, 1]);
    expect(log.take()).toEqual([]);
    call.close();
    expect(log.take().map((event) => event.sequence_number)).toEqual([2, 3]);
    expect(first).toHaveLength(2);
  });
});

describe("an open text", () => {
  test("opens a part with its first delta, and another when the kind of text changes", () => {
    const log = new EventLog();
    const message = new OpenText("message", "msg_1", 3, log);
    message.delta("output_text", "a");
    message.delta("output_text", "b");
    message.delta("refusal", "c");
    message.delta("output_text", "d");
    const item = message.close("completed");
    const events = log
      .take()
      .map((event) => [event.type.slice("response.".length), "content_index" in event ? event.content_index : null]);
    expect(events).toEqual([
      ["output_item.added", null],
      ["content_part.added", 0],
      ["output_text.delta", 0],
      ["output_text.delta", 0],
      ["output_text.done", 0],
      ["content_part.done", 0],
      ["content_part.added", 1],
      ["refusal.delta", 1],
      ["refusal.done", 1],
      ["content_part.done", 1],
      ["content_part.added", 2],
      ["output_text.delta", 2],
      ["output_text.done", 2],
      ["content_part.done", 2],
      ["output_item.done", null],
    ]);
    expect(item).toEqual({
      type: "message",
      id: "msg_1",
      status: "completed",
      role: "assistant",
      content: [
        { type: "output_text", text: "ab", annotations: [], logprobs: [] },
        { type: "refusal", refusal: "c" },
        { type: "output_text", text: "d", annotations: [], logprobs: [] },
      ],
    });
  });

  test("of a reasoning item counts the parts of its text and of its summary apart", () => {
    const log = new EventLog();
    const reasoning = new OpenText("reasoning", "rs_1", 0, log);
    reasoning.delta("summary_text", "s");
    reasoning.delta("reasoning_text", "t");
    reasoning.delta("summary_text", "u");
    const item = reasoning.close("incomplete");
    const places = log
      .take()
      .flatMap((event) =>
        "summary_index" in event
          ? [`summary ${event.summary_index}`]
          : "content_index" in event
            ? [`content ${event.content_index}`]
            : [],
      );
    expect([...new Set(places)]).toEqual(["summary 0", "content 0", "summary 1"]);
    expect(item).toEqual({
      type: "reasoning",
      id: "rs_1",
      summary: [
        { type: "summary_text", text: "s" },
        { type: "summary_text", text: "u" },
      ],
      content: [{ type: "reasoning_text", text: "t" }],
    });
  });

  test("gives away nothing that it still writes to", () => {
    const log = new EventLog();
    const message = new OpenText("message", "msg_1", 0, log);
    const [added] = log.take() as unknown as [{ readonly item: { readonly content: readonly unknown[] } }];
    message.delta("output_text", "a");
    const item = message.close("completed") as OutputItem & { readonly content: readonly object[] };
    expect(added.item.content).toEqual([]);
    for (const value of [added.item, added.item.content, item, item.content, ...item.content]) {
      expect(Object.isFrozen(value)).toBe(true);
    }
  });
});

describe("an open call", () => {
  test("of a function without arguments has the arguments {}", () => {
    const log = new EventLog();
    const item = new OpenCall({ kind: "function", id: "fc_1", callId: "call_1", name: "f" }, 0, log).close();
    expect(item).toEqual({
      type: "function_call",
      id: "fc_1",
      status: "completed",
      call_id: "call_1",
      name: "f",
      arguments: "{}",
    });
    expect(log.take().map((event) => event.type)).toEqual([
      "response.output_item.added",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.done",
      "response.output_item.done",
    ]);
  });

  test("of a custom tool without input has an empty input", () => {
    const log = new EventLog();
    const item = new OpenCall({ kind: "custom", id: "ctc_1", callId: "call_1", name: "t" }, 0, log).close();
    expect(item).toEqual({
      type: "custom_tool_call",
      id: "ctc_1",
      status: "completed",
      call_id: "call_1",
      name: "t",
      input: "",
    });
    expect(log.take().map((event) => event.type)).toEqual([
      "response.output_item.added",
      "response.custom_tool_call_input.done",
      "response.output_item.done",
    ]);
  });
});
