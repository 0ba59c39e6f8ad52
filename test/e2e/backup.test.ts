import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { completeConfig } from "../../src/config.ts";
import { openKeys, startServer } from "../../src/server.ts";

test("a backup as docs/stores.md makes it has keys, conversations and responses, and all of them work", async () => {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-backup-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const settings = { port: 0, logLevel: "silent", dataDir: folder, simRounds: 0, maxLoopDelayMs: 0 } as const;
  const store = `sqlite:${join(folder, "turnwire.db")}`;
  const keys = await openKeys(completeConfig({ ...settings, store }));
  const { secret } = await keys.book.add({
    tenant: "a",
    name: "backup",
    createdAt: 0,
    models: null,
    turnsPerMinute: null,
    tokensPerMinute: null,
    connections: null,
    expiresAt: null,
  });
  await keys.close();
  const client = (url: string) => async (path: string, body?: object) => {
    const answer = await fetch(url + path, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, json: (await answer.json()) as { readonly id: string; readonly data: object[] } };
  };
  const server = await startServer({ ...settings, store });
  const before = client(server.url);
  const conversation = (await before("/v1/conversations", {})).json.id;
  const turn = { model: "sim", input: "Hello", conversation };
  const response = (await before("/v1/responses", turn)).json.id;
  // While the server runs.
  const database = new DatabaseSync(join(folder, "turnwire.db"));
  const items = (await before(`/v1/conversations/${conversation}/items`)).json.data.length;
  database.exec(`VACUUM INTO '${join(folder, "copy.db")}'`);
  database.close();
  await server.close();
  const restored = await startServer({ ...settings, store: `sqlite:${join(folder, "copy.db")}` });
  onTestFinished(() => restored.close());
  const after = client(restored.url);
  expect((await after(`/v1/responses/${response}`)).status).toBe(200);
  const list = await after(`/v1/conversations/${conversation}/items`);
  expect([list.status, list.json.data.length]).toEqual([200, items]);
  expect((await fetch(`${restored.url}/v1/models`)).status).toBe(401);
});
