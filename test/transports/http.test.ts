import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import { MODEL, startServer } from "../support/server.ts";

const json = { "content-type": "application/json" };

describe("a request that is wrong", () => {
  const wrong: readonly (readonly [
    string,
    number,
    object,
    { body: string | Buffer; headers?: Record<string, string> },
  ])[] = [
    ["is not JSON", 400, { code: "invalid_json" }, { body: "{nope" }],
    ["is empty", 400, { code: "invalid_json" }, { body: "" }],
    ["is not UTF-8", 400, { code: "invalid_json" }, { body: Buffer.from([0x22, 0xc3, 0x28, 0x22]) }],
    ["is no object", 400, { code: "invalid_type" }, { body: "[1]" }],
    ["has no input", 400, { code: "missing_required_parameter", param: "input" }, { body: `{"model":"m"}` }],
    [
      "has a wrong type inside",
      400,
      { code: "invalid_type", param: "input[0].content[0].text" },
      { body: `{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":7}]}]}` },
    ],
    ["names an unknown model", 400, { code: "model_not_found", param: "model" }, { body: `{"model":"m","input":"x"}` }],
    [
      "asks for what is not offered",
      400,
      { code: "unsupported_parameter", param: "prompt" },
      { body: `{"model":"m","input":"x","prompt":{"id":"p"}}` },
    ],
    [
      "is of another content type",
      415,
      { code: "unsupported_media_type" },
      { body: "{}", headers: { "content-type": "text/plain" } },
    ],
    [
      "is compressed in a way that nobody knows",
      415,
      { code: "unsupported_media_type" },
      { body: "{}", headers: { ...json, "content-encoding": "compress" } },
    ],
    ["is too big", 413, { code: "request_too_large" }, { body: `"${"x".repeat(2000)}"` }],
  ];

  test.each(wrong)("because it %s is %i with the error envelope", async (_name, status, error, options) => {
    const server = await startServer({ transportLimits: { maxMessageBytes: 2000 }, steps: [answer("Hi")] });
    const http = server.http();
    const answered = await http.call("/v1/responses", { method: "POST", headers: json, ...options });
    expect(answered.status).toBe(status);
    expect(answered.headers["x-request-id"]).toMatch(/^req_/);
    expect(answered.json.error).toMatchObject({ type: "invalid_request_error", ...error });
    expect(Object.keys(answered.json)).toEqual(["error"]);
    expect(Object.keys(answered.json.error ?? {}).toSorted()).toEqual(["code", "message", "param", "type"]);
    expect(answered.text).not.toContain("FST_");
    expect((await http.create({ input: "hello" })).status).toBe(200);
  });

  test("because it is too big is 413 also when its size is not known before", async () => {
    const server = await startServer({ transportLimits: { maxMessageBytes: 2000 } });
    const answered = await rawHttp(
      server.url,
      `POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n` +
        `bb8\r\n${"x".repeat(3000)}\r\n0\r\n\r\n`,
    );
    expect(answered).toMatch(/^HTTP\/1.1 413 /);
    expect(answered).toContain(`"code":"request_too_large"`);
  });

  test("because it is no HTTP at all is 400 with the error envelope", async () => {
    const server = await startServer();
    const answered = await rawHttp(server.url, "Hello there\r\n\r\n");
    expect(answered).toMatch(/^HTTP\/1.1 400 /);
    expect(answered).toContain(`"code":"invalid_value"`);
  });
});

