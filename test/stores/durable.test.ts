import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ResponseNode } from "../../src/core/node.ts";
import type { Database } from "../../src/stores/database.ts";
import { DurableStore } from "../../src/stores/durable.ts";
import { DEFAULT_STORE_OPTIONS } from "../../src/stores/open.ts";
import { SqliteDatabase } from "../../src/stores/sqlite.ts";
import { chainOf, makeNode } from "./nodes.ts";

const folder = mkdtempSync(join(tmpdir(), "turnwire-durable-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("round trips", () => {
  const TURNS = 300;
  let database: SqliteDatabase;
  let calls: (readonly [string, unknown])[];
  let files = 0;
  beforeEach(async () => {
    database = await SqliteDatabase.open(join(folder, `${files++}.db`), { synchronous: "normal" });
    calls = [];
  });
  afterEach(() => database.close());

  /** A store that says what it asks of its database, and what it is answered. */
  const open = (cacheBytes: number): DurableStore => {
    const watched = new Proxy(database, {
      get:
        (target, name: keyof Database) =>
        async (...args: readonly unknown[]) => {
          const answer: unknown = await (target[name] as (...values: readonly unknown[]) => unknown).apply(target, [
            ...args,
          ]);
          calls.push([name, answer]);
          return answer;
        },
    });
    return new DurableStore(watched, { ...DEFAULT_STORE_OPTIONS, cacheBytes, lanes: 1 });
  };

  async function putChain(): Promise<ResponseNode> {
    const store = open(0);
    let tip = makeNode("resp_0");
    await store.put(tip);
    for (let turn = 1; turn < TURNS; turn++) {
      tip = makeNode(`resp_${turn}`, { parent: tip });
      await store.put(tip);
    }
    return tip;
  }

  test("a chain of any length is loaded in one, and reads each row once", async () => {
    const tip = await putChain();
    calls = [];
    expect(await open(0).load("acme", tip.id)).toEqual(tip);
    expect(calls.map(([name]) => name)).toEqual(["chain"]);
    const rows = calls[0]?.[1] as readonly { readonly id: string }[];
    expect(rows.map(({ id }) => id)).toEqual(chainOf(tip).map(({ id }) => id));
  });

  test("what was used last is not read again, and neither is what a fork of it stands on", async () => {
    const tip = await putChain();
    const store = open(1 << 28);
    const loaded = await store.load("acme", tip.id);
    calls = [];
    const next = makeNode("next", { parent: loaded ?? null });
    await store.put(next);
    expect(await store.load("acme", "next")).toBe(next);
    expect(await store.load("acme", tip.id)).toBe(loaded);
    expect(calls.map(([name]) => name)).toEqual(["insert", "has", "has"]);
    expect(await store.load("acme", "resp_7")).toBe(chainOf(loaded)[7]);
  });

  test("storing a turn writes one row, however long its chain", async () => {
    const tip = await putChain();
    const store = open(0);
    const loaded = await store.load("acme", tip.id);
    calls = [];
    await store.put(makeNode("next", { parent: loaded ?? null }));
    expect(calls).toEqual([["insert", ["stored"]]]);
  });
});
