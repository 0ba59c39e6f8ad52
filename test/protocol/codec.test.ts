import { describe, expect, test, vi } from "vitest";
import { encodeFrame, encodeSse, SSE_DONE } from "../../src/protocol/codec.ts";
import { ApiError, errorFrame } from "../../src/protocol/errors.ts";
import { isTerminal, type ServerEvent } from "../../src/protocol/events.ts";
import type { Response } from "../../src/protocol/response.ts";
import { EVENT } from "../../src/protocol/table.ts";

const delta = (text: string): ServerEvent => ({
  type: EVENT.textDelta,
  sequence_number: 4,
  item_id: "msg_1",
  output_index: 0,
  content_index: 0,
  delta: text,
  logprobs: [],
});

describe("a frame", () => {
  test("is the event as one JSON object, and names its lane where the client gave it a name", () => {
    expect(JSON.parse(encodeFrame(delta("a\nb"), null))).toEqual(delta("a\nb"));
    const frame = errorFrame(new ApiError("invalid_json", "No."));
    expect(JSON.parse(encodeFrame(frame, null))).toEqual(frame);
    expect(JSON.parse(encodeFrame(frame, "a.B-1_"))).toEqual({ ...frame, stream_id: "a.B-1_" });
  });
});

describe("an event that shows a response with tools", () => {
  const write = vi.fn<() => object>(() => ({ type: "function", name: "f" }));
  const tools = Object.freeze([{ type: "function", name: "f", toJSON: write }]);
  const response = { id: "resp_1", tools, output: [{ text: 'a "b"}' }] } as unknown as Response;
  const created: ServerEvent = { type: EVENT.created, sequence_number: 0, response };
  const plain = JSON.parse(JSON.stringify(created)) as unknown;

  test("says what it would say anyhow, on any transport", () => {
    expect(JSON.parse(encodeFrame(created, null))).toEqual(plain);
    expect(JSON.parse(encodeFrame(created, "a"))).toEqual({ ...(plain as object), stream_id: "a" });
    expect(JSON.parse(encodeSse(created)[0]?.split("data: ")[1] ?? "")).toEqual(plain);
  });

  test("serialises them once, however often they are shown", () => {
    encodeFrame(created, null);
    write.mockClear();
    encodeFrame({ ...created, type: EVENT.inProgress, response: { ...response } }, null);
    encodeSse(created);
    expect(write).toHaveBeenCalledTimes(0);
  });
});

describe("an SSE block", () => {
  test("names its event after the type and has its data on one line", () => {
    const [block, ...others] = encodeSse(delta("a\nb\r\n\u2028"));
    expect(others).toEqual([]);
    expect(block).toMatch(/^event: response\.output_text\.delta\ndata: [^\n\r]+\n\n$/);
    expect(JSON.parse(block?.split("data: ")[1] ?? "")).toEqual(delta("a\nb\r\n\u2028"));
  });

  test("of a failure is announced by an error event, which takes a number of its own", () => {
    const response = {
      id: "resp_1",
      tools: [],
      error: { code: "server_error", message: "It broke." },
    } as unknown as Response;
    const failed: ServerEvent = { type: EVENT.failed, sequence_number: 9, response };
    const [announcement, block, ...others] = encodeSse(failed).map(
      (text) => JSON.parse(text.split("data: ")[1] ?? "") as Record<string, unknown>,
    );
    expect(others).toEqual([]);
    expect(announcement).toMatchObject({
      type: "error",
      sequence_number: 9,
      code: "server_error",
      message: "It broke.",
      param: null,
      error: { type: "server_error", code: "server_error", message: "It broke.", param: null },
    });
    expect(block).toEqual({ ...failed, sequence_number: 10 });
  });

  test("that ends the stream is the literal [DONE]", () => {
    expect(SSE_DONE).toBe("data: [DONE]\n\n");
  });
});

test("the events that end a turn are known as such", () => {
  const response = {} as unknown as Response;
  const ends = ([EVENT.completed, EVENT.incomplete, EVENT.failed] as const).map((type) => ({
    type,
    sequence_number: 9,
    response,
  }));
  expect(ends.every(isTerminal)).toBe(true);
  expect(isTerminal(delta("a"))).toBe(false);
  expect(isTerminal({ type: EVENT.created, sequence_number: 0, response })).toBe(false);
});
