import { AIMessage, type BaseMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { describe, expect, test } from "vitest";
import { type Arguments, expectLoopDone, openWorld, PROMPT, TOOLS, type World } from "./support/task.ts";

/** LangChain, which speaks the Responses API over HTTP. */

const tools = TOOLS.map((fn) => ({ type: "function" as const, function: fn }));

function chatOf({ baseUrl }: World, streaming: boolean, fields: object = {}) {
  const chat = new ChatOpenAI({
    model: "local-model",
    apiKey: "any",
    useResponsesApi: true,
    streaming,
    maxRetries: 0,
    configuration: { baseURL: baseUrl },
    ...fields,
  });
  return chat.bindTools(tools);
}

async function answerCalls({ runTool }: World, message: AIMessage): Promise<ToolMessage[]> {
  const outputs: ToolMessage[] = [];
  for (const { id, name, args } of message.tool_calls ?? []) {
    outputs.push(new ToolMessage({ content: await runTool(name, args as Arguments), tool_call_id: id ?? "" }));
  }
  return outputs;
}

describe.each([
  ["invoke", false],
  ["a stream", true],
] as const)("LangChain, by %s,", (_name, streaming) => {
  test.each([
    ["store: true", {}],
    ["zero data retention", { zdrEnabled: true }],
  ])("runs a loop of tools with its whole history and %s", async (_way, fields) => {
    const world = await openWorld();
    const chat = chatOf(world, streaming, fields);
    const history: BaseMessage[] = [new SystemMessage("You write logs."), new HumanMessage(PROMPT)];
    for (;;) {
      const message = await chat.invoke(history);
      history.push(message, ...(await answerCalls(world, message)));
      if ((message.tool_calls ?? []).length === 0) break;
    }
    await expectLoopDone(world, history.at(-1)?.text ?? "");
    expect(world.model.calls).toHaveLength(5);
  });

  test("runs a loop of tools that continues by the id of the response", async () => {
    const world = await openWorld();
    const chat = chatOf(world, streaming);
    let input: BaseMessage[] = [new HumanMessage(PROMPT)];
    let message: AIMessage;
    let previous: string | undefined;
    do {
      message = await chat.invoke(input, { previous_response_id: previous ?? null });
      previous = message.response_metadata["id"] as string;
      input = await answerCalls(world, message);
    } while (input.length > 0);
    await expectLoopDone(world, message.text);
  });
});
