import { describe, expect, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import { authorizationOf, selectProtocol } from "../../src/transports/subprotocol-key.ts";
import { startServer } from "../support/server.ts";

const APP = "https://app.example";
const keys = [{ tenant: "acme", key: "page-key-0123456789" }];
const offered = (key: string) => ({ protocols: ["responses", `openai-insecure-api-key.${key}`] });
const preflight = {
  method: "OPTIONS",
  headers: {
    origin: APP,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
    "access-control-request-private-network": "true",
  },
} as const;

describe("a page of an allowed origin", () => {
  test("has its preflights answered without a key, on every path of the API", async () => {
    const server = await startServer({ keys, policy: { allowedOrigins: [APP] } });
    for (const path of ["/v1/responses", "/v1/conversations/conv_1/items", "/v1/models", "/v1/responses/resp_1"]) {
      const { status, headers, text } = await server.http().call(path, preflight);
      expect([path, status, text]).toEqual([path, 204, ""]);
      expect(headers).toMatchObject({
        "access-control-allow-origin": APP,
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-allow-headers": "authorization,content-type",
        "access-control-allow-private-network": "true",
        vary: "origin",
      });
    }
  });

  test("may read every answer, errors and streams included", async () => {
    const server = await startServer({ steps: [answer("a")], policy: { allowedOrigins: [APP] } });
    const headers = { origin: APP };
    const seen = [
      await server.http().stream({ input: "Hi" }, { headers }),
      await server.http().call("/v1/responses/resp_unknown", { headers }),
      await server.http().call("/v1/nowhere", { headers }),
    ];
    for (const { headers: sent } of seen) expect(sent["access-control-allow-origin"]).toBe(APP);
    expect(seen.map(({ status }) => status)).toEqual([200, 404, 404]);
  });
});

test.each([
  ["another origin, of a server that allows one", [APP], "https://evil.example"],
  ["any origin, of a server that allows none", [], APP],
])("a page of %s gets no header that lets it read", async (_name, allowedOrigins, origin) => {
  const server = await startServer({ keys, policy: { allowedOrigins } });
  const asked = { ...preflight, headers: { ...preflight.headers, origin } };
  const { headers, status } = await server.http().call("/v1/responses", asked);
  expect(status).toBeGreaterThanOrEqual(400);
  expect(Object.keys(headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
});

test("with '*' each origin is allowed by its name", async () => {
  const server = await startServer({ keys, policy: { allowedOrigins: ["*"] } });
  const { headers } = await server.http().call("/v1/responses", preflight);
  expect(headers["access-control-allow-origin"]).toBe(APP);
});

describe("a key among the subprotocols of an upgrade", () => {
  test("lets its client in, and is never sent back", async () => {
    const server = await startServer({ keys, steps: [answer("a")] });
    await expect(server.connect(offered("wrong-key-0123456789"))).rejects.toThrow(/401/);
    const client = await server.connect(offered("page-key-0123456789"));
    expect(client.socket.protocol).toBe("responses");
    expect((await client.turn({ input: "Hi" })).response.status).toBe("completed");
  });

  test.each([
    [{ authorization: "Bearer a", "sec-websocket-protocol": "openai-insecure-api-key.b" }, "Bearer a"],
    [{ "sec-websocket-protocol": "openai-insecure-api-key.b" }, "Bearer b"],
    [{ "sec-websocket-protocol": "realtime,  openai-insecure-api-key.b , openai-beta.x" }, "Bearer b"],
    [{ "sec-websocket-protocol": "realtime" }, undefined],
    [{}, undefined],
  ])("is taken where there is no header: %j", (headers, authorization) => {
    expect(authorizationOf(headers)).toBe(authorization);
  });

  test.each([
    [["responses", "openai-insecure-api-key.k"], "responses"],
    [["openai-insecure-api-key.k", "openai-organization.o", "realtime"], "realtime"],
    [["openai-insecure-api-key.k"], false],
  ])("is not selected: %j", (offered, selected) => {
    expect(selectProtocol(new Set(offered))).toBe(selected);
  });
});
