import { describe, expect, test } from "vitest";
import { growthOf } from "../../src/core/item-growth.ts";
import { EVENT } from "../../src/protocol/table.ts";

const at = (command_index: number) => ({ output_index: 2, command_index });

function grown(item: Parameters<typeof growthOf>[0]) {
  let sequence = 4;
  const { beginning, grow } = growthOf(item);
  return { beginning, events: grow(2, () => sequence++) };
}

test("a shell call grows command by command", () => {
  const action = { commands: ["ls", "pwd"], timeout_ms: 5, max_output_length: null };
  const item = { type: "shell_call", id: "sh_1", call_id: "c", status: "completed", action, environment: null };
  const { beginning, events } = grown(item);
  const empty = { commands: [], timeout_ms: null, max_output_length: null };
  expect(beginning).toEqual({ ...item, status: "in_progress", action: empty });
  expect(events).toEqual([
    { type: EVENT.shellCommandAdded, sequence_number: 4, ...at(0), command: "" },
    { type: EVENT.shellCommandDelta, sequence_number: 5, ...at(0), delta: "ls" },
    { type: EVENT.shellCommandDone, sequence_number: 6, ...at(0), command: "ls" },
    { type: EVENT.shellCommandAdded, sequence_number: 7, ...at(1), command: "" },
    { type: EVENT.shellCommandDelta, sequence_number: 8, ...at(1), delta: "pwd" },
    { type: EVENT.shellCommandDone, sequence_number: 9, ...at(1), command: "pwd" },
  ]);
});

test.each([
  [
    "apply_patch_call",
    { operation: { type: "create_file", path: "a", diff: "+a" } },
    { operation: { type: "create_file", path: "a", diff: "" } },
  ],
  [
    "apply_patch_call",
    { operation: { type: "delete_file", path: "a" } },
    { operation: { type: "delete_file", path: "a" } },
  ],
  ["tool_search_call", { arguments: { query: "files" } }, { arguments: {} }],
])("%s begins empty and in progress", (type, fields, empty) => {
  const { beginning, events } = grown({ type, call_id: "c", status: "completed", ...fields });
  expect(beginning).toEqual({ type, call_id: "c", status: "in_progress", ...empty });
  expect(events).toEqual([]);
});

describe("what is not understood", () => {
  test.each([
    { type: "acme:thing", status: "completed" },
    { type: "local_shell_call", action: { type: "exec", command: ["ls"] } },
  ])("an item of another type begins as it is: %j", (item) => {
    expect(grown(item)).toEqual({ beginning: item, events: [] });
  });

  test.each([null, "ls", [1]])("commands that are no texts are not written: %j", (commands) => {
    expect(grown({ type: "shell_call", action: { commands } }).events).toEqual([]);
  });
});
