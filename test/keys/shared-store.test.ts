import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { KeyBook } from "../../src/keys/key-book.ts";
import { KeyRing } from "../../src/keys/key-ring.ts";
import { openStore } from "../../src/stores/open.ts";
import { FakeRuntime } from "../../src/testing/index.ts";
import { TestPostgres } from "../support/postgres.ts";
import { addKey } from "./stored-key.ts";

/** What one process changes, another that shares the store sees before its next turn. */
function sharedStore(name: string, place: () => Promise<string>): void {
  test(`${name}: what one process changes counts for the next turn in another`, async () => {
    const url = await place();
    const [mine, other] = [await openStore(url), await openStore(url)];
    onTestFinished(async () => {
      await Promise.all([mine.close(), other.close()]);
    });
    const ring = new KeyRing({ configured: [], records: mine.records, runtime: new FakeRuntime(), isClosed: true });
    const book = new KeyBook(other.records);
    const { id, secret } = await addKey(other.records);
    const permit = await ring.authenticate(`Bearer ${secret}`);
    await permit.admit("m");
    await book.change(id, { models: ["x*"] });
    await expect(permit.admit("m")).rejects.toThrow(expect.objectContaining({ code: "model_not_found" }) as Error);
    await permit.admit("x1");
    expect(await book.revoke(id)).toBe(true);
    await expect(permit.admit("x1")).rejects.toThrow(expect.objectContaining({ code: "invalid_api_key" }) as Error);
    expect(await book.revoke(id)).toBe(false);
    expect(await book.change(id, { models: null })).toBeUndefined();
  });

  test(`${name}: changes of two operators at the same time are both kept`, async () => {
    const url = await place();
    const store = await openStore(url);
    onTestFinished(() => store.close());
    const books = [new KeyBook(store.records), new KeyBook(store.records)];
    const { id } = await addKey(store.records);
    await Promise.all([books[0]?.change(id, { connections: 3 }), books[1]?.change(id, { turnsPerMinute: 4 })]);
    expect(await books[0]?.list()).toMatchObject([{ id, connections: 3, turnsPerMinute: 4 }]);
  });

  test(`${name}: more keys than fit into a page are all listed`, async () => {
    const store = await openStore(await place());
    onTestFinished(() => store.close());
    const made = await Promise.all(Array.from({ length: 30 }, () => addKey(store.records)));
    const listed = await new KeyBook(store.records, { page: 7 }).list();
    expect(listed.map(({ id }) => id).toSorted()).toEqual(made.map(({ id }) => id).toSorted());
  });
}

describe("SQLite", () => {
  sharedStore("SQLite", async () => {
    const folder = mkdtempSync(join(tmpdir(), "turnwire-keys-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    return `sqlite:${join(folder, "store.db")}`;
  });
});

describe.skipIf(TestPostgres.missing !== null)(`PostgreSQL${TestPostgres.whySkipped}`, () => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await TestPostgres.start();
  });
  afterAll(() => server.stop());
  sharedStore("PostgreSQL", () => server.emptyPlace());
});
