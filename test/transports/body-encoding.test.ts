import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import type { Gunzip } from "node:zlib";
import * as zlib from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import { decoderOf, unpack } from "../../src/transports/body-encoding.ts";
import { MODEL, startServer } from "../support/server.ts";

const json = { "content-type": "application/json" };
const LIMIT = 100_000;

const ENCODINGS = [
  ["gzip", zlib.gzipSync],
  ["x-gzip", zlib.gzipSync],
  ["GZIP", zlib.gzipSync],
  ["deflate", zlib.deflateSync],
  ["br", zlib.brotliCompressSync],
  ["zstd", zlib.zstdCompressSync],
] as const;

const text = JSON.stringify({ model: MODEL, input: `Grüße ${"x".repeat(20_000)}` });

describe("a compressed body", () => {
  test.each(ENCODINGS)("is read: %s", async (encoding, compress) => {
    const server = await startServer({ steps: [answer("Hi")] });
    const body = compress(text);
    expect(body.length).toBeLessThan(1000);
    const headers = { ...json, "content-encoding": encoding };
    const { status } = await server.http().call("/v1/responses", { method: "POST", headers, body });
    expect(status).toBe(200);
    expect(JSON.stringify(server.backend.calls[0]?.input)).toContain(`Grüße ${"x".repeat(20_000)}`);
  });

  test.each(["/v1/responses", "/responses", "/v1/codex/responses", "/v1/responses/input_tokens"])(
    "is read wherever one is posted: %s",
    async (path) => {
      const server = await startServer({ steps: [answer("Hi")] });
      const headers = { ...json, "content-encoding": "zstd" };
      const body = zlib.zstdCompressSync(text);
      expect((await server.http().call(path, { method: "POST", headers, body })).status).toBe(200);
    },
  );

  test.each(ENCODINGS)("may be as large as any other, unpacked: %s", async (encoding, compress) => {
    const server = await startServer({ transportLimits: { maxMessageBytes: LIMIT }, steps: [answer("Hi")] });
    const http = server.http();
    const headers = { ...json, "content-encoding": encoding };
    const send = async (size: number) => {
      const start = `{"model":"${MODEL}","input":"`;
      const body = compress(`${start}${"x".repeat(size - start.length - 2)}"}`);
      return http.call("/v1/responses", { method: "POST", headers, body });
    };
    expect((await send(LIMIT)).status).toBe(200);
    const refused = await send(LIMIT + 1);
    expect([refused.status, refused.json.error?.code]).toEqual([413, "request_too_large"]);
  });

  test.each(ENCODINGS)("that is broken, or cut, is a 400: %s", async (encoding, compress) => {
    const server = await startServer({ steps: [answer("Hi")] });
    const whole = compress(text);
    const headers = { ...json, "content-encoding": encoding };
    for (const body of [Buffer.from(text), whole.subarray(0, whole.length - 10)]) {
      const { status, json: answered } = await server.http().call("/v1/responses", { method: "POST", headers, body });
      expect([status, answered.error?.code]).toEqual([400, "invalid_value"]);
    }
    expect(server.errors).toEqual([]);
  });
});

test("a way of compressing that the server does not know is a 415 that says which it does", async () => {
  const server = await startServer();
  for (const encoding of ["compress", "gzip, br", "__proto__"]) {
    const headers = { ...json, "content-encoding": encoding };
    const { status, json: answered } = await server
      .http()
      .call("/v1/responses", { method: "POST", headers, body: "{}" });
    expect([status, answered.error?.code]).toEqual([415, "unsupported_media_type"]);
    expect(answered.error?.message).toContain("only gzip, deflate, br, zstd or no compression");
  }
});

test("of a bomb no more is unpacked than a body may be large, and its client hears so", async () => {
  const bomb = zlib.gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const decoder = decoderOf("gzip")?.() as Gunzip;
  const server = createServer((request, response) => {
    unpack(
      request,
      () => decoder,
      LIMIT,
      () => undefined,
    ).then(
      () => response.end("unpacked"),
      (error: { code: string }) => response.end(error.code),
    );
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const answered = await new Promise<string>((resolve, reject) => {
    const request = httpRequest({ port, host: "127.0.0.1", method: "POST" }, (response) => {
      response.on("data", (chunk: Buffer) => resolve(chunk.toString()));
    });
    request.on("error", reject);
    request.end(bomb);
  });
  expect(answered).toBe("request_too_large");
  expect(decoder.destroyed).toBe(true);
  expect(decoder.bytesWritten).toBeLessThan(bomb.length / 8);
});

test("a client that leaves in the middle of a body leaves nothing behind", async () => {
  const server = await startServer();
  const { port, hostname } = new URL(server.url);
  const client = httpRequest({
    port,
    host: hostname,
    method: "POST",
    path: "/v1/responses",
    headers: { ...json, "content-encoding": "gzip", "content-length": "1000" },
  });
  client.on("error", () => undefined);
  client.write(zlib.gzipSync(text).subarray(0, 20), () => client.destroy());
  while (server.listener.openSockets === 0) await new Promise((resolve) => setImmediate(resolve));
  while (server.listener.openSockets > 0) await new Promise((resolve) => setImmediate(resolve));
  expect(server.errors).toEqual([]);
  expect(server.engine.openSessions).toBe(0);
});