describe("a path", () => {
  test.each(["/v1/chat/completions", "/v1/messages"])(
    "for another API is 404, and says how to switch the client: %s",
    async (path) => {
      const server = await startServer();
      const { status, json } = await server.http().post(path, { model: "m", messages: [] });
      expect(status).toBe(404);
      expect(json.error?.message).toMatch(/Responses API, at POST \/v1\/responses.*responses\.create/);
    },
  );

  test.each(["/nothing", "/v1", "/v1/nothing", "/v1/responses/resp_1", "/v1/%zz"])(
    "that nobody serves is 404 with the error envelope: %s",
    async (path) => {
      const server = await startServer();
      const { status, headers, json, text } = await server.http().call(path);
      expect(status).toBe(404);
      expect(headers["x-request-id"]).toMatch(/^req_/);
      expect(json.error).toMatchObject({ type: "invalid_request_error", code: "not_found", param: null });
      expect(text).not.toContain("FST_");
    },
  );

  test.each([
    ["GET", "/v1/responses", "POST"],
    ["DELETE", "/v1/responses", "POST"],
    ["POST", "/v1/models", "GET, HEAD"],
    ["PUT", "/healthz", "GET, HEAD"],
  ])("asked by a method that it does not have is 405: %s %s", async (method, path, allow) => {
    const server = await startServer();
    const { status, headers, json } = await server.http().call(path, { method, body: "not json" });
    expect(status).toBe(405);
    expect(headers["allow"]).toBe(allow);
    expect(json.error?.code).toBe("method_not_allowed");
  });

  test("may end with a slash, and have a query", async () => {
    const server = await startServer({ steps: [answer("Hi")] });
    expect((await server.http().call("/v1/models/?limit=3")).status).toBe(200);
    const body = JSON.stringify({ model: MODEL, input: "x" });
    expect((await server.http().call("/v1/responses/", { method: "POST", headers: json, body })).status).toBe(200);
  });
});

describe("models", () => {
  test("are listed as objects", async () => {
    const server = await startServer();
    const { status, json } = await server.http().call("/v1/models");
    expect(status).toBe(200);
    const created = 1_800_000_000;
    expect(json).toEqual({ object: "list", data: [{ id: MODEL, object: "model", created, owned_by: "turnwire" }] });
  });

  test("are found by name, with slashes encoded or not", async () => {
    const models = { resolve: () => Promise.reject(new Error("unused")) as never, list: async () => ["org/model:7b"] };
    const server = await startServer({ models });
    for (const path of ["/v1/models/org/model:7b", "/v1/models/org%2Fmodel%3A7b"]) {
      expect((await server.http().call(path)).json).toMatchObject({ id: "org/model:7b", object: "model" });
    }
    const { status, json } = await server.http().call("/v1/models/org");
    expect(status).toBe(404);
    expect(json.error).toMatchObject({ code: "not_found", param: "model" });
  });

  test("that cannot be listed are a 502, and its cause is reported", async () => {
    const cause = new Error("connect ECONNREFUSED 10.0.0.7");
    const models = { resolve: () => Promise.reject(cause) as never, list: () => Promise.reject(cause) };
    const server = await startServer({ models });
    const { status, json, text } = await server.http().call("/v1/models");
    expect(status).toBe(502);
    expect(json.error?.code).toBe("upstream_unavailable");
    expect(text).not.toContain("10.0.0.7");
    expect(server.errors).toEqual([cause]);
  });
});

test("health and readiness are told without a key; readiness ends when the server drains", async () => {
  const server = await startServer();
  const http = server.http();
  for (const path of ["/healthz", "/health"]) {
    expect((await http.call(path)).json).toEqual({ status: "ok", server: "turnwire", version: "0.0.0-test" });
  }
  expect(await http.call("/readyz")).toMatchObject({ status: 200, json: { status: "ready" } });
  server.listener.stopAccepting();
  expect((await http.call("/healthz")).status).toBe(200);
  expect(await http.call("/readyz")).toMatchObject({ status: 503, json: { status: "draining" } });
});

test("with a certificate, the same port speaks https and wss", async () => {
  const server = await startServer({
    tls: { cert: readPem("cert"), key: readPem("key") },
    steps: [answer("1"), answer("2")],
  });
  expect(server.url).toMatch(/^https:/);
  expect((await server.http().create({ input: "x" })).status).toBe(200);
  const client = await server.connect();
  expect((await client.turn({ input: "x" })).last.type).toBe("response.completed");
});

function readPem(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url));
}

/** Sends bytes and reads all that comes back until the server closes. */
function rawHttp(url: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("}}")) socket.end();
    });
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
    socket.write(bytes);
  });
}
