import { afterAll, beforeAll, describe, test } from "vitest";
import { openDurableStore } from "../../src/stores/open.ts";
import { TestPostgres } from "../support/postgres.ts";
import { storeContract } from "./store-contract.ts";

const { missing } = TestPostgres;

if (missing !== null) {
  test.skip(`PostgreSQL keeps the store's contract (skipped: ${missing})`, () => undefined);
}

describe.skipIf(missing !== null)("PostgreSQL", () => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await TestPostgres.start();
  });
  afterAll(() => server.stop());

  storeContract("PostgreSQL", async () => openDurableStore(await server.emptyPlace()));
  storeContract("PostgreSQL without a cache", async () =>
    openDurableStore(await server.emptyPlace(), { memoryBytes: 0 }),
  );
});
