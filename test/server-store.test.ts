import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { createLog } from "../src/observe.ts";
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

/** A folder with a database and a key, as a server leaves them. */
async function used(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-permissions-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const dataDir = join(folder, "data");
  await (await startServer({ port: 0, logLevel: "silent", dataDir })).close();
  return dataDir;
}

const startWith = async (settings: object) => {
  const lines: string[] = [];
  const log = createLog({ level: "warn", destination: { write: (line: string) => void lines.push(line) } });
  const server = await startServer({ port: 0, ...settings }, { log });
  await server.close();
  return lines.filter((line) => line.includes("other users"));
};

describe("files that other users can read", () => {
  test("are none that the server made", async () => {
    expect(await startWith({ dataDir: await used(), dataPermissions: "refuse" })).toEqual([]);
  });

  test.each([
    [0o755, 0o600, "enter or read"],
    [0o711, 0o644, "turnwire.db"],
    [0o750, 0o660, "chmod 600"],
  ])("are named in a warning, or stop the start (folder %o, file %o)", async (folderMode, fileMode, words) => {
    const dataDir = await used();
    chmodSync(join(dataDir, "turnwire.db"), fileMode);
    chmodSync(dataDir, folderMode);
    expect((await startWith({ dataDir })).join("")).toContain(words);
    expect(await startWith({ dataDir, dataPermissions: "ignore" })).toEqual([]);
    await expect(startWith({ dataDir, dataPermissions: "refuse" })).rejects.toThrow(words);
  });

  test("are safe in a folder that only the server's user can enter", async () => {
    const dataDir = await used();
    chmodSync(join(dataDir, "turnwire.db"), 0o644);
    expect(await startWith({ dataDir, dataPermissions: "refuse" })).toEqual([]);
  });
});
