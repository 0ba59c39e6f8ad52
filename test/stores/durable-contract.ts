import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ResponseNode } from "../../src/core/node.ts";
import { parseStoreKeys } from "../../src/stores/cipher.ts";
import type { DurableStore } from "../../src/stores/durable.ts";
import { openDurableStore, type StoreOptions } from "../../src/stores/open.ts";
import { contextOf, makeNode } from "./nodes.ts";

/** Where a durable store keeps its rows, and a look at them past the store. */
export type Place = {
  readonly url: string;
  readonly query: (sql: string) => Promise<readonly Record<string, unknown>[]>;
  /** The name of the table of nodes. */
  readonly table: string;
};

const DAY = 24 * 60 * 60 * 1000;

const rowsOf = ({ query, table }: Place) => query(`SELECT id, length(content) AS size FROM ${table} ORDER BY id`);

/** What every store does that outlives its process. */
export function durableContract(name: string, makePlace: () => Promise<Place>): void {
  describe(`${name} outlives its process`, () => {
    let place: Place;
    let now: number;
    const opened = new Set<DurableStore>();
    beforeEach(async () => {
      place = await makePlace();
      now = 1_800_000_000_000;
    });
    afterEach(async () => {
      for (const store of opened) await store.close();
      opened.clear();
    });

    const open = async (options: StoreOptions = {}): Promise<DurableStore> => {
      const store = await openDurableStore(place.url, { now: () => now, memoryBytes: 0, ...options });
      opened.add(store);
      return store;
    };
    const idsOfRows = async (): Promise<readonly unknown[]> => {
      const rows = await place.query(`SELECT id FROM ${place.table} WHERE bytes > 0 ORDER BY seq`);
      return rows.map(({ id }) => id);
    };
    test("what was stored is there when it is opened again", async () => {
      const first = await open();
      const nodes = chain("a", 5);
      const broken = makeNode("b", { parent: makeNode("unstored", { request: { store: false } }) });
      for (const node of [...nodes, broken]) await first.put(node);
      expect(await first.delete("acme", "a2")).toBe(true);
      await first.close();

      const second = await open();
      expect(await second.load("acme", "a4")).toEqual(nodes[4]);
      expect(await second.load("acme", "a2")).toBeUndefined();
      expect(await second.get("acme", "b")).toEqual({ input: broken.input, response: broken.response });
      expect(await second.load("acme", "b")).toBeUndefined();
    });

    test("a store that was closed says so", async () => {
      const store = await open();
      await store.close();
      await expect(store.put(makeNode("a"))).rejects.toThrow("The store is closed.");
      await expect(store.load("acme", "a")).rejects.toThrow("The store is closed.");
    });

    test("closing waits for what is being stored", async () => {
      const store = await open();
      const nodes = Array.from({ length: 200 }, (_, index) => makeNode(`a${index}`));
      const puts = nodes.map((node) => store.put(node));
      await store.close();
      await Promise.all(puts);
      expect(await idsOfRows()).toHaveLength(200);
    });

    test("a fork adds one row, and the same instructions and tools are kept once in a chain", async () => {
      const store = await open();
      const request = { instructions: "x".repeat(50_000), tools: [{ type: "function", name: "f", parameters: {} }] };
      const root = makeNode("root", { request });
      const left = makeNode("left", { parent: root, request });
      const right = makeNode("right", { parent: left, request });
      const fork = makeNode("fork", { parent: root, request });
      for (const node of [root, left, right, fork]) await store.put(node);
      const rows = await place.query(`SELECT id, length(content) AS length FROM ${place.table} ORDER BY seq`);
      expect(rows.map(({ id, length }) => [id, Number(length) > 50_000])).toEqual([
        ["root", true],
        ["left", false],
        ["right", false],
        ["fork", false],
      ]);
      expect(await store.load("acme", "fork")).toEqual(fork);
      expect(await store.delete("acme", "root")).toBe(true);
      expect(await store.get("acme", "right")).toEqual({ input: right.input, response: right.response });
    });

    test("what a cache still holds is unknown once another server has deleted it", async () => {
      const [one, two] = [await open({ memoryBytes: 1 << 20 }), await open({ memoryBytes: 1 << 20 })];
      const node = makeNode("a");
      await one.put(node);
      expect(await two.load("acme", "a")).toEqual(node);
      expect(await two.delete("acme", "a")).toBe(true);
      expect([await one.load("acme", "a"), await one.get("acme", "a")]).toEqual([undefined, undefined]);
    });

    test("a chain that is continued from memory is the same objects all along", async () => {
      const store = await open({ memoryBytes: 1 << 20 });
      const [root, tip] = chain("a", 2);
      for (const node of [root, tip]) if (node !== undefined) await store.put(node);
      const reader = await open({ memoryBytes: 1 << 20 });
      const loaded = await reader.load("acme", "a1");
      expect(await reader.load("acme", "a1")).toBe(loaded);
      expect(await reader.load("acme", "a0")).toBe(loaded?.parent);
      const fork = makeNode("fork", { parent: root ?? null });
      await store.put(fork);
      expect((await reader.load("acme", "fork"))?.parent).toBe(loaded?.parent);
    });

    describe("when time passes", () => {
      test("an id is unknown after its time, to the millisecond, and before any sweep", async () => {
        const store = await open({ ttlMs: 30 * DAY });
        await store.put(makeNode("a"));
        now += 30 * DAY - 1;
        expect(await store.get("acme", "a")).toBeDefined();
        now += 1;
        expect([await store.get("acme", "a"), await store.load("acme", "a")]).toEqual([undefined, undefined]);
        expect(await store.delete("acme", "a")).toBe(false);
        await store.sweep();
        expect(await idsOfRows()).toEqual([]);
      });

      test("a chain that goes on keeps its old nodes as context", async () => {
        const store = await open({ ttlMs: 30 * DAY });
        const nodes = chain("a", 4);
        for (const node of nodes) {
          await store.put(node);
          now += 10 * DAY;
        }
        await store.sweep();
        expect(await known(store, ["a0", "a1", "a2", "a3"])).toEqual(["a2", "a3"]);
        expect(contextOf(await store.load("acme", "a3"))).toEqual(contextOf(nodes[3]));
        now += 30 * DAY;
        await store.sweep();
        expect(await idsOfRows()).toEqual([]);
      });

      test("a session goes on from what a sweep has let go of", async () => {
        const store = await open({ ttlMs: DAY });
        const nodes = chain("a", 3);
        for (const node of nodes) await store.put(node);
        now += 2 * DAY;
        await store.sweep();
        expect(await idsOfRows()).toEqual([]);
        const next = makeNode("next", { parent: nodes[2] ?? null });
        await store.put(next);
        expect(await store.load("acme", "next")).toEqual(next);
        expect(await known(store, ["a0", "a1", "a2"])).toEqual([]);
      });

      test("ids never end when they are told so", async () => {
        const store = await open({ ttlMs: Infinity });
        await store.put(makeNode("a"));
        now += 100_000 * DAY;
        await store.sweep();
        expect(await known(store, ["a"])).toEqual(["a"]);
      });
    });

    test("what was deleted is removed with its last descendant, however long the chain", async () => {
      const store = await open();
      const nodes = chain("a", 300);
      for (const node of nodes) await store.put(node);
      for (const node of nodes.slice(0, -1)) expect(await store.delete("acme", node.id)).toBe(true);
      await store.sweep();
      expect(await idsOfRows()).toHaveLength(300);
      expect(await store.load("acme", "a299")).toEqual(nodes[299]);
      expect(await store.delete("acme", "a299")).toBe(true);
      await store.sweep();
      expect(await idsOfRows()).toEqual([]);
    });

    test("a response that nothing stands on is removed as it is deleted", async () => {
      const store = await open();
      for (const node of chain("a", 3)) await store.put(node);
      for (const id of ["a1", "a0", "a2"]) expect(await store.delete("acme", id)).toBe(true);
      expect(await idsOfRows()).toEqual([]);
    });

    test("a tombstone outlives its content and its context, and goes after 30 days", async () => {
      const store = await open();
      const nodes = chain("a", 3);
      for (const node of nodes) await store.put(node);
      for (const id of ["a0", "a1"]) expect(await store.delete("acme", id)).toBe(true);
      now += DAY;
      expect(await store.delete("acme", "a2")).toBe(true);
      expect((await rowsOf(place)).map(({ id, size }) => [id, Number(size)])).toEqual([
        ["a0", 0],
        ["a1", 0],
        ["a2", 0],
      ]);
      now += 29 * DAY - 1;
      await store.sweep();
      for (const node of nodes) await expect(store.put(node)).rejects.toMatchObject({ why: "deleted" });
      now += 1;
      await store.sweep();
      expect((await rowsOf(place)).map(({ id }) => id)).toEqual(["a2"]);
      now += DAY;
      await store.sweep();
      expect(await rowsOf(place)).toEqual([]);
    });

    test("when there is too much, the ends of the oldest chains go, and a chain in use keeps its beginning", async () => {
      const large = { request: { metadata: { a: "b" } } };
      const content = randomBytes(15_000).toString("base64");
      const input = [{ type: "message", role: "user", content }];
      const store = await open({ maxBytes: 1_000_000 });
      const living = makeNode("living0", { input, ...large });
      await store.put(living);
      for (let index = 0; index < 60; index++) {
        const root = makeNode(`a${index}`, { input });
        await store.put(root);
        await store.put(makeNode(`b${index}`, { input, parent: root }));
      }
      const tip = makeNode("living1", { input, parent: living });
      await store.put(tip);
      await store.sweep();
      expect(await store.load("acme", "living1")).toEqual(tip);
      const ids = await idsOfRows();
      expect(ids.length).toBeGreaterThan(20);
      expect(ids.length).toBeLessThan(60);
      const firstKept = ids.findIndex((id) => id === "a59" || id === "b59");
      expect(firstKept).toBeGreaterThan(0);
      expect(ids.filter((id) => id === "a0" || id === "b0" || id === "a10" || id === "b10")).toEqual([]);
      const before = ids.length;
      await store.sweep();
      expect(await idsOfRows()).toHaveLength(before);
    });

    test("a limit that nothing fits in ends with an empty store, not with an endless sweep", async () => {
      const store = await open({ maxBytes: 1 });
      for (const node of chain("a", 200)) await store.put(node);
      await store.sweep();
      expect(await idsOfRows()).toEqual([]);
    });

    test("whatever is deleted, forked and swept, what is known is whole, and what nothing needs is gone", async () => {
      const step = fc.oneof(
        { weight: 6, arbitrary: fc.record({ kind: fc.constant("put" as const), at: fc.nat(1000) }) },
        { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete" as const), at: fc.nat(1000) }) },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait" as const), at: fc.nat(20) }) },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant("sweep" as const), at: fc.constant(0) }) },
      );
      const store = await open({ ttlMs: 30 * DAY });
      let run = 0;
      const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const tenant = `t${run++}`;
        const model = new Model();
        for (const { kind, at } of steps) {
          if (kind === "put") {
            const chosen = at % 4 === 0 ? null : (model.nodes[at % (model.nodes.length || 1)] ?? null);
            const parent = chosen !== null && model.isWhole(chosen, now - 30 * DAY) ? chosen : null;
            const node = makeNode(`n${model.nodes.length}`, { parent, tenant });
            await store.put(node);
            model.put(node, now);
          } else if (kind === "delete" && model.nodes.length > 0) {
            const id = `n${at % model.nodes.length}`;
            const [known, expected] = [await store.delete(tenant, id), model.delete(id, now - 30 * DAY)];
            if (known !== expected) throw new Error(`deleting ${id} said ${known}`);
          } else if (kind === "wait") {
            now += at * DAY;
          } else {
            await store.sweep();
          }
        }
        await store.sweep();
        for (const node of model.nodes) {
          const isKnown = model.isKnown(node.id, now - 30 * DAY);
          expect([node.id, await store.load(tenant, node.id)]).toEqual([node.id, isKnown ? node : undefined]);
        }
        const rows = await place.query(`SELECT id FROM ${place.table} WHERE tenant = '${tenant}' AND bytes > 0`);
        expect(rows.map(({ id }) => String(id)).toSorted()).toEqual(model.needed(now - 30 * DAY));
      });
      await fc.assert(property, { numRuns: 25 });
    });

    test("what is stored while everything is being swept away is whole", async () => {
      const store = await open({ ttlMs: 1 });
      const writing = new AbortController();
      const sweeping = (async () => {
        while (!writing.signal.aborted) {
          now += 10;
          await store.sweep();
        }
      })();
      const lane = async (name: string): Promise<void> => {
        let tip: ResponseNode | null = null;
        for (let turn = 0; turn < 30; turn++) {
          tip = makeNode(`${name}.${turn}`, { parent: tip });
          await store.put(tip);
        }
      };
      await Promise.all(["a", "b", "c", "d"].map(lane));
      writing.abort();
      await sweeping;
      const last = makeNode("last", { parent: makeNode("first") });
      await store.put(last.parent ?? last);
      await store.put(last);
      expect(await store.load("acme", "last")).toEqual(last);
    });

    describe("with keys", () => {
      const [old, fresh] = [`old:${secret()}`, `fresh:${secret()}`];

      test("content is unreadable without them, and comes back unchanged with them", async () => {
        const store = await open(keys(old));
        const nodes = ["a", "b"].map((id) =>
          makeNode(id, { input: [{ type: "message", role: "user", content: "canary canary" }] }),
        );
        const recording = [["t", "canary"]];
        for (const node of nodes) await store.put(node, { recording });
        expect(await store.load("acme", "a")).toEqual(nodes[0]);
        expect(await store.recording("acme", "a")).toEqual(recording);
        await store.close();
        const rows = await place.query(`SELECT key, content, recording FROM ${place.table}`);
        for (const row of rows) {
          expect(row["key"]).toBe("old");
          expect(Buffer.from(row["content"] as Uint8Array).includes("canary")).toBe(false);
          expect(Buffer.from(row["recording"] as Uint8Array).includes("canary")).toBe(false);
        }
        const without = await open();
        await expect(without.load("acme", "a")).rejects.toThrow("needs the key 'old'");
        const other = await open(keys(`old:${secret()}`));
        await expect(other.get("acme", "a")).rejects.toThrow("does not open with the key 'old'");
      });

      test("the first key encrypts, all of them decrypt, and what came before any key is still read", async () => {
        const nodes = chain("a", 3);
        const stores = [
          await open(),
          await open({ ...keys(old), trustsClear: true }),
          await open({ ...keys(fresh, old), trustsClear: true }),
        ];
        let parent: ResponseNode | null = null;
        for (const [index, store] of stores.entries()) {
          if (parent !== null) await store.load("acme", parent.id);
          const loaded: ResponseNode | undefined = parent === null ? undefined : await store.load("acme", parent.id);
          const node: ResponseNode = makeNode(`a${index}`, { parent: loaded ?? null });
          await store.put(node);
          parent = node;
        }
        expect(await stores[2]?.load("acme", "a2")).toEqual(nodes[2]);
        const rows = await place.query(`SELECT key FROM ${place.table} ORDER BY seq`);
        expect(rows.map(({ key }) => key)).toEqual([null, "old", "fresh"]);
      });

      test("a row whose key was taken away is not believed", async () => {
        const plain = await open();
        await plain.put(makeNode("a"));
        const store = await open(keys(fresh));
        await expect(store.load("acme", "a")).rejects.toThrow("in clear");
        await expect(store.get("acme", "a")).rejects.toThrow("in clear");
      });

      test("links and times that were changed are found out", async () => {
        const store = await open(keys(fresh));
        const [root, child, other] = [makeNode("a"), makeNode("x"), makeNode("y")];
        for (const node of [root, other]) await store.put(node);
        await store.put(makeNode("b", { parent: root }));
        await store.put(child);
        const id = (name: string) => `(SELECT seq FROM ${place.table} WHERE id = '${name}')`;
        const reader = await open(keys(fresh));
        await place.query(`UPDATE ${place.table} SET parent = NULL, head = NULL WHERE id = 'b'`);
        await expect(reader.load("acme", "b")).rejects.toThrow("was changed");
        await place.query(`UPDATE ${place.table} SET parent = ${id("y")} WHERE id = 'x'`);
        await expect(reader.load("acme", "x")).rejects.toThrow("was changed");
        await place.query(`UPDATE ${place.table} SET stored_at = stored_at + 1 WHERE id = 'y'`);
        await expect(reader.get("acme", "y")).rejects.toThrow("was changed");
      });

      test("content that was moved to another tenant or id does not open", async () => {
        const store = await open(keys(fresh));
        for (const id of ["a", "b"]) await store.put(makeNode(id), { recording: [id] });
        await place.query(`UPDATE ${place.table} SET tenant = 'other' WHERE id = 'a'`);
        await place.query(`UPDATE ${place.table} SET id = 'c' WHERE id = 'b'`);
        await expect(store.load("other", "a")).rejects.toThrow("does not open");
        await expect(store.recording("other", "a")).rejects.toThrow("does not open");
        await expect(store.get("acme", "c")).rejects.toThrow("does not open");
      });
    });

    describe("records", () => {
      const standing = {
        tenant: "acme",
        kind: "thing",
        id: "a",
        value: 1,
        node: "a1",
        expiresAt: null,
        about: null,
        dueAt: null,
      };

      test("are there when the store is opened again, and keep their chain from every sweep", async () => {
        const first = await open({ ttlMs: DAY });
        const nodes = chain("a", 3);
        for (const node of nodes) await first.put(node);
        const version = await first.records.write(standing, 0);
        await first.close();
        now += 2 * DAY;

        const second = await open({ ttlMs: DAY, maxBytes: 1 });
        await second.sweep();
        expect(await idsOfRows()).toEqual(["a0", "a1"]);
        expect(await second.records.get(standing)).toEqual({ ...standing, version });
        expect(await second.records.chain(standing)).toEqual(nodes[1]);
        expect(await known(second, ["a0", "a1"])).toEqual([]);
        await second.records.delete(standing);
        await second.sweep();
        expect(await idsOfRows()).toEqual([]);
      });

      test("a node that is not listed comes with its record, and goes with it", async () => {
        const store = await open();
        const [root, tip] = chain("a", 2);
        if (root === undefined || tip === undefined) throw new Error("A chain of two has two nodes.");
        await store.put(root, { listed: false, changes: [{ write: { ...standing, node: "a0" }, version: 0 }] });
        const version = (await store.records.get(standing))?.version ?? 0;
        await store.put(tip, { listed: false, changes: [{ write: standing, version }] });
        await store.put(makeNode("b"), { listed: false });
        await store.sweep();
        expect(await idsOfRows()).toEqual(["a0", "a1"]);
        expect(await store.records.delete(standing)).toBe(true);
        expect(await idsOfRows()).toEqual([]);
      });

      test("go with the response that they are about, when its time is over or there is no room", async () => {
        const store = await open({ ttlMs: DAY, maxBytes: 1 });
        for (const id of ["a", "b"]) {
          await store.put(makeNode(id));
          await store.records.write({ ...standing, id, node: null, about: id }, 0);
          now += DAY / 2;
        }
        await store.sweep();
        expect(await store.records.list("acme", "thing", { limit: 9 })).toEqual([]);
      });

      test("are swept when their time is over", async () => {
        const store = await open();
        for (let id = 0; id < 300; id++) {
          await store.records.write({ ...standing, id: `${id}`, node: null, expiresAt: now + 1 }, 0);
        }
        await store.records.write({ ...standing, node: null }, 0);
        now += 1;
        await store.sweep();
        const rows = await place.query(`SELECT id FROM ${place.table.replace("nodes", "records")}`);
        expect(rows.map(({ id }) => id)).toEqual(["a"]);
      });

      test("are encrypted as contents are, each for its own name", async () => {
        const key = `k:${secret()}`;
        const table = place.table.replace("nodes", "records");
        const store = await open(keys(key));
        await store.records.write({ ...standing, node: null, value: "canary" }, 0);
        await store.records.write({ ...standing, node: null, id: "b", value: "canary" }, 0);
        const rows = await place.query(`SELECT value FROM ${table}`);
        expect(rows.every(({ value }) => !Buffer.from(value as Uint8Array).includes("canary"))).toBe(true);
        await place.query(`UPDATE ${table} SET value = (SELECT value FROM ${table} WHERE id = 'a')`);
        expect((await store.records.get(standing))?.value).toBe("canary");
        await expect(store.records.get({ ...standing, id: "b" })).rejects.toThrow("does not open");
      });
    });

    test("a sweep goes by itself at its times, tells its failures, and stops with the store", async () => {
      const failures: unknown[] = [];
      const scheduled: { task: () => void; everyMs: number; isOver: boolean }[] = [];
      const store = await open({
        sweepEveryMs: 1234,
        schedule: (task, everyMs) => {
          const entry = { task, everyMs, isOver: false };
          scheduled.push(entry);
          return () => (entry.isOver = true);
        },
        onError: (error) => failures.push(error),
      });
      const [entry] = scheduled;
      expect(entry).toMatchObject({ everyMs: 1234, isOver: false });
      await place.query(`ALTER TABLE ${place.table} RENAME TO gone`);
      entry?.task();
      await expect(store.sweep()).rejects.toThrow(/no such table|does not exist/);
      expect(failures).toHaveLength(1);
      await store.close();
      expect(entry?.isOver).toBe(true);
    });
  });
}

