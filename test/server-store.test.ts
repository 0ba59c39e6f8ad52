import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { StartError, startServer } from "../src/server.ts";
import type { Config } from "../src/settings.ts";
import { HttpClient } from "./support/http-client.ts";

let dataDir: string;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "turnwire-store-"));
});

afterEach(() => {
  rmSync(dataDir, { recursive: true, force: true });
});

async function start(settings: Partial<Config>) {
  const server = await startServer({ port: 0, logLevel: "silent", maxLoopDelayMs: 0, dataDir, ...settings });
  onTestFinished(() => server.close());
  return { server, client: new HttpClient(server.url) };
}

test("with --store sqlite: a stored response is continued after the server has been started again", async () => {
  const first = await start({ store: "sqlite:" });
  const made = await first.client.create({ model: "sim", input: "The number is 7." });
  await first.server.close();
  const second = await start({ store: "sqlite:" });
  const continued = { model: "sim", input: "Which?", previous_response_id: made.json.id };
  const { status, json } = await second.client.create(continued);
  expect(status).toBe(200);
  expect(json.usage?.input_tokens).toBeGreaterThan(made.json.usage?.input_tokens ?? 0);
});

test("a response with store: false is gone with the server", async () => {
  const first = await start({ store: "sqlite:" });
  const made = await first.client.create({ model: "sim", input: "The number is 7.", store: false });
  await first.server.close();
  const second = await start({ store: "sqlite:" });
  const { json } = await second.client.create({ model: "sim", input: "Which?", previous_response_id: made.json.id });
  expect(json.error?.code).toBe("previous_response_not_found");
});

test("content that was encrypted needs its key", async () => {
  const storeKeys = `now:${Buffer.alloc(32, 7).toString("base64")}`;
  const first = await start({ store: "sqlite:", storeKeys });
  const made = await first.client.create({ model: "sim", input: "The number is 7." });
  await first.server.close();
  const without = await start({ store: "sqlite:" });
  const continued = { model: "sim", input: "Which?", previous_response_id: made.json.id };
  expect((await without.client.create(continued)).status).toBe(500);
  await without.server.close();
  const second = await start({ store: "sqlite:", storeKeys });
  expect((await second.client.create(continued)).status).toBe(200);
});

test.each([
  [{ store: "redis://localhost" }, "give memory:, sqlite:<path> or postgres://"],
  [{ store: "sqlite:", storeKeys: "short:AAAA" }, "'short' has 3 bytes where 32 are needed"],
])("%j is refused at the start, in words for the operator", async (settings, words) => {
  const started = start(settings);
  await expect(started).rejects.toBeInstanceOf(StartError);
  await expect(started).rejects.toThrow(words);
});
