import { expect, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import { canonicalUrl } from "../../src/transports/canonical-url.ts";
import { MODEL, startServer } from "../support/server.ts";

test.each([
  ["//v1/responses", "/v1/responses"],
  ["/v1//responses", "/v1/responses"],
  ["/v1/v1/responses?a=//b", "/v1/responses?a=//b"],
  ["//v1/v1/v1//models", "/v1/models"],
  ["/v1/v1", "/v1"],
  ["/v1/v10/responses", "/v1/v10/responses"],
  ["/v1/responses/resp_1", "/v1/responses/resp_1"],
  ["http://evil.example//v1/responses", "http://evil.example//v1/responses"],
])("%s is %s", (target, meant) => {
  expect(canonicalUrl(target)).toBe(meant);
});

test("a base URL with a slash or a '/v1' too many works over HTTP and WebSocket", async () => {
  const server = await startServer({ steps: [answer("a"), answer("b"), answer("c")] });
  const http = server.http();
  const body = { model: MODEL, input: "Hi" };
  expect((await http.post("/v1/v1/responses", body)).status).toBe(200);
  expect((await http.post("//v1//responses", body)).status).toBe(200);
  expect((await http.call("/v1//models")).status).toBe(200);
  const client = await server.connect({ path: "//v1/v1/responses" });
  expect((await client.turn({ input: "Hi" })).response.status).toBe("completed");
});

test("Codex finds an empty catalogue of its own form beside the list of models", async () => {
  const server = await startServer({ steps: [] });
  const { json } = await server.http().call("/v1/models?client_version=0.171.0");
  expect(json).toMatchObject({ object: "list", data: [{ id: MODEL }], models: [] });
  expect((await server.http().call("/v1/models")).json).not.toHaveProperty("models");
});

test("a WebSocket at the base URL itself is one for responses", async () => {
  const server = await startServer({ steps: [answer("a")] });
  const client = await server.connect({ path: "/v1" });
  expect((await client.turn({ input: "Hi" })).response.status).toBe("completed");
});
