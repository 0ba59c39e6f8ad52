import { describe, expect, test } from "vitest";
import { describeRefused, parseClientEvent } from "../../src/protocol/client-event.ts";
import { parseJson } from "../../src/protocol/codec.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { parseSteer } from "../../src/protocol/steer.ts";

const decode = (text: string) => parseClientEvent(parseJson(text));

/** The code, the message and the param of what an act throws. */
function refusal(act: () => unknown): readonly (string | null)[] {
  try {
    act();
  } catch (error) {
    if (error instanceof ApiError) return [error.code, error.message, error.param];
    throw error;
  }
  throw new Error("nothing was thrown");
}

test("a create in the background is refused: a connection could not show its events", () => {
  const create = { type: "response.create", model: "m", input: "Hi", background: true };
  expect(() => parseClientEvent(create)).toThrow(
    expect.objectContaining({ code: "unsupported_parameter", param: "background" }),
  );
  expect(parseClientEvent({ ...create, background: false })).toMatchObject({ type: "create" });
});

describe("a WebSocket message", () => {
  test("is a create request with the request's fields beside its type", () => {
    expect(decode('{"type":"response.create","model":"m","input":"Hi","seed":1,"stream_id":"a.B-1_"}')).toMatchObject({
      type: "create",
      streamId: "a.B-1_",
      request: { input: [{ type: "message", role: "user", content: "Hi" }], extra: { seed: 1 } },
    });
  });

  test.each([
    ["", "invalid_json", null],
    ["{", "invalid_json", null],
    ["hello", "invalid_json", null],
    ["[]", "invalid_type", null],
    ["null", "invalid_type", null],
    ['"response.create"', "invalid_type", null],
    ["{}", "missing_required_parameter", "type"],
    ['{"model":"m","input":"Hi"}', "missing_required_parameter", "type"],
    ['{"type":"response.append"}', "unsupported_event_type", "type"],
    ['{"type":"response.interrupt"}', "missing_required_parameter", "response_id"],
    ['{"type":"response.steer","input":"x"}', "missing_required_parameter", "previous_response_id"],
    ['{"type":"RESPONSE.CREATE"}', "unsupported_event_type", "type"],
    ['{"type":["response.create"]}', "unsupported_event_type", "type"],
    ['{"type":null}', "unsupported_event_type", "type"],
    ['{"type":"response.create","response":{"model":"m","input":"Hi"}}', "missing_required_parameter", "input"],
    ['{"type":"response.create","model":"m","input":7}', "invalid_type", "input"],
  ])("%s is refused", (text, code, param) => {
    const [actualCode, , actualParam] = refusal(() => decode(text));
    expect([actualCode, actualParam]).toEqual([code, param]);
  });

  test("of an unknown type is told which, at no great length", () => {
    expect(refusal(() => decode('{"type":"response.append"}'))[1]).toBe("Unsupported event type 'response.append'.");
    expect(refusal(() => decode('{"type":5}'))[1]).toBe("Unsupported event type that is not a string.");
    const long = refusal(() => decode(JSON.stringify({ type: "x".repeat(10_000) })))[1];
    expect(long?.length).toBeLessThan(200);
  });

  test("that is no JSON keeps the parser's own words to the log", () => {
    const [, message] = refusal(() => parseJson('{"secret-key": oops}'));
    expect(message).toBe("We could not parse the JSON of your request.");
  });

  test.each(["", "a b", "é", "x".repeat(257), 5, {}, []])("with the lane name %j is refused", (stream_id) => {
    const frame = JSON.stringify({ type: "response.create", model: "m", input: "Hi", stream_id });
    const [code, message, param] = refusal(() => decode(frame));
    expect([code, param]).toEqual(["invalid_stream_id", "stream_id"]);
    expect(message).toContain("non-empty string with at most 256 characters");
  });

  test("interrupts by id, and cancels what runs on the default lane", () => {
    expect(decode('{"type":"response.interrupt","response_id":"resp_1","mode":"discard_partial_items"}')).toEqual({
      type: "interrupt",
      responseId: "resp_1",
      mode: "discard_partial_items",
    });
    expect(decode('{"type":"response.cancel"}')).toEqual({ type: "interrupt", responseId: null, mode: null });
  });

  test.each(["response.processed", "ping", "codex.client.keepalive"])("of type %s needs no answer", (type) => {
    expect(decode(JSON.stringify({ type, response_id: "resp_1" }))).toEqual({ type: "ignored" });
  });

  test("that was refused still tells which turn it was to be", () => {
    const create = { type: "response.create", previous_response_id: "resp_1", stream_id: "a" };
    expect(describeRefused(create)).toEqual({ isCreate: true, streamId: "a" });
    expect(describeRefused({ ...create, previous_response_id: 5, stream_id: "a b" })).toEqual({
      isCreate: true,
      streamId: null,
    });
    for (const value of [null, [], 5, "x", { type: "other" }]) {
      expect(describeRefused(value)).toEqual({ isCreate: false, streamId: null });
    }
  });
});

const items = (input: unknown, more: object = {}): unknown =>
  parseSteer({ type: "response.steer", previous_response_id: "resp_1", input, ...more }).items;

describe("a steer", () => {
  test("says text, or user messages", () => {
    expect(items("Hurry")).toEqual([{ type: "message", role: "user", content: "Hurry" }]);
    const parts = [
      { type: "input_text", text: "a" },
      { type: "input_image", image_url: "data:," },
    ];
    expect(
      items([
        { role: "user", content: parts },
        { type: "message", role: "user", content: "b" },
      ]),
    ).toEqual([
      { type: "message", role: "user", content: parts },
      { type: "message", role: "user", content: "b" },
    ]);
  });

  test.each([
    [""],
    [[]],
    [undefined],
    [7],
    [[{ role: "assistant", content: "x" }]],
    [[{ role: "user", content: "x", id: "msg_1" }]],
    [[{ role: "user", content: [{ type: "output_text", text: "x" }] }]],
    [[{ role: "user", content: [{ type: "input_text" }] }]],
    [[{ type: "function_call_output", call_id: "c", output: "x" }]],
    [[null]],
  ])("cannot say %j", (input) => {
    expect(items(input)).toBeNull();
  });

  test("has no other fields", () => {
    expect(items("x", { stream_id: "a" })).toBeNull();
  });
});
