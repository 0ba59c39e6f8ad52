import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDurableStore } from "../../src/stores/open.ts";
import { TestPostgres } from "../support/postgres.ts";
import { durableContract, type Place } from "./durable-contract.ts";
import { makeNode } from "./nodes.ts";
import { recordsContract } from "./records-contract.ts";
import { storeContract } from "./store-contract.ts";

describe.skipIf(TestPostgres.missing !== null)(`PostgreSQL${TestPostgres.whySkipped}`, () => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await TestPostgres.start();
  });
  afterAll(() => server.stop());
  const makePlace = async (): Promise<Place> => {
    const url = await server.emptyPlace();
    return { url, table: "turnwire_nodes", query: (sql) => server.query(url, sql) };
  };

  storeContract("PostgreSQL", async () => openDurableStore(await server.emptyPlace()));
  storeContract("PostgreSQL without a cache", async () =>
    openDurableStore(await server.emptyPlace(), { memoryBytes: 0 }),
  );
  durableContract("PostgreSQL", makePlace);
  recordsContract("PostgreSQL", async (options) =>
    openDurableStore(await server.emptyPlace(), { memoryBytes: 0, ...options }),
  );

  test("tables of a newer version are refused", async () => {
    const { url, query } = await makePlace();
    await (await openDurableStore(url)).close();
    await query("UPDATE turnwire_schema SET version = 99");
    await expect(openDurableStore(url)).rejects.toThrow(
      "store postgres: the tables were made by a newer version (schema 99, this one knows 5)",
    );
  });

  test("servers that start together make the tables once", async () => {
    const { url, query } = await makePlace();
    const stores = await Promise.all(Array.from({ length: 8 }, () => openDurableStore(url, { connections: 2 })));
    expect(await query("SELECT version FROM turnwire_schema")).toEqual([{ version: 5 }]);
    const nodes = stores.map((_, index) => makeNode(`a${index}`));
    await Promise.all(stores.map((store, index) => store.put(nodes[index] ?? makeNode("none"))));
    for (const store of stores) {
      expect(await Promise.all(nodes.map((node) => store.load("acme", node.id)))).toEqual(nodes);
      await store.close();
    }
  });

  test("a connection that was cut is replaced, and whoever waits notices nothing", async () => {
    const { url, query } = await makePlace();
    const errors: unknown[] = [];
    const store = await openDurableStore(url, { onError: (error) => errors.push(error) });
    const nodes = Array.from({ length: 60 }, (_, index) => makeNode(`a${index}`));
    const cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'turnwire'";
    for (const [index, node] of nodes.entries()) {
      if (index % 10 === 5) await query(cut);
      await store.put(node);
    }
    for (const node of nodes) expect(await store.load("acme", node.id)).toEqual(node);
    await store.close();
  });

  test("a server that is stopped inside a transaction keeps no other from deleting and storing", async () => {
    const { url, query } = await makePlace();
    const store = await openDurableStore(url);
    await store.put(makeNode("a"));
    const script = new URL("still-writer.ts", import.meta.url).pathname;
    const stopped = spawn(process.execPath, [script, url, "a"], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(stopped.stdout, "data");
      stopped.kill("SIGSTOP");
      const states = await query("SELECT state FROM pg_stat_activity WHERE state = 'idle in transaction'");
      expect(states).toEqual([{ state: "idle in transaction" }]);
      expect(await store.delete("acme", "a")).toBe(true);
      expect(await store.load("acme", "a")).toBeUndefined();
    } finally {
      stopped.kill("SIGKILL");
      await store.close();
    }
  }, 60_000);

  test("a failed open shows no password", async () => {
    const failure = openDurableStore("postgres://user:canary@127.0.0.1:1/nothing");
    await expect(failure).rejects.toThrow(/^store postgres: .*ECONNREFUSED/);
    await expect(failure).rejects.not.toThrow("canary");
  });
});
