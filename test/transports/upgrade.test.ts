import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import { rawUpgrade } from "../support/raw-upgrade.ts";
import { MODEL, startServer, until } from "../support/server.ts";

const PATH = "/v1/responses";

describe("connections", () => {
  test("are no more than there may be; the next is told when to come back, before the upgrade", async () => {
    const server = await startServer({ transportLimits: { maxConnections: 2 } });
    const first = await server.connect();
    await server.connect();
    const { status, headers, json } = await rawUpgrade(server.url, PATH);
    expect(status).toBe(503);
    expect(headers["retry-after"]).toBe("2");
    expect(json).toMatchObject({ error: { type: "server_error", code: "too_many_connections" } });
    await first.leave();
    await until(() => server.engine.openSessions === 1);
    expect((await rawUpgrade(server.url, PATH)).status).toBe(101);
  });

  test("of one tenant are no more than it may have, whatever others have", async () => {
    const keys = [
      { tenant: "acme", key: "a" },
      { tenant: "acme", key: "a2" },
      { tenant: "globex", key: "g" },
    ];
    const server = await startServer({ keys, transportLimits: { maxConnectionsPerTenant: 1 } });
    const client = await server.connect({ key: "a" });
    expect((await rawUpgrade(server.url, PATH, { authorization: "Bearer a2" })).status).toBe(503);
    await server.connect({ key: "g" });
    client.socket.terminate();
    await until(() => server.engine.openSessions === 1);
    await server.connect({ key: "a2" });
  });

  test("that never came about are not counted", async () => {
    const server = await startServer({ transportLimits: { maxConnections: 1 } });
    for (let index = 0; index < 3; index += 1) {
      expect((await rawUpgrade(server.url, PATH, { "sec-websocket-key": "no" })).status).toBe(400);
    }
    await server.connect();
  });
});

const upgradeFrom = async (origin: string, host: string, allowedOrigins: readonly string[] = []): Promise<number> => {
  const server = await startServer({ policy: { allowedOrigins, allowedHosts: null } });
  return (await rawUpgrade(server.url, PATH, { origin, host })).status;
};

describe("a web page", () => {
  test.each([
    ["http://localhost:4400", "localhost:4400"],
    ["https://llm.example.com", "llm.example.com"],
    ["https://llm.example.com", "llm.example.com:443"],
    ["https://LLM.example.com", "llm.EXAMPLE.com"],
  ])("of the server itself may connect: %s to %s", async (origin, host) => {
    expect(await upgradeFrom(origin, host)).toBe(101);
  });

  test.each([
    ["https://evil.example", "llm.example.com"],
    ["http://localhost:3000", "localhost:4400"],
    ["http://localhost", "localhost:4400"],
    ["null", "localhost:4400"],
    ["", "localhost:4400"],
    ["https://llm.example.com.evil.example", "llm.example.com"],
    ["https://llm.example.com@evil.example", "llm.example.com"],
    ["file://llm.example.com", "llm.example.com"],
  ])("of elsewhere may not, and is told so with 403: %s to %s", async (origin, host) => {
    expect(await upgradeFrom(origin, host)).toBe(403);
    const server = await startServer({ policy: { allowedHosts: null } });
    const { json } = await rawUpgrade(server.url, PATH, { origin, host });
    expect(json).toMatchObject({ error: { code: "origin_not_allowed" } });
  });

  test("that is listed may connect, and others still may not", async () => {
    const listed = ["https://app.example.com"];
    expect(await upgradeFrom("https://app.example.com", "llm.example.com", listed)).toBe(101);
    expect(await upgradeFrom("http://app.example.com", "llm.example.com", listed)).toBe(403);
    expect(await upgradeFrom("https://evil.example", "llm.example.com", ["*"])).toBe(101);
    expect(await upgradeFrom("null", "llm.example.com", ["*"])).toBe(101);
  });
});

test("a server that takes no WebSockets answers 426, and goes on over HTTP", async () => {
  const server = await startServer({ policy: { webSocket: false }, steps: [answer("Hi")] });
  const { status, headers, json } = await rawUpgrade(server.url, PATH);
  expect(status).toBe(426);
  expect(headers["upgrade"]).toBe("HTTP/1.1");
  expect(json).toMatchObject({ error: { type: "invalid_request_error", code: "websocket_disabled" } });
  expect((await server.http().create({ input: "x" })).status).toBe(200);
});

describe.each(["/v1/responses", "/responses", "/v1/codex/responses", "/v1/responses/"])("at %s", (path) => {
  test("responses are created over WebSocket and by POST, with a key", async () => {
    const keys = [{ tenant: "acme", key: "a" }];
    const server = await startServer({ keys, steps: [answer("1"), answer("2")] });
    const client = await server.connect({ key: "a", path: `${path}?api-version=1` });
    expect((await client.turn({ input: "x" })).last.type).toBe("response.completed");
    const post = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: MODEL, input: "x" }),
    };
    expect((await server.http("a").call(path, post)).status).toBe(200);
    expect((await server.http().call(path, post)).status).toBe(401);
    expect((await rawUpgrade(server.url, path)).status).toBe(401);
    expect((await server.http("a").call(path)).status).toBe(405);
  });
});

describe("a request head", () => {
  const limits = { maxHeaderBytes: 4000, maxUrlLength: 1000 };

  test.each([
    ["an upgrade", "Connection: Upgrade\r\nUpgrade: websocket\r\n"],
    ["a request", ""],
  ])("that is too large is 431, with the error as JSON: %s", async (_name, upgrade) => {
    const server = await startServer({ transportLimits: limits });
    const answered = await raw(
      server.url,
      `GET ${PATH} HTTP/1.1\r\nhost: localhost\r\n${upgrade}x: ${"x".repeat(5000)}\r\n\r\n`,
    );
    expect(answered).toMatch(/^HTTP\/1.1 431 Request Header Fields Too Large\r\n/);
    expect(answered).toContain(`"code":"request_headers_too_large"`);
  });

  test("whose URL is too long is 431, whatever it asks for", async () => {
    const server = await startServer({ transportLimits: limits });
    const query = `?${"x".repeat(1000)}`;
    const upgrade = await rawUpgrade(server.url, PATH + query);
    expect(upgrade.status).toBe(431);
    expect(upgrade.json).toMatchObject({ error: { code: "request_headers_too_large" } });
    for (const path of [`/healthz${query}`, `/nothing${query}`]) {
      const { status, json } = await server.http().call(path);
      expect(status).toBe(431);
      expect(json.error?.code).toBe("request_headers_too_large");
    }
    expect((await rawUpgrade(server.url, `${PATH}?${"x".repeat(900)}`)).status).toBe(101);
  });
});

/** Sends bytes and reads all that comes back. */
function raw(url: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => (text += chunk));
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
    socket.write(bytes);
  });
}
