import { createOpenAI } from "@ai-sdk/openai";
import { createWebSocketFetch } from "@vercel/ai-sdk-openai-websocket-fetch";
import { generateText, jsonSchema, Output, stepCountIs, streamText, type ToolSet, tool } from "ai";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Arguments, expectLoopDone, LOOP, openWorld, PROMPT, TOOLS, type World } from "./support/task.ts";

/** Vercel's AI SDK, over HTTP and by the package that gives it a WebSocket. */

function toolsOf({ runTool }: World): ToolSet {
  return Object.fromEntries(
    TOOLS.map(({ name, description, parameters }) => [
      name,
      tool({
        description,
        inputSchema: jsonSchema<Arguments>(parameters),
        execute: (input) => runTool(name, input),
      }),
    ]),
  );
}

const STORES = ["store: false", "store: true and references to items"] as const;
const storeOf = (name: (typeof STORES)[number]) => ({ openai: { store: name !== "store: false" } });
const common = { system: "You write logs.", prompt: PROMPT, stopWhen: stepCountIs(10), maxRetries: 0 } as const;

describe("the AI SDK over HTTP", () => {
  test.each(STORES)("generateText runs a loop of tools, with %s", async (store) => {
    const world = await openWorld();
    const model = createOpenAI({ apiKey: "any", baseURL: world.baseUrl })("local-model");
    const { text } = await generateText({ model, tools: toolsOf(world), providerOptions: storeOf(store), ...common });
    await expectLoopDone(world, text);
    expect(world.model.calls).toHaveLength(5);
  });

  test.each(STORES)("streamText, whose reader checks every event, runs a loop of tools, with %s", async (store) => {
    const world = await openWorld();
    const model = createOpenAI({ apiKey: "any", baseURL: world.baseUrl })("local-model");
    const errors: unknown[] = [];
    const run = streamText({
      model,
      tools: toolsOf(world),
      providerOptions: storeOf(store),
      onError: ({ error }) => void errors.push(error),
      ...common,
    });
    let text = "";
    for await (const delta of run.textStream) text += delta;
    expect(errors).toEqual([]);
    expect(text).toBe(LOOP.map((step) => step.text ?? "").join(""));
    await expectLoopDone(world, await run.text);
  });

  test("gives an object of a schema", async () => {
    const world = await openWorld([], { object: [{ text: '{"city":"Oslo","degrees":4}' }] });
    const model = createOpenAI({ apiKey: "any", baseURL: world.baseUrl })("local-model");
    const schema = jsonSchema<{ city: string; degrees: number }>({
      type: "object",
      properties: { city: { type: "string" }, degrees: { type: "number" } },
      required: ["city", "degrees"],
      additionalProperties: false,
    });
    const { output } = await generateText({
      model,
      output: Output.object({ schema }),
      prompt: "[task:object] Weather?",
    });
    expect(output).toEqual({ city: "Oslo", degrees: 4 });
    expect(world.model.calls[0]?.body["response_format"]).toMatchObject({ type: "json_schema" });
  });
});

describe("the AI SDK over a WebSocket", () => {
  test.each(STORES)("streamText runs a loop of tools on one connection, with %s", async (store) => {
    const world = await openWorld();
    const fetch = createWebSocketFetch({ url: `${world.baseUrl.replace("http", "ws")}/responses` });
    onTestFinished(() => fetch.close());
    const model = createOpenAI({ apiKey: "any", baseURL: world.baseUrl, fetch })("local-model");
    const run = streamText({ model, tools: toolsOf(world), providerOptions: storeOf(store), ...common });
    await expectLoopDone(world, await run.text);
    fetch.close();
    await world.server.stop();
    const turns = await world.server.turns();
    expect(turns.map(({ transport }) => transport)).toEqual(Array(5).fill("websocket"));
    expect(new Set(turns.map(({ session }) => session)).size).toBe(1);
  });
});
