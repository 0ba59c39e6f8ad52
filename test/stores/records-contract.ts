import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { NewRecord, Records, Store } from "../../src/core/ports.ts";
import { chainOf, makeNode } from "./nodes.ts";

const START = 1_800_000_000_000;

function record(id: string, fields: Partial<NewRecord> = {}): NewRecord {
  return {
    tenant: "acme",
    kind: "thing",
    id,
    value: { of: id },
    node: null,
    expiresAt: null,
    about: null,
    dueAt: null,
    ...fields,
  };
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

    test("changes of several records are made together or not at all", async () => {
      const first = (await records.write(record("a"), 0)) ?? 0;
      const outdated = [
        { write: record("b"), version: 0 },
        { write: record("a", { value: 2 }), version: first + 1 },
      ];
      expect(await records.apply(outdated)).toBeUndefined();
      expect(await records.get(record("b"))).toBeUndefined();
      expect(
        await records.apply([
          { write: record("b"), version: 0 },
          { remove: record("c"), version: 7 },
        ]),
      ).toBeUndefined();
      const versions = await records.apply([
        { write: record("a", { value: 2 }), version: first },
        { write: record("b"), version: 0 },
      ]);
      expect([(await records.get(record("a")))?.version, (await records.get(record("b")))?.version]).toEqual(versions);
      expect(await records.apply([{ remove: record("a"), version: versions?.[0] ?? 0 }])).toEqual([]);
      expect(await records.get(record("a"))).toBeUndefined();
    });

    test("a node goes in with its changes, or neither does", async () => {
      const version = (await records.write(record("lease", { value: 1 }), 0)) ?? 0;
      const changes = (seen: number, id: string) => [
        { remove: record("lease"), version: seen },
        { write: record("name", { node: id }), version: 0 },
      ];
      const late = store.put(makeNode("resp_1"), { changes: changes(version + 1, "resp_1") });
      await expect(late).rejects.toMatchObject({ why: "outdated" });
      expect(await store.get("acme", "resp_1")).toBeUndefined();
      expect([await records.get(record("lease")), await records.get(record("name"))]).toMatchObject([
        { version },
        undefined,
      ]);
      await store.put(makeNode("resp_1"), { changes: changes(version, "resp_1") });
      expect(await store.get("acme", "resp_1")).toBeDefined();
      expect(await records.get(record("lease"))).toBeUndefined();
      expect((await records.get(record("name")))?.node).toBe("resp_1");
      const again = store.put(makeNode("resp_2"), { changes: changes(version, "resp_2") });
      await expect(again).rejects.toMatchObject({ why: "outdated" });
    });

    test("of puts under one lease exactly one goes in", async () => {
      const version = (await records.write(record("lease"), 0)) ?? 0;
      const puts = Array.from({ length: 10 }, (_, index) =>
        store.put(makeNode(`resp_${index}`), { changes: [{ remove: record("lease"), version }] }),
      );
      const ends = (await Promise.allSettled(puts)).map(({ status }) => status);
      expect(ends.filter((status) => status === "fulfilled")).toHaveLength(1);
      const stored = await Promise.all(ends.map((_, index) => store.get("acme", `resp_${index}`)));
      expect(stored.map((found) => (found === undefined ? "rejected" : "fulfilled"))).toEqual(ends);
    });

    test("deleting a response takes the records about it, also before it is stored, and no put follows", async () => {
      const about = (id: string, response: string, tenant = "acme") => record(id, { about: response, tenant });
      for (const name of [
        about("a", "resp_1"),
        about("b", "resp_1"),
        about("c", "resp_2"),
        about("d", "resp_1", "other"),
      ])
        await records.write(name, 0);
      const lease = await records.get(record("a"));
      expect(await store.delete("acme", "resp_1")).toBe(true);
      expect((await records.list("acme", "thing", { limit: 9 })).map(({ id }) => id)).toEqual(["c"]);
      expect(await records.get(record("d", { tenant: "other" }))).toBeDefined();
      const put = store.put(makeNode("resp_1"), { changes: [{ remove: record("a"), version: lease?.version ?? 0 }] });
      await expect(put).rejects.toMatchObject({ why: "deleted" });
      await expect(store.put(makeNode("resp_1"))).rejects.toMatchObject({ why: "deleted" });
      await store.put(makeNode("resp_2"));
      expect(await store.delete("acme", "resp_2")).toBe(true);
      expect(await records.get(record("c"))).toBeUndefined();
      expect(await store.delete("acme", "resp_2")).toBe(false);
    });

    test("a put and a deletion at the same moment leave the one or the other, and never both", async () => {
      for (let round = 0; round < 20; round += 1) {
        const id = `resp_${round}`;
        const lease = record(id, { kind: "run", about: id });
        const version = (await records.write(lease, 0)) ?? 0;
        const put = store.put(makeNode(id), { changes: [{ remove: lease, version }] }).then(
          () => true,
          () => false,
        );
        const [isPut, isDeleted] = await Promise.all([put, store.delete("acme", id)]);
        expect([id, isPut || isDeleted, await records.get(lease)]).toEqual([id, true, undefined]);
        expect([id, (await store.get("acme", id)) === undefined]).toEqual([id, isDeleted]);
      }
    });

    test("kinds of records about a response can be removed together", async () => {
      for (const kind of ["run", "part", "claim"]) await records.write(record(kind, { kind, about: "resp_1" }), 0);
      await records.apply([{ removeAbout: "resp_1", tenant: "acme", kinds: ["run", "part"] }]);
      expect(await records.get(record("run", { kind: "run" }))).toBeUndefined();
      expect(await records.get(record("claim", { kind: "claim" }))).toBeDefined();
    });

    test("records are due when their time has come, of all tenants, the longest due first", async () => {
      await records.write(record("a", { dueAt: START + 2 }), 0);
      await records.write(record("b", { dueAt: START + 1, tenant: "other" }), 0);
      await records.write(record("c", { dueAt: START + 3 }), 0);
      await records.write(record("d", { dueAt: START, kind: "other" }), 0);
      await records.write(record("e"), 0);
      const due = async (at: number, limit = 9) => (await records.due("thing", at, limit)).map(({ id }) => id);
      expect([await due(START), await due(START + 2), await due(START + 9, 1)]).toEqual([[], ["b", "a"], ["b"]]);
      const [first] = await records.due("thing", START + 1, 1);
      expect(first).toMatchObject(record("b", { dueAt: START + 1, tenant: "other" }));
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
