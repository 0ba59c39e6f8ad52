import { describe, expect, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import { MODEL, startServer } from "../support/server.ts";

const DEEP = '{"a":'.repeat(100_000) + "1" + "}".repeat(100_000);

/** Fields that responses show, with what no answer can be written of. */
const FIELDS: readonly (readonly [name: string, json: string])[] = [
  ["a tool", `"input":"x","tools":[{"type":"function","name":"f","parameters":${DEEP}}]`],
  ["a format", `"input":"x","text":{"format":{"type":"json_schema","name":"f","schema":${DEEP}}}`],
  [
    "a tool choice",
    `"input":"x","tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f","x":${DEEP}}]}`,
  ],
  ["an item", `"input":[{"role":"user","content":"x","deep":${DEEP}}]`],
  ["another field", `"input":"x","deep":${DEEP}`],
];

describe.each(FIELDS)("a request with %s that is nested too deeply to be written", (_name, json) => {
  test.each([true, false])("has an end over HTTP (stream: %s)", async (stream) => {
    const server = await startServer({ steps: [answer("Hi")] });
    const headers = { "content-type": "application/json" };
    const body = `{"model":"${MODEL}","stream":${stream},${json}}`;
    const { status, text } = await server.http().call("/v1/responses", { method: "POST", headers, body });
    expect([200, 400]).toContain(status);
    expect(text).toMatch(status === 400 ? /nested too deeply/ : /response\.(?:completed|failed)|"status":"completed"/);
    expect(server.engine.openSessions).toBe(0);
  });

  test("has an end over WebSocket", async () => {
    const server = await startServer({ steps: [answer("Hi")] });
    const client = await server.connect();
    client.socket.send(`{"type":"response.create","model":"${MODEL}",${json}}`);
    for (let type = ""; !/^(?:error|response\.(?:completed|failed))$/.test(type); ) ({ type } = await client.frame());
  });
});

describe("an answer whose end cannot be written", () => {
  const usage = { ...unwritable(), input_tokens: 1, output_tokens: 1, total_tokens: 2 } as never;
  const step = [
    [{ type: "text.delta" as const, delta: "Hi" }],
    [
      { type: "usage" as const, usage },
      { type: "finish" as const, reason: "stop" as const },
    ],
  ];

  test("ends with an error over SSE", async () => {
    const server = await startServer({ steps: [step] });
    const { status, frames } = await server.http().stream({ input: "x", store: false });
    expect(status).toBe(200);
    expect(frames.at(0)).toMatchObject({ type: "response.created" });
    expect(frames.at(-1)).toMatchObject({ type: "error", code: "server_error" });
    expect(server.engine.openSessions).toBe(0);
  });

  test("is an error over HTTP", async () => {
    const server = await startServer({ steps: [step] });
    expect((await server.http().create({ input: "x", store: false })).status).toBe(500);
  });

  test("ends with an error, or the connection, over WebSocket", async () => {
    const server = await startServer({ steps: [step] });
    const client = await server.connect();
    client.send({ type: "response.create", model: MODEL, input: "x", store: false });
    const end = await Promise.race([
      client.closed(),
      (async () => {
        for (;;) {
          const { type } = await client.frame();
          if (/^(?:error|response\.failed)$/.test(type)) return type;
        }
      })(),
    ]);
    expect(end).toBeDefined();
  });
});

/** What JSON has no form for. */
function unwritable(): object {
  return { input_tokens_details: { cached_tokens: 1n }, output_tokens_details: { reasoning_tokens: 0 } };
}
