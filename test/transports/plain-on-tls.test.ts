import { resolve } from "node:path";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { request } from "node:https";
import { expect, test } from "vitest";
import { startServer } from "../support/server.ts";

const TLS = resolve(import.meta.dirname, "../fixtures/tls");

async function plainHttp(url: string, text: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.write(text);
  let answered = "";
  for await (const chunk of socket) answered += String(chunk);
  return answered;
}

test("plain HTTP on a TLS port is answered in words, and TLS works as before", async () => {
  const tls = { cert: readFileSync(resolve(TLS, "cert.pem")), key: readFileSync(resolve(TLS, "key.pem")) };
  const server = await startServer({ tls });
  const plain = await plainHttp(server.url, "GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n");
  expect(plain).toMatch(/^HTTP\/1\.1 400 /);
  expect(plain).toContain("This port speaks TLS: use https:// or wss://.");
  const status = await new Promise((done, failed) => {
    request(`${server.url}/healthz`, { rejectUnauthorized: false }, (answer) => done(answer.resume().statusCode))
      .on("error", failed)
      .end();
  });
  expect(status).toBe(200);
});
