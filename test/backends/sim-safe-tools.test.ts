import { describe, expect, test } from "vitest";
import { SimBackend } from "../../src/backends/sim.ts";
import type { ResponseNode } from "../../src/core/node.ts";
import { callsOf, converse, namesOf, textOf, turn } from "./sim-conversation.ts";

const parameters = { type: "object", properties: { id: { type: "string" } }, required: ["id"] };

function tool(name: string, description?: string, own: object = parameters): object {
  return { type: "function", name, ...(description !== undefined && { description }), parameters: own };
}

async function isCalled(offered: object): Promise<boolean> {
  return namesOf(await turn(new SimBackend(), { tools: [offered] })).length > 0;
}

async function argumentsFor(offered: object): Promise<unknown> {
  const [call] = callsOf(await turn(new SimBackend(), { tools: [offered] }));
  return call === undefined ? null : JSON.parse(String(call["arguments"]));
}

describe("a tool is called unasked when its words say that it reads", () => {
  test.each([
    ["get_weather", undefined],
    ["getOrderStatus", undefined],
    ["read_file", "Reads a file from disk."],
    ["list_files", "List the files of a folder."],
    ["search", "Search the documentation."],
    ["stock_lookup", "Look up a stock price by its symbol."],
    ["currency_rates", "Returns the exchange rate of two currencies."],
    ["mcp__github__list_commits", "Lists the commits of a branch."],
    ["weather", "Tells the weather in a city right now."],
    ["docs", "Use this tool to search the manual."],
  ])("%s (%s)", async (name, description) => {
    expect(await isCalled(tool(name, description))).toBe(true);
  });
});

describe("a tool is not called unasked when its words say that it acts, or say nothing", () => {
  test.each([
    ["write_file", undefined],
    ["delete_user", undefined],
    ["deleteUser", undefined],
    ["send_email", "Sends an e-mail."],
    ["pay_invoice", undefined],
    ["transfer_money", undefined],
    ["book_flight", undefined],
    ["order_pizza", undefined],
    ["get_and_purge_queue", undefined],
    ["fetch_then_cancel_order", undefined],
    ["list_users", "Lists users and deletes those that are inactive."],
    ["get_report", "Creates a report and sends it to the customer."],
    ["lookup", "Looks up a customer, then charges the card."],
    ["check", "Pays the bill."],
    ["check_out", undefined],
    ["return_order_items", "Return some items of a delivered order."],
    ["mcp__bank__transfer_get", undefined],
    ["frobnicate", undefined],
    ["frobnicate", "Frobnicates the given id."],
    ["update_plan", "Updates the plan."],
    ["apply_patch", "Applies a patch to files."],
    ["ask_user", "Asks the user a question."],
    ["set_temperature", "Gets warmer."],
    ["thermostat", "Gets or sets the temperature."],
  ])("%s (%s)", async (name, description) => {
    expect(await isCalled(tool(name, description))).toBe(false);
  });

  test("also when one of its arguments may make it act", async () => {
    const action = { type: "object", properties: { action: { enum: ["read", "delete"] } }, required: ["action"] };
    expect(await isCalled(tool("get_file", "Get a file.", action))).toBe(false);
    const flag = { type: "object", properties: { delete_after: { type: "boolean" } }, required: ["delete_after"] };
    expect(await isCalled(tool("get_file", "Get a file.", flag))).toBe(false);
  });

  test("and the answer says why", async () => {
    const node = await turn(new SimBackend(), { tools: [tool("delete_user")] });
    expect(textOf(node)).toContain("You offered 1 tool; the simulator calls only tools whose name or description says");
    expect(textOf(await turn(new SimBackend({ tools: "none" }), { tools: [tool("get_user")] }))).toContain(
      "the simulator calls none (--sim-tools none)",
    );
  });
});

describe("a tool that runs commands prints one line, once", () => {
  const command = { type: "object", properties: { command: { type: "string" } }, required: ["command"] };
  const words = { type: "object", properties: { command: { type: "array", items: { type: "string" } } } };
  const line = 'echo "Hello from the Turnwire simulator"';

  test("among the tools of a coding agent it is the only one that is called", async () => {
    const tools = [
      tool("edit", "Edits a file."),
      tool("read", "Reads a file."),
      tool("bash", "Executes a command; it may write, delete and send.", command),
      { type: "custom", name: "apply_patch" },
    ];
    const nodes = await converse(new SimBackend(), { tools });
    expect(nodes.map(namesOf)).toEqual([["bash"], []]);
    const again = await turn(new SimBackend(), { tools, parent: nodes.at(-1) as ResponseNode, input: "Once more" });
    expect(namesOf(again)).toEqual(["bash"]);
  });

  test.each([
    ["exec_command", { type: "object", properties: { cmd: { type: "string" } }, required: ["cmd"] }, { cmd: line }],
    ["shell", { ...words, required: ["command"] }, { command: ["echo", "Hello from the Turnwire simulator"] }],
    ["Bash", command, { command: line }],
    ["run_shell_command", command, { command: line }],
    [
      "bash",
      {
        type: "object",
        properties: {
          command: { type: "string" },
          description: { type: "string" },
          timeout: { type: ["integer", "null"] },
          workdir: { type: "string" },
          run_in_background: { type: "boolean" },
        },
        required: ["command", "description", "timeout", "workdir", "run_in_background"],
      },
      { command: line, description: "Prints one line", timeout: null, workdir: ".", run_in_background: false },
    ],
  ])("%s gets valid arguments", async (name, schema, expected) => {
    expect(await argumentsFor(tool(name, "Runs a command.", schema))).toEqual(expected);
  });

  test("it is not called where its input is not understood", async () => {
    const limited = { type: "object", properties: { command: { enum: ["rm", "ls"] } }, required: ["command"] };
    expect(await argumentsFor(tool("shell", "Runs it.", limited))).toBe(null);
    expect(await isCalled({ type: "custom", name: "exec", description: "Runs JavaScript code." })).toBe(false);
    const format = { type: "grammar", syntax: "lark", definition: "start: /a/" };
    expect(await isCalled({ type: "custom", name: "shell", format })).toBe(false);
  });

  test("a custom one gets the line as it is", async () => {
    const [call] = callsOf(await turn(new SimBackend(), { tools: [{ type: "custom", name: "shell" }] }));
    expect(call?.["input"]).toBe(line);
  });
});

describe("what the client demands is called", () => {
  const tools = [tool("delete_user"), tool("get_user")];

  test.each(["safe", "none"] as const)("with --sim-tools %s too", async (policy) => {
    const sim = new SimBackend({ tools: policy });
    const named = { tools, tool_choice: { type: "function", name: "delete_user" } };
    expect(namesOf(await turn(sim, named))).toEqual(["delete_user"]);
    expect(namesOf(await turn(sim, { tools: tools.slice(0, 1), tool_choice: "required" }))).toEqual(["delete_user"]);
  });

  test("where it leaves a choice, a tool that reads is chosen", async () => {
    expect(namesOf(await turn(new SimBackend(), { tools, tool_choice: "required" }))).toEqual(["get_user"]);
  });
});

test("--sim-tools all calls every tool in turn, none answers in words", async () => {
  const tools = [tool("delete_user"), tool("get_user")];
  const all = await converse(new SimBackend({ tools: "all", rounds: 2 }), { tools, parallel_tool_calls: false });
  expect(all.map(namesOf)).toEqual([["delete_user"], ["get_user"], []]);
  expect((await converse(new SimBackend({ tools: "none" }), { tools })).map(namesOf)).toEqual([[]]);
});
