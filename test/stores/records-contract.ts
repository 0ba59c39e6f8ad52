import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { NewRecord, Records, Store } from "../../src/core/ports.ts";
import { chainOf, makeNode } from "./nodes.ts";

const START = 1_800_000_000_000;

function record(id: string, fields: Partial<NewRecord> = {}): NewRecord {
  return { tenant: "acme", kind: "thing", id, value: { of: id }, node: null, expiresAt: null, ...fields };
}

/** What every store does with records. `open` gives a store that holds nothing. */
export function recordsContract(name: string, open: (options: { now: () => number }) => Promise<Store>): void {
  describe(`${name} keeps records`, () => {
    let now: number;
    let store: Store;
    let records: Records;
    beforeEach(async () => {
      now = START;
      store = await open({ now: () => now });
      records = store.records;
    });
    afterEach(async () => {
      await store.close();
    });

    test("a record comes back as it was written, by its whole name only", async () => {
      const value = { text: "ä\0\ud83d\ude00", list: [1, null, true], nested: { a: {} } };
      const version = await records.write(record("a", { value, expiresAt: START + 1 }), 0);
      expect(await records.get(record("a"))).toEqual({ ...record("a", { value, expiresAt: START + 1 }), version });
      for (const other of [record("b"), record("a", { tenant: "other" }), record("a", { kind: "other" })]) {
        expect(await records.get(other)).toBeUndefined();
        expect(await records.delete(other)).toBe(false);
      }
    });

    test("strange names are unknown, and nobody else's", async () => {
      await records.write(record("a"), 0);
      for (const id of ["", "%", "A", "a ", "\0", "\ud800", "__proto__", "a\0"]) {
        expect([id, await records.get(record(id)), await records.delete(record(id))]).toEqual([id, undefined, false]);
      }
    });

    test("whoever writes first wins, and the other one learns it", async () => {
      expect(await records.write(record("a"), 1)).toBeUndefined();
      const first = await records.write(record("a"), 0);
      expect(first).toBeGreaterThan(0);
      expect(await records.write(record("a", { value: 2 }), 0)).toBeUndefined();
      const second = await records.write(record("a", { value: 3 }), first ?? 0);
      expect(second).not.toBe(first);
      expect(await records.write(record("a", { value: 4 }), first ?? 0)).toBeUndefined();
      expect((await records.get(record("a")))?.value).toBe(3);
    });

    test("of writes at the same moment exactly one wins", async () => {
      const version = (await records.write(record("a"), 0)) ?? 0;
      const written = await Promise.all(
        Array.from({ length: 20 }, (_, value) => records.write(record("a", { value }), version)),
      );
      const [winner, ...others] = written.flatMap((outcome, value) => (outcome === undefined ? [] : [value]));
      expect(others).toEqual([]);
      expect((await records.get(record("a")))?.value).toBe(winner);
    });

    test("a record that was deleted and made again has another version", async () => {
      const first = await records.write(record("a"), 0);
      expect(await records.delete(record("a"))).toBe(true);
      expect(await records.delete(record("a"))).toBe(false);
      const second = await records.write(record("a"), 0);
      expect(second).not.toBe(first);
      expect(await records.write(record("a"), first ?? 0)).toBeUndefined();
    });

    test("a record is gone when its time is over, and may be made again", async () => {
      const version = await records.write(record("a", { expiresAt: START + 10 }), 0);
      now = START + 9;
      expect(await records.get(record("a"))).toBeDefined();
      now = START + 10;
      expect(await records.get(record("a"))).toBeUndefined();
      expect(await records.list("acme", "thing", { limit: 10 })).toEqual([]);
      expect(await records.write(record("a"), version ?? 0)).toBeUndefined();
      expect(await records.delete(record("a", { expiresAt: null }))).toBe(false);
      expect(await records.write(record("a"), 0)).toBeGreaterThan(0);
      expect((await records.get(record("a")))?.expiresAt).toBeNull();
    });

    test("records are listed by id, from any place on", async () => {
      const ids = fc.uniqueArray(fc.stringMatching(/^[a-cA-Cé_%]{1,4}$/), { maxLength: 12 });
      let kinds = 0;
      await fc.assert(
        fc.asyncProperty(ids, fc.constantFrom("", "a", "B", "b%", "_"), fc.nat(12), async (names, prefix, limit) => {
          const kind = `kind-${kinds++}`;
          for (const id of names) await records.write(record(id, { kind }), 0);
          const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
          const after = sorted[Math.floor(sorted.length / 2)] ?? "";
          const all = await records.list("acme", kind, { limit: 100 });
          expect(all.map(({ id }) => id)).toEqual(sorted);
          const some = await records.list("acme", kind, { prefix, after, limit });
          const fits = sorted.filter((id) => id.startsWith(prefix) && sorted.indexOf(id) > sorted.indexOf(after));
          expect(some.map(({ id }) => id)).toEqual(fits.slice(0, limit));
        }),
        { numRuns: 15 },
      );
    });

    test("a record stands on a stored chain, and only on one of its tenant", async () => {
      const root = makeNode("resp_1");
      const tip = makeNode("resp_2", { parent: root });
      for (const node of [root, tip]) await store.put(node);
      const standing = record("a", { node: "resp_2" });
      await records.write(standing, 0);
      const read = await records.get(standing);
      expect(read?.node).toBe("resp_2");
      expect(chainOf(read && (await records.chain(read))).map(({ id }) => id)).toEqual(["resp_1", "resp_2"]);
      await expect(records.write(record("b", { node: "resp_3" }), 0)).rejects.toThrow("resp_3");
      await expect(records.write(record("b", { node: "resp_2", tenant: "other" }), 0)).rejects.toThrow("resp_2");
      expect(await records.get(record("b"))).toBeUndefined();
      expect(await records.chain(record("b"))).toBeUndefined();
    });

    test("its chain stays when the response is deleted, and its id stays unknown", async () => {
      const root = makeNode("resp_1");
      const tip = makeNode("resp_2", { parent: root });
      for (const node of [root, tip]) await store.put(node);
      await records.write(record("a", { node: "resp_2" }), 0);
      expect(await store.delete("acme", "resp_2")).toBe(true);
      expect(await store.delete("acme", "resp_2")).toBe(false);
      expect(await store.load("acme", "resp_2")).toBeUndefined();
      expect(await store.get("acme", "resp_2")).toBeUndefined();
      expect(await records.chain(record("a", { node: "resp_2" }))).toEqual(tip);
    });

    test("a node that is not listed is there for records and descendants, and for no id", async () => {
      const root = makeNode("resp_1");
      const tip = makeNode("resp_2", { parent: root });
      await store.put(root, { listed: false });
      await records.write(record("a", { node: "resp_1" }), 0);
      expect(await store.load("acme", "resp_1")).toBeUndefined();
      expect(await store.get("acme", "resp_1")).toBeUndefined();
      expect(await store.delete("acme", "resp_1")).toBe(false);
      await store.put(tip);
      expect(chainOf(await store.load("acme", "resp_2")).map(({ id }) => id)).toEqual(["resp_1", "resp_2"]);
      expect(await records.chain(record("a", { node: "resp_1" }))).toEqual(root);
    });
  });
}
