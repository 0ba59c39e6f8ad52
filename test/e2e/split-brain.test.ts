import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { TestPostgres } from "../support/postgres.ts";
import { deleteRound, FenceServer, newFile, PAUSES, pauseRound, retryRound } from "../support/split-brain.ts";

const TIMEOUT = 120_000;
/** Slow enough that a response takes longer than a lease. */
const RATE = 20;

const files: (() => void)[] = [];
const running: FenceServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.kill()));
  for (const remove of files.splice(0)) remove();
});

let postgres: TestPostgres | null = null;
beforeAll(async () => {
  if (TestPostgres.missing === null) postgres = await TestPostgres.start();
});
afterAll(() => postgres?.stop());

async function placeOf(database: string): Promise<string> {
  if (database === "PostgreSQL" && postgres !== null) return postgres.emptyPlace();
  const { url, remove } = newFile();
  files.push(remove);
  return url;
}

async function pair(database: string): Promise<readonly [FenceServer, FenceServer]> {
  const store = await placeOf(database);
  const [one, two] = [await FenceServer.start(store, RATE), await FenceServer.start(store, RATE)];
  running.push(one, two);
  return [one, two];
}

const databases = TestPostgres.missing === null ? ["SQLite", "PostgreSQL"] : ["SQLite"];

describe.each(databases)(`two servers with one %s${TestPostgres.whySkipped}`, (database) => {
  test.each(PAUSES)(
    "agree on a response whose server %s",
    async (how) => {
      const servers = await pair(database);
      expect(await pauseRound(servers, how)).toEqual({
        client: "response.failed server_error",
        stores: ["failed", "failed"],
        next: ["previous_response_not_found", "previous_response_not_found"],
      });
      const { first, second, stores } = await retryRound(servers, how);
      expect([first, second]).toEqual(["response.failed server_error", "response.completed"]);
      expect(stores).toEqual(["failed", "failed", "completed"]);
      const deleted = await deleteRound(servers, how);
      expect(deleted.stores).toEqual(["200", "404", "404"]);
      expect(deleted.client).toMatch(/^response\.(incomplete|failed)/);
    },
    TIMEOUT,
  );
});
