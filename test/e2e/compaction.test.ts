import OpenAI from "openai";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RunningServer, startServer } from "../../src/server.ts";

/** OpenAI's SDK as it is, over sockets, in front of the simulator. */

let server: RunningServer;
let client: OpenAI;

beforeEach(async () => {
  server = await startServer({ port: 0, logLevel: "silent", maxLoopDelayMs: 0 });
  client = new OpenAI({ apiKey: "any", baseURL: `${server.url}/v1`, maxRetries: 0 });
});

afterEach(async () => {
  await server.close();
});

describe("OpenAI's SDK", () => {
  test("counts input tokens", async () => {
    const response = await client.responses.create({ model: "sim", input: "How many are these?" });
    const { input_tokens, object } = await client.responses.inputTokens.count({
      model: "sim",
      input: "How many are these?",
    });
    expect([object, input_tokens]).toEqual(["response.input_tokens", response.usage?.input_tokens]);
    await expect(client.responses.inputTokens.count()).rejects.toMatchObject({ status: 400, param: "model" });
  });
});
