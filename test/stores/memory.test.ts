import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../src/stores/memory.ts";
import { makeNode } from "./nodes.ts";
import { recordsContract } from "./records-contract.ts";
import { storeContract } from "./store-contract.ts";

const PLENTY = 1 << 30;

storeContract("MemoryStore", async () => new MemoryStore({ budgetBytes: PLENTY }));
recordsContract("MemoryStore", async (options) => new MemoryStore({ budgetBytes: PLENTY, ...options }));

describe("only in memory", () => {
  const nodeBytes = makeNode("resp_0").bytes;

  test("a loaded node is the very node that was put, and forks share their parent", async () => {
    const store = new MemoryStore({ budgetBytes: PLENTY });
    const root = makeNode("resp_1");
    const left = makeNode("resp_2", { parent: root });
    const right = makeNode("resp_3", { parent: root });
    for (const node of [root, left, right]) await store.put(node);
    expect(await store.load("acme", "resp_1")).toBe(root);
    expect((await store.load("acme", "resp_2"))?.parent).toBe(root);
    expect((await store.load("acme", "resp_3"))?.parent).toBe(root);
  });

  test("records that were not used for longest go when their share of the budget is used up", async () => {
    const { records } = new MemoryStore({ budgetBytes: 76_000 });
    const fields = { tenant: "acme", kind: "thing", value: "x".repeat(3000), node: null, expiresAt: null };
    for (const id of ["a", "b"]) await records.write({ ...fields, id }, 0);
    await records.get({ ...fields, id: "a" });
    await records.write({ ...fields, id: "c" }, 0);
    const known = await records.list("acme", "thing", { limit: 10 });
    expect(known.map(({ id }) => id)).toEqual(["a", "c"]);
  });

  test("a record whose chain was let go is gone, rather than empty", async () => {
    const store = new MemoryStore({ budgetBytes: 2 * nodeBytes });
    await store.put(makeNode("resp_1"));
    const record = { tenant: "acme", kind: "thing", id: "a", value: 1, node: "resp_1", expiresAt: null };
    await store.records.write(record, 0);
    for (const id of ["resp_2", "resp_3"]) await store.put(makeNode(id));
    expect(await store.records.get(record)).toBeUndefined();
  });

  test("a deleted response that a record stood on goes with the record", async () => {
    const store = new MemoryStore({ budgetBytes: PLENTY });
    await store.put(makeNode("resp_1"));
    const record = { tenant: "acme", kind: "thing", id: "a", value: 1, node: "resp_1", expiresAt: null };
    await store.records.write(record, 0);
    await store.delete("acme", "resp_1");
    expect(store.bytes).toBeGreaterThan(0);
    await store.records.delete(record);
    expect(store.bytes).toBe(0);
  });

  test("one budget binds all tenants, and the least recently used chain goes first", async () => {
    const store = new MemoryStore({ budgetBytes: 3 * nodeBytes });
    for (const tenant of ["a", "b", "c"]) await store.put(makeNode("resp_1", { tenant }));
    await store.load("a", "resp_1");
    await store.put(makeNode("resp_1", { tenant: "d" }));
    const known = await Promise.all(["a", "b", "c", "d"].map((tenant) => store.load(tenant, "resp_1")));
    expect(known.map((node) => node?.tenant)).toEqual(["a", undefined, "c", "d"]);
    expect(store.bytes).toBeLessThanOrEqual(3 * nodeBytes);
  });

  test("a chain goes on after the store has let go of its earlier nodes", async () => {
    const store = new MemoryStore({ budgetBytes: 4 * nodeBytes });
    const root = makeNode("resp_1");
    await store.put(root);
    for (const id of ["resp_a", "resp_b", "resp_c", "resp_d"]) await store.put(makeNode(id));
    expect(await store.load("acme", "resp_1")).toBeUndefined();
    // A session may still hold the node that the store has let go.
    const tip = makeNode("resp_2", { parent: root });
    await store.put(tip);
    expect(await store.load("acme", "resp_2")).toBe(tip);
    expect(await store.load("acme", "resp_1")).toBeUndefined();
  });

  test("a node that cannot be continued costs the bytes of itself, and none of what was not stored", async () => {
    const store = new MemoryStore({ budgetBytes: PLENTY });
    const unstored = makeNode("resp_1", { request: { store: false } });
    const node = makeNode("resp_2", { parent: unstored });
    await store.put(node);
    expect(store.bytes).toBe(node.bytes);
  });

  test("nothing is left after 10,000 turns but what the budget allows", async () => {
    const budgetBytes = 50 * nodeBytes;
    const store = new MemoryStore({ budgetBytes });
    let tip = makeNode("resp_0");
    for (let index = 1; index <= 10_000; index++) {
      await store.put(tip);
      tip = makeNode(`resp_${index}`, { parent: index % 20 === 0 ? null : tip });
    }
    expect(store.bytes).toBeLessThanOrEqual(budgetBytes);
    expect(store.bytes).toBeGreaterThan(budgetBytes / 2);
  });

  test("closing lets go of everything", async () => {
    const store = new MemoryStore({ budgetBytes: PLENTY });
    await store.put(makeNode("resp_1"));
    await store.close();
    expect(store.bytes).toBe(0);
    expect(await store.load("acme", "resp_1")).toBeUndefined();
  });
});
