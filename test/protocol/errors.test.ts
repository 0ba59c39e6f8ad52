import { describe, expect, test } from "vitest";
import {
  ApiError,
  errorBody,
  errorEvent,
  errorFrame,
  itemNotFound,
  modelNotFound,
  previousResponseNotFound,
  Quotation,
  retryHeaders,
  toApiError,
  toolCallNotFound,
  toolOutputMissing,
  unknownToolChoice,
  unsupportedTool,
} from "../../src/protocol/errors.ts";
import { ERROR, SENT_WITHOUT_CODE, type ErrorCode } from "../../src/protocol/table.ts";

const error = new ApiError("previous_response_not_found", "It is gone.", { param: "previous_response_id" });
const busy = new ApiError("rate_limit_exceeded", "Later.", { retryAfter: 7 });

describe("an error has three shapes", () => {
  test("an HTTP body has the four keys of OpenAI's envelope, also where they are null", () => {
    expect(errorBody(error)).toEqual({
      error: {
        message: "It is gone.",
        type: "invalid_request_error",
        param: "previous_response_id",
        code: "previous_response_not_found",
      },
    });
    expect(errorBody(busy).error).toEqual({
      message: "Later.",
      type: "rate_limit_error",
      param: null,
      code: "rate_limit_exceeded",
    });
  });

  test("a WebSocket frame is nested and carries its status", () => {
    expect(errorFrame(error)).toEqual({
      type: "error",
      status: 400,
      error: {
        message: "It is gone.",
        type: "invalid_request_error",
        param: "previous_response_id",
        code: "previous_response_not_found",
      },
    });
  });

  test("a WebSocket frame says when to retry, in both places where clients look", () => {
    const frame = errorFrame(busy);
    expect(frame.status).toBe(429);
    expect(frame.headers).toEqual({ "retry-after": "7" });
    expect(frame.error.headers).toEqual({ "retry-after": "7" });
    expect(retryHeaders(busy)).toEqual({ "retry-after": "7" });
    expect(retryHeaders(error)).toBeUndefined();
  });

  test("an SSE event is flat for OpenAI's clients and nested for Open Responses", () => {
    const nested = errorBody(error).error;
    expect(errorEvent(error, 5)).toEqual({
      type: "error",
      sequence_number: 5,
      code: nested.code,
      message: nested.message,
      param: nested.param,
      error: nested,
    });
  });

  test.each(Object.keys(ERROR) as ErrorCode[])("%s has the status and the type of its row in all of them", (code) => {
    const { status, type } = ERROR[code];
    const any = new ApiError(code, "…");
    const sent = { type, code: SENT_WITHOUT_CODE.has(code) ? null : code };
    expect(any.status).toBe(status);
    expect(errorFrame(any)).toMatchObject({ status, error: { type, code } });
    expect(errorBody(any).error).toMatchObject(sent);
    expect(errorEvent(any, 0).error).toMatchObject(sent);
  });
});

describe("what a client may know", () => {
  const secret = "postgres://admin:hunter2@10.0.0.1";

  test.each([
    ["an Error", new Error(secret)],
    ["a TypeError with a cause", new TypeError(secret, { cause: new Error(secret) })],
    ["a string", secret],
    ["an object", { message: secret, code: "previous_response_not_found" }],
    ["nothing", undefined],
  ])("hides the text of %s", (_, thrown) => {
    const shown = toApiError(thrown);
    expect(shown.code).toBe("server_error");
    expect(shown.cause).toBe(thrown);
    for (const shape of [errorBody(shown), errorFrame(shown), errorEvent(shown, 0)]) {
      expect(JSON.stringify(shape)).not.toContain(secret);
    }
  });

  test("what another server said word for word is a cause like others", () => {
    const known = new ApiError("server_error", "No.", { cause: new Quotation(secret) });
    expect(known.cause).toMatchObject({ name: "Quotation", message: secret });
    expect(JSON.stringify([errorBody(known), errorFrame(known), errorEvent(known, 0)])).not.toContain(secret);
  });

  test("an ApiError says what it says, and keeps its cause to itself", () => {
    const known = new ApiError("invalid_value", "No.", { cause: new Error(secret) });
    expect(toApiError(known)).toBe(known);
    expect(known).toBeInstanceOf(Error);
    expect(known.name).toBe("ApiError");
    expect(JSON.stringify([errorBody(known), errorFrame(known), errorEvent(known, 0)])).not.toContain(secret);
  });
});

test.each([
  [
    previousResponseNotFound("resp_1"),
    "previous_response_not_found",
    "Previous response with id 'resp_1' not found.",
    "previous_response_id",
  ],
  [
    toolCallNotFound("function_call_output", "call_1"),
    "tool_call_not_found",
    "No tool call found for function call output with call_id call_1.",
    "input",
  ],
  [
    toolCallNotFound("custom_tool_call_output", "call_1"),
    "tool_call_not_found",
    "No tool call found for custom tool call output with call_id call_1.",
    "input",
  ],
  [
    toolOutputMissing("function_call", "call_1"),
    "tool_output_missing",
    "No tool output found for function call call_1.",
    "input",
  ],
  [
    itemNotFound("msg_1"),
    "item_not_found",
    "Item with id 'msg_1' not found. Items are not persisted when `store` is set to false. " +
      "Try again with `store` set to true, or remove this item from your input.",
    "input",
  ],
  [unknownToolChoice("f"), "invalid_value", "Tool choice 'f' not found in 'tools' parameter.", "tool_choice"],
  [
    unsupportedTool("web_search", "tools"),
    "unsupported_tool",
    "The tool type 'web_search' is not supported by this server: it runs no hosted tools, only the client's own.",
    "tools",
  ],
  [modelNotFound("gpt"), "model_not_found", "The requested model 'gpt' does not exist.", "model"],
] as const)("%s is said in OpenAI's words", (said, code, message, param) => {
  expect([said.code, said.message, said.param]).toEqual([code, message, param]);
});

test("a value that is nested too deeply to be walked is the client's mistake", () => {
  const value = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`) as unknown;
  const walk = (inner: unknown): number => (Array.isArray(inner) ? 1 + walk(inner[0]) : 0);
  let thrown: unknown;
  try {
    walk(value);
  } catch (error) {
    thrown = error;
  }
  expect(toApiError(thrown)).toMatchObject({ code: "invalid_value", message: "The request is nested too deeply." });
});
