import { afterAll, beforeAll, expect, test } from "vitest";
import { chatMessages, chatTools } from "../../src/bench/chat-messages.ts";
import { ChatWatch } from "../../src/bench/chat-watch.ts";
import { openClient, play } from "../../src/bench/client.ts";
import { generate } from "../../src/bench/generate.ts";
import { marked, type Recording } from "../../src/bench/recording.ts";
import type { Way } from "../../src/bench/requests.ts";
import { answerOf } from "../../src/bench/upstream.ts";
import { type RunningServer, startServer } from "../../src/server.ts";
import { ChatUpstream } from "../support/chat-upstream.ts";

/** The direct way is what a server's figures are compared with: it has to ask the model for the same. */

let upstream: ChatUpstream;
let server: RunningServer;

beforeAll(async () => {
  upstream = await ChatUpstream.start();
  server = await startServer({ port: 0, backend: upstream.url, store: "memory:", logLevel: "silent" });
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

/** What the model was asked in each turn, and when the client saw its first token. */
async function asked(way: Way, run: Recording) {
  for (const { output } of run.turns) {
    const { bursts, finish } = answerOf(output, 8);
    upstream.script((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const burst of bursts) response.write(burst);
      response.end(`data: {"choices":[{"index":0,"delta":{},"finish_reason":"${finish}"}]}\n\ndata: [DONE]\n\n`);
    });
  }
  const first = upstream.calls.length;
  const url = way === "direct" ? upstream.url : server.url;
  const client = await openClient({ name: way, url, key: null, pid: null }, way);
  const seen: boolean[] = [];
  for await (const { firstDeltaAt } of play(client, run, way)) seen.push(firstDeltaAt !== null);
  client.close();
  return { bodies: upstream.calls.slice(first).map(({ body }) => body), seen };
}

test.each(["coding", "service"] as const)(
  "a direct %s run shows the model the same messages and tools as a server does",
  async (shape) => {
    const run = marked(generate(shape, 3, 5), "");
    const direct = await asked("direct", run);
    const behind = await asked("full", run);
    expect(direct.seen).toEqual(run.turns.map(() => true));
    expect(direct.bodies).toHaveLength(5);
    for (const [turn, { messages, tools }] of direct.bodies.entries()) {
      expect(messages).toEqual(behind.bodies[turn]?.messages);
      expect(tools).toEqual(behind.bodies[turn]?.["tools"]);
    }
  },
);

test("what the model says in a row is one message, and free text is a function's argument", () => {
  const messages = chatMessages([
    { type: "message", role: "developer", content: "Be brief." },
    { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "hm" }] },
    { type: "message", role: "assistant", content: [{ type: "output_text", text: "I look." }] },
    { type: "custom_tool_call", call_id: "call_1", name: "patch", input: "a\nb" },
    { type: "custom_tool_call_output", call_id: "call_1", output: "done" },
    { type: "message", role: "assistant", content: [{ type: "output_text", text: "First." }] },
    { type: "message", role: "assistant", content: [{ type: "output_text", text: "Second." }] },
  ]);
  expect(messages).toEqual([
    { role: "system", content: "Be brief." },
    {
      role: "assistant",
      content: "I look.",
      reasoning_content: "hm",
      tool_calls: [{ id: "call_1", type: "function", function: { name: "patch", arguments: '{"input":"a\\nb"}' } }],
    },
    { role: "tool", tool_call_id: "call_1", content: "done" },
    { role: "assistant", content: "First." },
    { role: "assistant", content: "Second." },
  ]);
});

test("tools are functions, and what only a provider can run is left out", () => {
  const inner = { type: "function", name: "look", parameters: {} };
  const tools = [
    { type: "namespace", name: "web", tools: [inner] },
    { type: "custom", name: "patch" },
    { type: "web_search" },
  ];
  expect(chatTools(tools)).toMatchObject([
    { type: "function", function: { name: "look" } },
    { type: "function", function: { name: "patch", parameters: { required: ["input"] } } },
  ]);
});

test("a chunk without a word is not the first token, and [DONE] is the end", () => {
  const watch = new ChatWatch();
  expect(watch.read('{"id":"one","choices":[{"delta":{"role":"assistant","content":""}}]}')).toBeNull();
  expect(watch.read("[DONE]")).toMatchObject({ id: "one", events: 1, firstDeltaAt: null });
  expect(watch.read('{"id":"one","choices":[{"delta":{"reasoning_content":"h"}}]}')).toBeNull();
  const { sentAt = 0, firstDeltaAt, endedAt } = watch.read("[DONE]") ?? {};
  expect(firstDeltaAt).toBeGreaterThanOrEqual(sentAt);
  expect(endedAt).toBeGreaterThanOrEqual(firstDeltaAt ?? Number.NaN);
});

test("an error in the middle of a stream of chat completions fails the turn", () => {
  expect(() => new ChatWatch().read('{"error":{"message":"no more"}}')).toThrow("a turn did not complete");
});
