import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runConformance } from "../../src/conformance/index.ts";
import { type RunningServer, startServer } from "../../src/server.ts";
import type { Config } from "../../src/settings.ts";
import { chatModel } from "../support/chat-model.ts";
import { ChatUpstream } from "../support/chat-upstream.ts";

/** The suite against our server in the ways in which people run it: with a chat server behind it, and with TLS before it. */

const TLS = resolve(import.meta.dirname, "../fixtures/tls");
const KEYS = { key: "key-one-is-long-enough", secondKey: "key-two-is-long-enough" };
const apiKeys = [
  { tenant: "one", key: KEYS.key },
  { tenant: "two", key: KEYS.secondKey },
];

let upstream: ChatUpstream;
const servers: RunningServer[] = [];

beforeAll(async () => {
  upstream = await ChatUpstream.start();
  upstream.otherwise(chatModel);
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await upstream.close();
});

async function failuresOf(settings: Partial<Config>, scheme: (url: string) => string) {
  const server = await startServer({ port: 0, store: "memory:", logLevel: "silent", maxLoopDelayMs: 0, ...settings });
  servers.push(server);
  const report = await runConformance({
    url: scheme(server.url),
    ...KEYS,
    model: "sim",
    insecure: true,
    timeoutMs: 20_000,
  });
  const failed = report.results.filter(({ outcome }) => outcome === "failed");
  return failed.map(({ id, message, got }) => `${id}: ${message} ${got ?? ""}`);
}

describe("our server conforms", () => {
  test("in front of a chat-completions server", async () => {
    const failed = await failuresOf({ backend: upstream.url, apiKeys }, (url) => url);
    expect(failed).toEqual([]);
  }, 120_000);

  test("over wss", async () => {
    const tls = { tlsCert: resolve(TLS, "cert.pem"), tlsKey: resolve(TLS, "key.pem") };
    const failed = await failuresOf({ ...tls, simRate: 2000, apiKeys }, (url) => url.replace("https", "wss"));
    expect(failed).toEqual([]);
  }, 120_000);
});
