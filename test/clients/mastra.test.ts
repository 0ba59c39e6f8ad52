import { createOpenAI } from "@ai-sdk/openai";
import { Agent } from "@mastra/core/agent";
import type { MastraModelConfig } from "@mastra/core/llm";
import { createTool } from "@mastra/core/tools";
import { expect, test } from "vitest";
import { z } from "zod";
import { ANSWER, expectTaskDone, openWorld, PROMPT } from "./support/task.ts";

/** Mastra, on the model of the AI SDK: it sends the whole history, or refers to its items. */

test.each([true, false])("Mastra runs a loop of tools with store: %s", async (store) => {
  const world = await openWorld();
  const outputSchema = z.string();
  const append = createTool({
    id: "append",
    description: "Appends a line to a file.",
    inputSchema: z.object({ file: z.string(), line: z.string() }),
    outputSchema,
    execute: (input) => world.runTool("append", input),
  });
  const read = createTool({
    id: "read",
    description: "Reads a file.",
    inputSchema: z.object({ file: z.string() }),
    outputSchema,
    execute: (input) => world.runTool("read", input),
  });
  const agent = new Agent({
    id: "writer",
    name: "Writer",
    instructions: "You write logs.",
    // It takes the AI SDK's models, although its types want another answer of them.
    model: createOpenAI({ apiKey: "any", baseURL: world.baseUrl })("local-model") as unknown as MastraModelConfig,
    tools: { append, read },
  });
  const { text } = await agent.generate(PROMPT, { maxSteps: 10, providerOptions: { openai: { store } } });
  // It gives the words of all steps as one text.
  await expectTaskDone(world, text.slice(-ANSWER.length));
  expect(world.model.upstream.calls).toHaveLength(5);
});