/** Those of the ids that the store can load. */
async function known(store: DurableStore, ids: readonly string[]): Promise<readonly string[]> {
  const answers = await Promise.all(ids.map(async (id) => [id, await store.load("acme", id)] as const));
  return answers.filter(([, node]) => node !== undefined).map(([id]) => id);
}

function secret(): string {
  return randomBytes(32).toString("base64");
}

function keys(...words: readonly string[]): StoreOptions {
  return { keys: parseStoreKeys(words.join(",")) };
}

function chain(name: string, length: number): readonly ResponseNode[] {
  const nodes: ResponseNode[] = [];
  for (let index = 0; index < length; index++) {
    nodes.push(makeNode(`${name}${index}`, { parent: nodes.at(-1) ?? null }));
  }
  return nodes;
}

/** What a store should know, in the simplest way. */
class Model {
  readonly nodes: ResponseNode[] = [];
  readonly #storedAt = new Map<string, number>();
  readonly #deleted = new Set<string>();

  put(node: ResponseNode, at: number): void {
    this.nodes.push(node);
    this.#storedAt.set(node.id, at);
  }

  isKnown(id: string, after: number): boolean {
    return !this.#deleted.has(id) && (this.#storedAt.get(id) ?? 0) > after;
  }

  delete(id: string, after: number): boolean {
    const isKnown = this.isKnown(id, after);
    if (isKnown) this.#deleted.add(id);
    return isKnown;
  }

  /** Whether all that it stands on is there, or may be again: nothing of it was deleted for good. */
  isWhole(node: ResponseNode, after: number): boolean {
    if (this.isKnown(node.id, after)) return true;
    for (let above: ResponseNode | null = node; above !== null; above = above.parent) {
      if (this.#deleted.has(above.id)) return false;
    }
    return true;
  }

  /** Ids of what is known and of all that it stands on. */
  needed(after: number): readonly string[] {
    const ids = new Set<string>();
    for (const node of this.nodes) {
      if (!this.isKnown(node.id, after)) continue;
      for (let above: ResponseNode | null = node; above !== null; above = above.parent) ids.add(above.id);
    }
    return [...ids].toSorted();
  }
}
