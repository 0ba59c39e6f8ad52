import { brotliCompressSync, gzipSync } from "node:zlib";
import { connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { answer, Gate } from "../../src/testing/index.ts";
import { MODEL, startServer, until } from "../support/server.ts";

const KIB = 1024;
const LARGE = { input: "x".repeat(200 * KIB) };
/** Small as text, and large as values. */
const STRUCTURED = { input: "Hi", metadata: {}, tools: Array.from({ length: 20_000 }, () => ({})) };

const memory = { serverBytes: 1024 * KIB, tenantBytes: 512 * KIB };
const SMALL = { input: "Hi" };

describe("a request that there is no memory for", () => {
  test.each([
    ["with its length", (json: string) => ({ body: json })],
    ["by gzip", (json: string) => ({ body: gzipSync(json), headers: { "content-encoding": "gzip" } })],
    ["by brotli", (json: string) => ({ body: brotliCompressSync(json), headers: { "content-encoding": "br" } })],
  ])("over HTTP is refused while it arrives, whatever its form: %s", async (_, form) => {
    const server = await startServer({ memory, steps: [answer("a")] });
    for (const request of [LARGE, STRUCTURED]) {
      const { body, headers = {} } = form(JSON.stringify({ model: MODEL, ...request })) as {
        body: Buffer;
        headers?: Record<string, string>;
      };
      const refused = await server.http().call("/v1/responses", {
        method: "POST",
        body,
        headers: { "content-type": "application/json", ...headers },
      });
      expect([refused.status, refused.json.error?.code]).toEqual([413, "request_memory_exceeded"]);
    }
    expect((await server.http().create(SMALL)).status).toBe(200);
    await until(() => server.engine.memory.used === 0);
  });

  test("because others of its tenant hold it is told to come back, and is taken when they have ended", async () => {
    const server = await startServer({ memory, steps: [answer("a")] });
    const held = server.engine.memory.of("default").open();
    held.grow(512 * KIB);
    const refused = await server.http().create(SMALL);
    expect([refused.status, refused.json.error?.code, refused.headers["retry-after"]]).toEqual([
      429,
      "tenant_memory_exceeded",
      "2",
    ]);
    held.release();
    expect((await server.http().create(SMALL)).status).toBe(200);
  });

  test.each([false, true])(
    "over a WebSocket is refused in its place, and the connection goes on; deflate: %j",
    async (deflate) => {
      const policy = { deflate: "on" as const };
      const server = await startServer({ memory, policy, steps: [answer("a"), answer("b")] });
      const client = await server.connect({ deflate });
      const { response } = await client.turn({ ...SMALL, store: false });
      const { last } = await client.turn(deflate ? LARGE : STRUCTURED);
      expect(last).toMatchObject({ type: "error", status: 413, error: { code: "request_memory_exceeded" } });
      expect((await client.turn({ ...SMALL, store: false, previous_response_id: response.id })).last.type).toBe(
        "response.completed",
      );
      await client.leave();
      await until(() => server.engine.memory.used === 0);
    },
  );
});

test("a message that outgrows the budget while it arrives closes its connection with 1013", async () => {
  const server = await startServer({ memory });
  const client = await server.connect();
  // The first part of a message whose rest never comes.
  client.socket.send("x".repeat(600 * KIB), { fin: false });
  expect(await client.closed()).toEqual({ code: 1013, reason: "memory budget is used up" });
  await until(() => server.engine.memory.used === 0);
});

test("a body that never ends is held against its tenant for as long as it is there", async () => {
  const server = await startServer({ memory });
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write(
    "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n",
  );
  socket.write(`"${"x".repeat(50 * KIB)}`);
  await until(() => server.engine.memory.of("default").used >= 100 * KIB);
  socket.destroy();
  await until(() => server.engine.memory.used === 0);
});

test("a stored response that is retrieved is held until its answer has left", async () => {
  const server = await startServer({ memory, steps: [answer("x".repeat(50 * KIB))] });
  const { json } = await server.http().create(SMALL);
  await until(() => server.engine.memory.used === 0);
  const held = server.engine.memory.of("default").open();
  held.grow(450 * KIB);
  for (const path of ["", "?stream=true", "/input_items"]) {
    const refused = await server.http().call(`/v1/responses/${json.id}${path}`);
    expect([path, refused.status, refused.json.error?.code]).toEqual([path, 429, "tenant_memory_exceeded"]);
  }
  held.release();
  for (const path of ["", "?stream=true", "/input_items"]) {
    expect((await server.http().call(`/v1/responses/${json.id}${path}`)).status).toBe(200);
  }
  await until(() => server.engine.memory.used === 0);
});

test("a background response holds its request until it has ended", async () => {
  const gate = new Gate();
  const server = await startServer({ steps: [[gate, ...(answer("a") as [])]] });
  const { json } = await server.http().create({ input: "x".repeat(20 * KIB), background: true });
  await gate.reached;
  await until(() => server.engine.memory.used > 20 * KIB);
  gate.open();
  await until(() => server.engine.memory.used === 0);
  expect((await server.http().call(`/v1/responses/${json.id}`)).json.status).toBe("completed");
});
