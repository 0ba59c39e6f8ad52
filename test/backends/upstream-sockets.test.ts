import { expect, test } from "vitest";
import { startServer } from "../../src/server.ts";
import { HttpClient } from "../support/http-client.ts";
import { RawModel } from "../support/raw-model.ts";
import { until } from "../support/server.ts";

const chunk = (content: string, finish: string | null = null): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;

test("a model server that never ends its answers leaves no connections behind", async () => {
  const model = await RawModel.start();
  const server = await startServer({
    port: 0,
    backend: model.url,
    store: "memory:",
    logLevel: "silent",
    maxLoopDelayMs: 0,
  });
  try {
    const body = Buffer.from(`${chunk("hello", "stop")}data: [DONE]\n\n`);
    const client = new HttpClient(server.url);
    for (let round = 0; round < 10; round += 1) {
      const turns = Array.from({ length: 20 }, () => {
        model.script({ status: 200, headers: {}, body, ending: "hang" });
        return client.create({ model: "m", input: "hi", store: false });
      });
      for (const { status } of await Promise.all(turns)) expect(status).toBe(200);
    }
    expect(model.requests).toHaveLength(200);
    await until(() => model.connections === 0);
  } finally {
    await server.close();
    await model.close();
  }
});
