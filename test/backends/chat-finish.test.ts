import { describe, expect, test } from "vitest";
import { readFinish } from "../../src/backends/chat-finish.ts";
import { ApiError } from "../../src/protocol/errors.ts";

function outcome(reason: unknown, native?: unknown): string | null {
  try {
    return readFinish(reason, native);
  } catch (error) {
    if (error instanceof ApiError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

describe("why an answer ended", () => {
  test.each(["stop", "STOP", "tool_calls", "function_call", "eos", "eos_token", "end_turn", "stop_sequence"])(
    "%s is the model's own end",
    (reason) => {
      expect(outcome(reason)).toBe("stop");
    },
  );

  test.each(["length", "MAX_TOKENS", "max_tokens", "model_length"])("%s is the limit of the output", (reason) => {
    expect(outcome(reason)).toBe("max_output_tokens");
  });

  test.each(["content_filter", "SAFETY", "sensitive", "RECITATION", "refusal"])("%s is a filter", (reason) => {
    expect(outcome(reason)).toBe("content_filter");
  });

  test.each(["error", "abort", "network_error", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL"])(
    "%s is a failure that names it",
    (reason) => {
      expect(outcome(reason)).toBe(`server_error: The model server ended its answer with '${reason}'.`);
    },
  );

  test.each<[string, unknown]>([
    ["another word", "sunset"],
    ["a number", 7],
    ["an object", { type: "sunset" }],
  ])("%s is a failure, and never an end", (_, reason) => {
    expect(outcome(reason)).toMatch(/^server_error: .*unknown reason: '/);
  });

  test("a context that is too long is told as that", () => {
    expect(outcome("model_context_window_exceeded")).toMatch(/^context_length_exceeded: /);
  });

  test.each([undefined, null, "", false, "null"])("%j is no end yet", (reason) => {
    expect(outcome(reason)).toBeNull();
  });

  test.each([
    ["network_error", /'network_error'/],
    ["MAX_TOKENS", /^max_output_tokens$/],
    ["SAFETY", /^content_filter$/],
    ["sunset", /^stop$/],
    ["STOP", /^stop$/],
  ])("stop beside %s as the server's own word is %s", (native, expected) => {
    expect(outcome("stop", native)).toMatch(expected);
  });
});
