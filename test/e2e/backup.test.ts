import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { completeConfig } from "../../src/config.ts";
import { openKeys, startServer } from "../../src/server.ts";
import { TestPostgres } from "../support/postgres.ts";

/** Keys, conversations, responses and runs of a server are there, and work, when its store was backed up and restored. */
async function checkBackup(store: string, folder: string, backUp: () => Promise<string>): Promise<void> {
  const settings = { port: 0, logLevel: "silent", dataDir: folder, simRounds: 0, maxLoopDelayMs: 0 } as const;
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
  const background = { model: "sim", input: "Hello", background: true, previous_response_id: response };
  const run = (await before("/v1/responses", background)).json.id;
  await (
    await fetch(`${server.url}/v1/responses/${run}?stream=true`, { headers: { authorization: `Bearer ${secret}` } })
  ).text();
  const items = (await before(`/v1/conversations/${conversation}/items`)).json.data.length;
  // While the server runs.
  const copy = await backUp();
  await server.close();
  const restored = await startServer({ ...settings, store: copy });
  onTestFinished(() => restored.close());
  const after = client(restored.url);
  expect((await after(`/v1/responses/${response}`)).status).toBe(200);
  expect((await after(`/v1/responses/${run}`)).json).toMatchObject({ status: "completed", background: true });
  const next = { model: "sim", input: "And now?", previous_response_id: run };
  expect((await after("/v1/responses", next)).status).toBe(200);
  const list = await after(`/v1/conversations/${conversation}/items`);
  expect([list.status, list.json.data.length]).toEqual([200, items]);
  expect((await fetch(`${restored.url}/v1/models`)).status).toBe(401);
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-backup-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("a backup as docs/stores.md makes it has keys, conversations and responses, and all of them work", async () => {
  const folder = newFolder();
  await checkBackup(`sqlite:${join(folder, "turnwire.db")}`, folder, async () => {
    const database = new DatabaseSync(join(folder, "turnwire.db"));
    database.exec(`VACUUM INTO '${join(folder, "copy.db")}'`);
    database.close();
    return `sqlite:${join(folder, "copy.db")}`;
  });
});

test.skipIf(TestPostgres.missing !== null)(
  `a dump of a PostgreSQL database restores into an empty one, and all of it works${TestPostgres.whySkipped}`,
  async () => {
    const postgres = await TestPostgres.start();
    onTestFinished(() => postgres.stop());
    postgres.run("createdb", ["turnwire"]);
    await checkBackup(postgres.database("turnwire"), newFolder(), async () => {
      const dump = postgres.run("pg_dump", ["turnwire"]);
      postgres.run("createdb", ["restored"]);
      postgres.run("psql", ["-q", "-v", "ON_ERROR_STOP=1", "restored"], dump);
      return postgres.database("restored");
    });
  },
);
