import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inChatTerms } from "../../src/backends/foreign-items.ts";
import { isToolCall, isToolOutput } from "../../src/protocol/items.ts";

const call = (call_id: string, name: string, args: object) => [
  { type: "function_call", call_id, name, arguments: JSON.stringify(args) },
];
const UNSEEN = "[results that cannot be shown here]";
const image = { type: "input_image", image_url: "data:x" };
const attached = (text: string, part: object) => [
  { type: "message", role: "user", content: [{ type: "input_text", text }, part] },
];
const output = (call_id: string, said: unknown) => [{ type: "function_call_output", call_id, output: said }];

describe("items of other tools", () => {
  test.each([
    [
      {
        type: "shell_call",
        id: "sh_1",
        call_id: "c",
        status: "completed",
        action: { commands: ["ls"], timeout_ms: 5 },
      },
      call("c", "shell", { commands: ["ls"], timeout_ms: 5 }),
    ],
    [
      { type: "local_shell_call", call_id: "c", action: { type: "exec", command: ["ls"], env: {} } },
      call("c", "local_shell", { type: "exec", command: ["ls"], env: {} }),
    ],
    [
      { type: "apply_patch_call", call_id: "c", operation: { type: "delete_file", path: "a" }, caller: null },
      call("c", "apply_patch", { type: "delete_file", path: "a" }),
    ],
    [
      { type: "tool_search_call", call_id: "c", execution: "client", arguments: { q: 1 } },
      call("c", "tool_search", { q: 1 }),
    ],
    [
      { type: "computer_call", call_id: "c", action: { type: "screenshot" } },
      call("c", "computer", { type: "screenshot" }),
    ],
    [{ type: "hologram_call", call_id: "c", id: "h", depth: 3 }, call("c", "hologram", { depth: 3 })],
    [
      {
        type: "shell_call_output",
        call_id: "c",
        output: [
          { stdout: "a\n", stderr: "", outcome: { type: "exit", exit_code: 0 } },
          { stdout: "", stderr: "oh" },
        ],
      },
      output("c", [
        { type: "input_text", text: "a\n" },
        { type: "input_text", text: "oh" },
      ]),
    ],
    [{ type: "local_shell_call_output", id: "c", output: "done" }, output("c", "done")],
    [{ type: "apply_patch_call_output", call_id: "c", status: "completed", output: "ok" }, output("c", "ok")],
    [
      { type: "computer_call_output", call_id: "c", output: { type: "computer_screenshot", image_url: "data:x" } },
      [...output("c", [image]), ...attached("Image output of tool call c:", image)],
    ],
    [
      { type: "computer_call_output", output: { type: "computer_screenshot", image_url: "data:x" } },
      [
        { type: "function_call_output", name: "computer", output: [image] },
        ...attached("Image output of tool computer:", image),
      ],
    ],
    [
      { type: "tool_search_output", call_id: null, tools: [{ type: "function", name: "f" }] },
      [{ type: "function_call_output", name: "tool_search", output: "Found, and can be called now: f" }],
    ],
    [
      { type: "tool_search_output", call_id: "c", tools: [{ type: "function", name: "f" }] },
      output("c", "Found, and can be called now: f"),
    ],
    [{ type: "tool_search_output", call_id: "c", tools: [] }, output("c", "No tools were found.")],
    [{ type: "hologram_output", call_id: "c", output: 5 }, output("c", "5")],
    [
      { type: "mcp_call", id: "m", server_label: "s", name: "ask", arguments: '{"q":1}', output: "yes" },
      [...call("m", "ask", { q: 1 }), ...output("m", "yes")],
    ],
    [
      { type: "mcp_call", id: "m", name: "ask", arguments: "{}", output: null, error: "down" },
      [...call("m", "ask", {}), ...output("m", "down")],
    ],
    [
      { type: "code_interpreter_call", id: "i", code: "1+1", outputs: [{ type: "logs", logs: "2" }] },
      [...call("i", "code_interpreter", { code: "1+1" }), ...output("i", [{ type: "input_text", text: "2" }])],
    ],
    [
      { type: "code_interpreter_call", id: "i", code: "1+1", outputs: [{ type: "image", url: "data:x" }] },
      [
        ...call("i", "code_interpreter", { code: "1+1" }),
        ...output("i", [image]),
        ...attached("Image output of tool call i:", image),
      ],
    ],
    [
      { type: "web_search_call", id: "w", status: "completed", action: { type: "search", query: "q" } },
      [...call("w", "web_search", { type: "search", query: "q" }), ...output("w", UNSEEN)],
    ],
    [
      { type: "image_generation_call", id: "g", result: "AAAA", output_format: "webp", revised_prompt: "a cat" },
      [
        ...call("g", "image_generation", { output_format: "webp", revised_prompt: "a cat" }),
        ...output("g", [{ type: "input_image", image_url: "data:image/webp;base64,AAAA" }]),
        ...attached("Image output of tool call g:", { type: "input_image", image_url: "data:image/webp;base64,AAAA" }),
      ],
    ],
    [
      { type: "file_search_call", id: "f", queries: ["q"], results: null },
      [...call("f", "file_search", { queries: ["q"] }), ...output("f", UNSEEN)],
    ],
    [
      { type: "tool_search_call", id: "t", call_id: null, execution: "server", arguments: { q: 1 } },
      [...call("t", "tool_search", { q: 1 }), ...output("t", UNSEEN)],
    ],
    [
      { type: "mcp_approval_request", id: "a", server_label: "s", name: "x", arguments: "{}" },
      call("a", "mcp_approval_request", { server_label: "s", name: "x", arguments: "{}" }),
    ],
    [
      { type: "mcp_approval_response", approval_request_id: "a", approve: false, reason: "no" },
      output("a", "denied: no"),
    ],
    [
      { type: "agent_message", author: "/root", content: [{ type: "input_text", text: "hi" }] },
      [
        {
          type: "message",
          role: "user",
          content: [
            { type: "input_text", text: "[agent_message]\n" },
            { type: "input_text", text: "hi" },
          ],
        },
      ],
    ],
    [
      { type: "file_search_call", id: "f", queries: ["q"], results: [{ text: "found", file_id: "x" }] },
      [...call("f", "file_search", { queries: ["q"] }), ...output("f", "found")],
    ],
  ])("%j are said in terms of chat", (item, expected) => {
    expect(inChatTerms(item)).toEqual(expected);
  });

  test.each([{ type: "mcp_list_tools", id: "l", tools: [] }, { type: "hologram_call" }, { type: "from_the_future" }])(
    "%j say nothing that the model could read",
    (item) => {
      expect(inChatTerms(item)).toEqual([]);
    },
  );

  test("known items stay as they are, and whatever else comes is calls, outputs and words of the user, or nothing", () => {
    const message = { type: "message", role: "user", content: "hi" };
    expect(inChatTerms(message)).toEqual([message]);
    const type = fc.oneof(fc.string(), fc.constantFrom("a_call", "a_call_output", "mcp_call", "code_interpreter_call"));
    const item = fc.tuple(
      type,
      fc.dictionary(fc.constantFrom("call_id", "id", "output", "name", "outputs"), fc.jsonValue()),
    );
    fc.assert(
      fc.property(item, ([name, fields]) => {
        fc.pre(!["message", "reasoning"].includes(name));
        for (const each of inChatTerms({ ...fields, type: name }))
          expect(isToolCall(each) || isToolOutput(each) || each["role"] === "user").toBe(true);
      }),
    );
  });
});
