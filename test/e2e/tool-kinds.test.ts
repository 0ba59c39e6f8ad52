import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningServer } from "../../src/server.ts";
import { answer, ChatUpstream, delta, text, type UpstreamStep } from "../support/chat-upstream.ts";
import { HttpClient } from "../support/http-client.ts";
import { WsClient } from "../support/ws-client.ts";
import { startInFrontOf } from "../support/in-front.ts";

/** Tools of every kind, from a client's socket to the model server and back. */

let upstream: ChatUpstream;
let server: RunningServer;

beforeEach(async () => {
  upstream = await ChatUpstream.start();
  server = await startInFrontOf(upstream);
});

afterEach(async () => {
  await server.close();
  await upstream.close();
});

const connect = () => WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`);

function calls(
  ...made: readonly { readonly id: string; readonly name: string; readonly arguments: string }[]
): UpstreamStep {
  const pieces = made.map(({ id, ...fn }, index) =>
    delta({ tool_calls: [{ index, id, type: "function", function: fn }] }),
  );
  return answer(...pieces, delta({}, "tool_calls"));
}

type ChatTool = { readonly function: { readonly name: string } };
const offered = (call: number) =>
  ((upstream.calls[call]?.body["tools"] ?? []) as readonly ChatTool[]).map((tool) => tool.function.name);

const fn = (name: string) => ({ type: "function", name, parameters: { type: "object", properties: {} } });
const agents = {
  type: "namespace",
  name: "agents",
  description: "Helpers.",
  tools: [fn("spawn"), { type: "custom", name: "js" }],
};

describe("tools in namespaces", () => {
  test("come back as calls with name and namespace, and their history goes up under the same names", async () => {
    upstream.script(
      calls(
        { id: "c1", name: "agents__spawn", arguments: '{"n":1}' },
        { id: "c2", name: "agents__js", arguments: '{"input":"1 + 1"}' },
      ),
      text("done"),
      text("again"),
    );
    const client = await connect();
    const first = await client.turn({ input: "go", tools: [agents], store: false });
    const made = [
      { type: "function_call", call_id: "c1", name: "spawn", namespace: "agents", arguments: '{"n":1}' },
      { type: "custom_tool_call", call_id: "c2", name: "js", namespace: "agents", input: "1 + 1" },
    ];
    expect(first.response.output).toMatchObject(made);
    const begun = first.frames.filter(({ type }) => type === "response.output_item.added").map(({ item }) => item);
    expect(begun).toMatchObject(made.map(({ name, namespace }) => ({ name, namespace, status: "in_progress" })));
    const outputs = [
      { type: "function_call_output", call_id: "c1", output: "spawned" },
      { type: "custom_tool_call_output", call_id: "c2", output: [{ type: "input_text", text: "2" }] },
    ];
    const next = { tools: [agents], store: false };
    await client.turn({ ...next, input: outputs, previous_response_id: first.response.id });
    const user = { role: "user", content: "go" };
    await client.turn({ ...next, input: [user, ...first.response.output, ...outputs] });
    expect(offered(0)).toEqual(["agents__spawn", "agents__js"]);
    expect(upstream.calls[1]?.body.messages).toEqual([
      user,
      {
        role: "assistant",
        content: "",
        tool_calls: [
          { id: "c1", type: "function", function: { name: "agents__spawn", arguments: '{"n":1}' } },
          { id: "c2", type: "function", function: { name: "agents__js", arguments: '{"input":"1 + 1"}' } },
        ],
      },
      { role: "tool", tool_call_id: "c1", content: "spawned" },
      { role: "tool", tool_call_id: "c2", content: "2" },
    ]);
    expect(upstream.calls[2]?.body.messages).toEqual(upstream.calls[1]?.body.messages);
  });

  test("whose name another tool has keep the one that they got, in calls and in history", async () => {
    const tools = [{ ...agents, tools: [fn("spawn")] }, fn("agents__spawn")];
    upstream.script(text("probe"));
    const client = await connect();
    await client.turn({ input: "go", tools });
    const [renamed = "", plain = ""] = offered(0);
    expect(plain).toBe("agents__spawn");
    upstream.script(
      calls({ id: "c1", name: renamed, arguments: "{}" }, { id: "c2", name: plain, arguments: "{}" }),
      text("done"),
    );
    const { response } = await client.turn({ input: "go", tools });
    expect(response.output).toMatchObject([{ name: "spawn", namespace: "agents" }, { name: "agents__spawn" }]);
    expect(response.output[1]).not.toHaveProperty("namespace");
    const input = ["c1", "c2"].map((call_id) => ({ type: "function_call_output", call_id, output: "" }));
    await client.turn({ input, tools, previous_response_id: response.id });
    const said = upstream.calls[2]?.body.messages[1]?.["tool_calls"] as readonly ChatTool[];
    expect(said.map((call) => call.function.name)).toEqual([renamed, plain]);
  });
});

describe("tools that come as an item", () => {
  const added = { type: "additional_tools", role: "developer", tools: [agents] };

  test("in a warm-up are there in every turn behind it, and their calls come back whole", async () => {
    upstream.script(calls({ id: "c1", name: "agents__js", arguments: '{"input":"x"}' }), text("done"));
    const client = await connect();
    const warm = await client.turn({ generate: false, input: [added], store: false });
    const user = { type: "message", role: "user", content: "go" };
    const first = await client.turn({ input: [user], store: false, previous_response_id: warm.response.id });
    expect(first.response.output).toMatchObject([
      { type: "custom_tool_call", name: "js", namespace: "agents", input: "x" },
    ]);
    const output = { type: "custom_tool_call_output", call_id: "c1", output: "y" };
    await client.turn({ input: [output], store: false, previous_response_id: first.response.id });
    expect([offered(0), offered(1)]).toEqual([
      ["agents__spawn", "agents__js"],
      ["agents__spawn", "agents__js"],
    ]);
    expect(upstream.calls[0]?.body.messages).toEqual([{ role: "user", content: "go" }]);
  });

  test("over HTTP give the model server the same request as tools of the request", async () => {
    upstream.script(text("a"), text("b"));
    const http = new HttpClient(server.url);
    await http.create({ input: [added, { role: "user", content: "go" }] });
    await http.create({ tools: [agents], input: "go" });
    expect(upstream.calls[0]?.raw).toBe(upstream.calls[1]?.raw);
  });
});

test("settings that an item changes are in force behind it", async () => {
  upstream.script(text("a"), text("b"));
  const client = await connect();
  const update = {
    type: "configuration_update",
    reasoning: { effort: "high" },
    text: { format: { type: "json_object" } },
  };
  const first = await client.turn({ input: [update, { role: "user", content: "go" }], reasoning: { effort: "low" } });
  await client.turn({ input: "on", previous_response_id: first.response.id, reasoning: { effort: "low" } });
  const seen = { reasoning_effort: "high", response_format: { type: "json_object" } };
  expect(upstream.calls.map(({ body }) => body)).toMatchObject([seen, seen]);
});

test("history of every kind of tool is read by the model, and fails nothing", async () => {
  upstream.otherwise(text("ok"));
  const history = [
    { role: "user", content: "go" },
    { type: "web_search_call", id: "ws_1", status: "completed", action: { type: "search", query: "q" } },
    { type: "shell_call", call_id: "s1", action: { commands: ["ls"] }, status: "completed" },
    { type: "shell_call_output", call_id: "s1", output: [{ stdout: "a.txt", stderr: "", outcome: { type: "exit" } }] },
    { type: "mcp_call", id: "mcp_1", name: "ask", server_label: "x", arguments: "{}", output: "yes" },
    { type: "tool_search_call", id: "ts_1", call_id: null, execution: "server", arguments: {} },
    { type: "tool_search_output", id: "tso_1", call_id: null, tools: [] },
    { type: "local_shell_call", id: "lsh_1", call_id: "l1", action: { type: "exec", command: ["ls"] } },
    { type: "function_call_output", call_id: "l1", output: "b.txt" },
    { type: "hologram_output", call_id: "nobody", output: { depth: 3 } },
    { type: "message", role: "assistant", phase: "commentary", content: [{ type: "output_text", text: "Hm." }] },
  ];
  const client = await connect();
  const first = await client.turn({ input: history, store: true });
  expect(first.response.status).toBe("completed");
  const http = new HttpClient(server.url);
  const second = await http.create({ input: "on", previous_response_id: first.response.id });
  expect(second.json.status).toBe("completed");
  expect(upstream.calls[0]?.body.messages.map(({ role }) => role)).toEqual([
    "user",
    "assistant",
    "tool",
    "assistant",
    "tool",
    "assistant",
    "tool",
    "assistant",
    "tool",
    "user",
    "assistant",
    "tool",
    "user",
    "assistant",
  ]);
  const read = JSON.stringify(upstream.calls[1]?.body.messages);
  for (const said of ["a.txt", "yes", "b.txt", "depth", "Hm."]) expect(read).toContain(said);
});

test("hosted tools are left out of the request and fail nothing, also where they are chosen", async () => {
  upstream.script(text("a"), text("b"));
  const hosted = ["web_search", "file_search", "code_interpreter", "image_generation", "computer_use_preview"];
  const tools = [...hosted.map((type) => ({ type })), fn("read")];
  const client = await connect();
  const { response } = await client.turn({ input: "go", tools, tool_choice: { type: "web_search" } });
  expect(response).toMatchObject({ status: "completed", tool_choice: { type: "web_search" } });
  expect(response.tools).toHaveLength(tools.length);
  expect(offered(0)).toEqual(["read"]);
  expect(upstream.calls[0]?.body).not.toHaveProperty("tool_choice");
  await client.turn({ input: "go", tools: [{ type: "web_search" }] });
  expect(upstream.calls[1]?.body).not.toHaveProperty("tools");
  for (const tool_choice of ["required", { type: "web_search" }]) {
    const { last } = await client.turn({ input: "go", tools: [{ type: "web_search" }], tool_choice });
    expect(last.error).toMatchObject({ code: "invalid_value", param: "tool_choice" });
  }
  const refused = await client.turn({ input: "go", tools: [fn("read"), { type: "mcp", server_label: "s" }] });
  expect(refused.last.error).toMatchObject({ code: "unsupported_tool", param: "tools[1]" });
});

describe("tools that the API defines and the client runs", () => {
  const tools = [{ type: "shell", environment: { type: "local" } }, { type: "apply_patch" }, fn("read")];

  test("are called by items of their own kind, and their outputs are read", async () => {
    const patch = { type: "update_file", path: "a.txt", diff: "@@\n-a\n+b" };
    upstream.script(
      calls(
        { id: "c1", name: "shell", arguments: '{"commands":["ls"],"timeout_ms":500}' },
        { id: "c2", name: "apply_patch", arguments: JSON.stringify(patch) },
        { id: "c3", name: "read", arguments: "{}" },
      ),
      text("done"),
    );
    const client = await connect();
    const first = await client.turn({ input: "go", tools, store: false });
    expect(offered(0)).toEqual(["read", "shell", "apply_patch"]);
    expect(first.response.output).toMatchObject([
      {
        type: "shell_call",
        id: expect.stringMatching(/^sh_/),
        call_id: "c1",
        status: "completed",
        action: { commands: ["ls"], timeout_ms: 500, max_output_length: null },
      },
      { type: "apply_patch_call", id: expect.stringMatching(/^apc_/), call_id: "c2", operation: patch },
      { type: "function_call", name: "read" },
    ]);
    const done = first.frames.filter(({ type }) => type === "response.output_item.done").map(({ item }) => item);
    expect(done.map((item) => (item as { type: string }).type).toSorted()).toEqual([
      "apply_patch_call",
      "function_call",
      "shell_call",
    ]);
    const outcome = { type: "exit", exit_code: 0 };
    const input = [
      { type: "shell_call_output", call_id: "c1", output: [{ stdout: "a.txt", stderr: "", outcome }] },
      { type: "apply_patch_call_output", call_id: "c2", status: "completed", output: "patched" },
      { type: "function_call_output", call_id: "c3", output: "text" },
    ];
    await client.turn({ input, tools, store: false, previous_response_id: first.response.id });
    const messages = upstream.calls[1]?.body.messages ?? [];
    expect(messages.slice(-3).map(({ tool_call_id, content }) => [tool_call_id, content])).toEqual([
      ["c1", "a.txt"],
      ["c2", "patched"],
      ["c3", "text"],
    ]);
  });

  test("can be chosen, and fail the response where the model calls them in a way that nobody can read", async () => {
    upstream.script(calls({ id: "c1", name: "shell", arguments: '{"commands":5}' }));
    const client = await connect();
    const { response } = await client.turn({ input: "go", tools, tool_choice: { type: "shell" } });
    expect(upstream.calls[0]?.body["tool_choice"]).toEqual({ type: "function", function: { name: "shell" } });
    expect(response).toMatchObject({ status: "failed", error: { code: "server_error" } });
    expect(response.error?.message).toContain("'shell'");
  });

  test("may find others, which can be called from then on", async () => {
    const search = { type: "tool_search", execution: "client", description: "Finds.", parameters: { type: "object" } };
    upstream.script(
      calls({ id: "c1", name: "tool_search", arguments: '{"q":"files"}' }),
      calls({ id: "c2", name: "agents__spawn", arguments: "{}" }),
    );
    const client = await connect();
    const first = await client.turn({ input: "go", tools: [search], store: false });
    expect(first.response.output).toMatchObject([
      { type: "tool_search_call", call_id: "c1", execution: "client", arguments: { q: "files" } },
    ]);
    const found = { type: "tool_search_output", call_id: "c1", execution: "client", tools: [agents] };
    const previous_response_id = first.response.id;
    const second = await client.turn({ input: [found], tools: [search], store: false, previous_response_id });
    expect(offered(1)).toEqual(["agents__spawn", "agents__js", "tool_search"]);
    expect(upstream.calls[1]?.body.messages.at(-1)?.["content"]).toContain("agents__spawn, agents__js");
    expect(second.response.output).toMatchObject([{ type: "function_call", name: "spawn", namespace: "agents" }]);
  });
});
