import { describe, expect, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import { rawUpgrade } from "../support/raw-upgrade.ts";
import { startServer } from "../support/server.ts";

const keys = [
  { tenant: "acme", key: "key-of-acme" },
  { tenant: "acme", key: "second-key-of-acme" },
  { tenant: "globex", key: "key-of-globex" },
];

describe("a server with keys", () => {
  test("answers an upgrade without a key with 401 and the error as JSON", async () => {
    const server = await startServer({ keys });
    const { status, headers, json } = await rawUpgrade(server.url, "/v1/responses");
    expect(status).toBe(401);
    expect(headers["x-request-id"]).toMatch(/^req_/);
    expect(json).toMatchObject({ error: { type: "invalid_request_error", code: "invalid_api_key", param: null } });
  });

  test("answers an upgrade with a wrong key with 401", async () => {
    const server = await startServer({ keys });
    const wrong = { authorization: "Bearer nonsense" };
    expect((await rawUpgrade(server.url, "/v1/responses", wrong)).status).toBe(401);
    const otherScheme = { authorization: "Basic a2V5LW9mLWFjbWU=" };
    expect((await rawUpgrade(server.url, "/v1/responses", otherScheme)).status).toBe(401);
  });

  test("answers everything under /v1 without a key with 401, before it looks at anything else", async () => {
    const server = await startServer({ keys });
    const http = server.http();
    for (const [method, path] of [
      ["POST", "/v1/responses"],
      ["GET", "/v1/models"],
      ["GET", "/v1/models/scripted"],
      ["GET", "/v1/nothing"],
      ["DELETE", "/v1/responses"],
      ["GET", "/%76%31/models"],
    ] as const) {
      const { status, headers, json } = await http.call(path, { method, body: method === "POST" ? "{not json" : "" });
      expect([method, path, status]).toEqual([method, path, 401]);
      expect(headers["www-authenticate"]).toBe("Bearer");
      expect(json.error?.code).toBe("invalid_api_key");
    }
  });

  test("asks for no key for health, readiness and the page", async () => {
    const server = await startServer({ keys });
    for (const path of ["/healthz", "/readyz", "/"]) expect((await server.http().call(path)).status).toBe(200);
  });

  test("lets the right key in, over every transport", async () => {
    const server = await startServer({ keys, steps: [answer("a"), answer("b"), answer("c")] });
    const key = "key-of-globex";
    expect((await server.http(key).create({ input: "x" })).status).toBe(200);
    expect((await server.http(key).stream({ input: "x" })).frames.at(-1)?.type).toBe("response.completed");
    const client = await server.connect({ key });
    expect((await client.turn({ input: "x" })).last.type).toBe("response.completed");
    expect(server.events.every((event) => event.tenant === "globex")).toBe(true);
  });
});

describe("tenants", () => {
  test("cannot continue each other's responses, over any transport, and cannot tell them from unknown ones", async () => {
    const server = await startServer({ keys, steps: [answer("secret"), answer("mine")] });
    const owner = await server.connect({ key: "key-of-acme" });
    const { response } = await owner.turn({ input: "remember", store: true });

    const theirs = { input: "tell", previous_response_id: response.id };
    const unknown = { input: "tell", previous_response_id: "resp_unknown" };
    const http = server.http("key-of-globex");
    const stranger = await server.connect({ key: "key-of-globex" });
    for (const fields of [theirs, unknown]) {
      const error = { code: "previous_response_not_found", param: "previous_response_id" };
      expect((await http.create(fields)).json.error).toMatchObject(error);
      expect((await http.create({ ...fields, stream: true })).json.error).toMatchObject(error);
      expect((await stranger.turn(fields)).last.error).toMatchObject(error);
    }

    const colleague = await server.connect({ key: "second-key-of-acme" });
    const { last } = await colleague.turn({ input: "more", previous_response_id: response.id });
    expect(last.type).toBe("response.completed");
    expect(server.backend.calls).toHaveLength(2);
  });
});
