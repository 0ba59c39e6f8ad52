import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningServer } from "../../src/server.ts";
import type { Item } from "../../src/protocol/items.ts";
import { answer, ChatUpstream, delta, text, type UpstreamStep } from "../support/chat-upstream.ts";
import { HttpClient } from "../support/http-client.ts";
import { startInFrontOf } from "../support/in-front.ts";
import { type Frame, WsClient } from "../support/ws-client.ts";

/** Async tools from a client to the model server and back, on every way to continue: the steps that OpenAI was recorded with. */

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

function calls(...names: readonly string[]): UpstreamStep {
  const pieces = names.map((name, index) =>
    delta({ tool_calls: [{ index, id: `call_${name}`, type: "function", function: { name, arguments: "{}" } }] }),
  );
  return answer(...pieces, delta({}, "tool_calls"));
}

const fn = (name: string, fields: object = {}) => ({
  type: "function",
  name,
  parameters: { type: "object" },
  ...fields,
});
const output = (name: string, said: string) => ({
  type: "function_call_output",
  call_id: `call_${name}`,
  output: said,
});
const user = (content: string) => ({ type: "message", role: "user", content });

type Said = { readonly output?: readonly Item[]; readonly error?: Frame["error"] };
/** Runs one turn behind those before it. */
type Talk = (fields: { readonly input: unknown; readonly tools?: readonly object[] }) => Promise<Said>;

/** Every way in which a client goes on: by the id of the last response, or with all of the history. */
const WAYS: readonly (readonly [string, () => Promise<Talk>])[] = [
  ["over WebSocket, unstored", () => overSocket(false)],
  ["over WebSocket, stored", () => overSocket(true)],
  [
    "over HTTP, stored",
    async () => {
      let previous: string | undefined;
      return async (fields) => {
        const { status, json } = await new HttpClient(server.url).create({ ...fields, previous_response_id: previous });
        if (status === 200) previous = json.id;
        return { output: json.output, error: json.error };
      };
    },
  ],
  [
    "over HTTP, with the history",
    async () => {
      let history: readonly object[] = [];
      return async ({ input, ...fields }) => {
        const sent = [...history, ...(typeof input === "string" ? [user(input)] : (input as object[]))];
        const { status, json } = await new HttpClient(server.url).create({ ...fields, input: sent, store: false });
        if (status === 200) history = [...sent, ...(json.output as readonly Item[])];
        return { output: json.output, error: json.error };
      };
    },
  ],
];

async function overSocket(store: boolean): Promise<Talk> {
  const client = await WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`);
  let previous: string | undefined;
  return async (fields) => {
    const { last } = await client.turn({ ...fields, store, previous_response_id: previous });
    if (last.response !== undefined) previous = last.response.id;
    return { output: last.response?.output as readonly Item[], error: last.error };
  };
}

const tools = [fn("slow", { async: true }), fn("quick")];
const lastMessages = () => upstream.calls.at(-1)?.body.messages;

describe.each(WAYS)("%s", (_, begin) => {
  test("an async call may stay open, be answered late, twice and in two ways", async () => {
    upstream.script(calls("slow"), text("Meanwhile"), text("Sunny"), text("Still"), text("Rain"), text("Bye"));
    const talk = await begin();
    const first = await talk({ input: "go", tools });
    expect(first.output).toMatchObject([{ type: "function_call", name: "slow", async: true, status: "completed" }]);
    expect((await talk({ input: "and?", tools })).error ?? null).toBeNull();
    expect(lastMessages()?.slice(-2)).toMatchObject([
      { role: "tool", tool_call_id: "call_slow", content: expect.stringContaining("still running") },
      { role: "user", content: "and?" },
    ]);
    expect((await talk({ input: [output("slow", "22 degrees"), user("so?")], tools })).output).toHaveLength(1);
    expect(lastMessages()?.slice(-2)).toMatchObject([
      { role: "user", content: "Output of tool slow (call call_slow):\n22 degrees" },
      { role: "user", content: "so?" },
    ]);
    const twice = [output("slow", "22 degrees"), output("slow", "22 degrees")];
    expect((await talk({ input: twice, tools })).output).toHaveLength(1);
    expect((await talk({ input: [output("slow", "9 degrees")], tools })).output).toHaveLength(1);
    // The tool is declared again without the mark: its open calls are what they were.
    expect((await talk({ input: "thanks", tools: [fn("slow"), fn("quick")] })).output).toHaveLength(1);
  });

  test("beside it a sync call must be answered, and nothing is lost by a request that does not", async () => {
    upstream.script(calls("slow", "quick"), text("ok"), text("ok"));
    const talk = await begin();
    const first = await talk({ input: "go", tools });
    expect(first.output?.map((call) => call["async"])).toEqual([true, undefined]);
    expect((await talk({ input: "and?", tools })).error).toMatchObject({
      message: "No tool output found for function call call_quick.",
      param: "input",
    });
    expect((await talk({ input: [output("quick", "now")], tools })).output).toHaveLength(1);
    expect((await talk({ input: [output("slow", "later")], tools })).output).toHaveLength(1);
  });
});

test("a custom tool, and a member of a namespace, may be async", async () => {
  const namespace = { type: "namespace", name: "weather", description: "", tools: [fn("slow", { async: true })] };
  const js = { type: "custom", name: "js", async: true };
  upstream.script(
    answer(
      delta({ tool_calls: [{ index: 0, id: "a", function: { name: "weather__slow", arguments: "{}" } }] }),
      delta({ tool_calls: [{ index: 1, id: "b", function: { name: "js", arguments: '{"input":"1"}' } }] }),
      delta({}, "tool_calls"),
    ),
    text("ok"),
  );
  const talk = await overSocket(false);
  const { output: made } = await talk({ input: "go", tools: [namespace, js] });
  expect(made).toMatchObject([
    { type: "function_call", name: "slow", namespace: "weather", async: true },
    { type: "custom_tool_call", name: "js", async: true },
  ]);
  const described = upstream.calls[0]?.body["tools"] as readonly {
    readonly function: { readonly description: string };
  }[];
  for (const tool of described) expect(tool.function.description).toContain("asynchronous");
  const late = { type: "custom_tool_call_output", call_id: "b", output: "1" };
  expect((await talk({ input: [user("and?"), late], tools: [js] })).output).toHaveLength(1);
});
