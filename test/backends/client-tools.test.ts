import { describe, expect, test } from "vitest";
import { clientCall, clientTool } from "../../src/backends/client-tools.ts";
import { chatTools } from "../../src/backends/chat-tools.ts";
import { inChatTerms } from "../../src/backends/foreign-items.ts";

describe("a tool that the client runs", () => {
  test.each([
    [{ type: "shell" }, true],
    [{ type: "shell", environment: null }, true],
    [{ type: "shell", environment: { type: "local" } }, true],
    [{ type: "shell", environment: { type: "container_auto" } }, false],
    [{ type: "local_shell" }, true],
    [{ type: "apply_patch" }, true],
    [{ type: "tool_search", execution: "client" }, true],
    [{ type: "tool_search" }, false],
    [{ type: "tool_search", execution: "server" }, false],
    [{ type: "web_search" }, false],
    [{ type: "function", name: "shell" }, false],
  ])("%j: %s", (tool, isClients) => {
    expect(clientTool(tool) !== undefined).toBe(isClients);
    expect(chatTools([tool]).omitted).toEqual(isClients || tool.type === "function" ? [] : [tool.type]);
  });

  test("has its own description and parameters where the client gives them", () => {
    const parameters = { type: "object", properties: { q: { type: "string" } } };
    const search = { type: "tool_search", execution: "client", description: "Finds tools.", parameters };
    const [entry] = chatTools([search]).functions;
    expect(entry?.function).toEqual({ name: "tool_search", description: "Finds tools.", parameters });
  });

  test("leaves its name to a function that has it", () => {
    const own = { type: "function", name: "apply_patch" };
    const { functions, omitted, behind } = chatTools([{ type: "apply_patch" }, own]);
    expect(functions).toHaveLength(1);
    expect(behind.get("apply_patch")).toMatchObject({ kind: "function" });
    expect(omitted).toEqual(["apply_patch"]);
  });
});

describe("a call of it", () => {
  test.each([
    ["shell", { commands: ["ls"], timeout_ms: null, max_output_length: null }],
    ["local_shell", { type: "exec", command: ["ls"], env: {}, timeout_ms: null, working_directory: null, user: null }],
    ["apply_patch", { type: "create_file", path: "a", diff: "+a" }],
    ["tool_search", { query: "files" }],
  ] as const)("is the item that the client knows, and goes back to the model as it came: %s", (type, said) => {
    const item = clientCall(type, "c", JSON.stringify(said));
    expect(item).toMatchObject({ type: `${type}_call`, call_id: "c", status: "completed" });
    const [call] = inChatTerms(item ?? { type: "none" });
    expect(call).toMatchObject({ type: "function_call", call_id: "c", name: type });
    expect(JSON.parse(call?.["arguments"] as string)).toEqual(said);
  });

  test("deletes a file without a diff, and takes one command that is no list", () => {
    expect(clientCall("apply_patch", "c", '{"type":"delete_file","path":"a","diff":"x"}')).toMatchObject({
      operation: { type: "delete_file", path: "a" },
    });
    expect(clientCall("shell", "c", '{"commands":"ls"}')).toMatchObject({ action: { commands: ["ls"] } });
  });

  test.each([
    ["shell", "{}"],
    ["shell", '{"commands":[1]}'],
    ["shell", "{broken"],
    ["local_shell", '{"command":null}'],
    ["apply_patch", '{"type":"update_file"}'],
    ["tool_search", "[]"],
  ] as const)("that cannot be read is none: %s %s", (type, json) => {
    expect(clientCall(type, "c", json)).toBeUndefined();
  });
});
