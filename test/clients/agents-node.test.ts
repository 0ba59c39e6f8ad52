import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from "@openai/agents";
import { describe, expect, onTestFinished, test } from "vitest";
import { ANSWER, type Arguments, expectLoopDone, LOOP, openWorld, PROMPT, TOOLS, type World } from "./support/task.ts";

/** OpenAI's Agents SDK for Node, over both of its transports. */

setTracingDisabled(true);

const TRANSPORTS = ["WebSocket", "HTTP"] as const;
const HELLO = { hello: [{ text: "Hello." }], loop: LOOP } as const;

function agentOf({ baseUrl, runTool }: World, transport: (typeof TRANSPORTS)[number]) {
  const modelProvider = new OpenAIProvider({
    apiKey: "any",
    baseURL: baseUrl,
    useResponses: true,
    useResponsesWebSocket: transport === "WebSocket",
  });
  onTestFinished(() => modelProvider.close());
  const agent = new Agent({
    name: "Writer",
    model: "local-model",
    instructions: "You write logs.",
    tools: TOOLS.map(({ name, description, parameters }) =>
      tool({ name, description, parameters, strict: true, execute: (input) => runTool(name, input as Arguments) }),
    ),
  });
  return { agent, runner: new Runner({ modelProvider, tracingDisabled: true }) };
}

describe.each(TRANSPORTS)("the Agents SDK over %s", (transport) => {
  test("runs a loop of tools with its whole history", async () => {
    const world = await openWorld();
    const { agent, runner } = agentOf(world, transport);
    const { finalOutput } = await runner.run(agent, PROMPT);
    await expectLoopDone(world, finalOutput ?? "");
    expect(world.model.calls).toHaveLength(5);
  });

  test("runs a loop of tools with streaming", async () => {
    const world = await openWorld();
    const { agent, runner } = agentOf(world, transport);
    const run = await runner.run(agent, PROMPT, { stream: true });
    let text = "";
    for await (const event of run) {
      if (event.type === "raw_model_stream_event" && event.data.type === "output_text_delta") text += event.data.delta;
    }
    await run.completed;
    expect(text).toBe(LOOP.map((step) => step.text ?? "").join(""));
    await expectLoopDone(world, run.finalOutput ?? "");
  });

  test("runs a loop of tools that continues a response, and sends only what is new", async () => {
    const world = await openWorld([], HELLO);
    const { agent, runner } = agentOf(world, transport);
    const hello = await runner.run(agent, "[task:hello] Hello?");
    const { finalOutput } = await runner.run(agent, PROMPT, { previousResponseId: hello.lastResponseId as string });
    await expectLoopDone(world, finalOutput ?? "");
    await world.server.stop();
    const turns = await world.server.turns();
    expect(turns.map(({ itemsIn }) => itemsIn)).toEqual([1, 1, 1, 2, 1, 1]);
    expect(turns.filter(({ previousResponseId }) => previousResponseId === null)).toHaveLength(1);
  });

  test("goes on with its history in a second run", async () => {
    const world = await openWorld([], HELLO);
    const { agent, runner } = agentOf(world, transport);
    const first = await runner.run(agent, "[task:hello] Hello?");
    const second = await runner.run(agent, [...first.history, { role: "user", content: PROMPT }]);
    expect(second.finalOutput).toBe(ANSWER);
    await expectLoopDone(world, second.finalOutput ?? "");
  });
});
