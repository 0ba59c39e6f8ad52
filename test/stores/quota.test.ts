import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ResponseNode } from "../../src/core/node.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { openDurableStore } from "../../src/stores/open.ts";
import { type MeteredStore, QuotaStore } from "../../src/stores/quota.ts";
import { answer, Gate } from "../../src/testing/index.ts";
import { makeEngine, turn } from "../core/harness.ts";
import { TestPostgres } from "../support/postgres.ts";
import { makeNode } from "./nodes.ts";

const KIB = 1024;

const nodeOf = (id: string, tenant: string, kib = 10, parent: ResponseNode | null = null): ResponseNode =>
  makeNode(id, { tenant, parent, input: [{ type: "message", role: "user", content: "x".repeat(kib * KIB) }] });

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: { readonly code?: string }) => error.code,
  );

function quotaContract(name: string, open: () => Promise<MeteredStore>): void {
  describe(`a quota of ${name}`, () => {
    test("refuses what a tenant stores beyond its part, keeps all that it has stored, and binds no other", async () => {
      const inner = await open();
      const store = new QuotaStore(inner, { bytes: 500 * KIB, tenantBytes: 50 * KIB }, () => Date.now());
      const kept: string[] = [];
      let code: unknown = null;
      for (let index = 0; code === null && index < 20; index += 1) {
        code = await codeOf(store.put(nodeOf(`resp_${index}`, "a")));
        if (code === null) kept.push(`resp_${index}`);
      }
      expect([code, kept.length]).toEqual(["tenant_storage_exceeded", 4]);
      for (const id of kept) expect(await store.load("a", id)).toBeDefined();
      expect(await codeOf(store.put(nodeOf("resp_0", "b")))).toBeNull();
      await store.close();
    });

    test("refuses what all of them store beyond it", async () => {
      const store = new QuotaStore(await open(), { bytes: 45 * KIB, tenantBytes: 30 * KIB }, () => Date.now());
      for (const tenant of ["a", "b"]) await store.put(nodeOf("resp_0", tenant, 15));
      expect(await codeOf(store.put(nodeOf("resp_0", "c", 15)))).toBe("server_storage_exceeded");
      await store.close();
    });

    test("lets everything be read and deleted when it is used up, and takes new responses after that", async () => {
      const store = new QuotaStore(await open(), { bytes: Infinity, tenantBytes: 25 * KIB }, () => Date.now());
      await store.put(nodeOf("resp_0", "a"));
      await store.put(nodeOf("resp_1", "a"));
      expect(await codeOf(store.put(nodeOf("resp_2", "a")))).toBe("tenant_storage_exceeded");
      expect(await store.get("a", "resp_0")).toBeDefined();
      expect(await store.delete("a", "resp_0")).toBe(true);
      expect(await codeOf(store.put(nodeOf("resp_3", "a")))).toBeNull();
      await store.close();
    });

    test("counts what is there, whatever is put, continued and deleted, and nothing when all has been deleted", async () => {
      const step = fc.record({
        tenant: fc.constantFrom("a", "b"),
        kib: fc.nat(20),
        deletes: fc.boolean(),
        on: fc.nat(),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
          const store = await open();
          const nodes: ResponseNode[] = [];
          const kept = new Set<ResponseNode>();
          for (const [index, { tenant, kib, deletes, on }] of steps.entries()) {
            const mine = [...kept].filter((node) => node.tenant === tenant);
            const parent = mine[on % (mine.length + 1)] ?? null;
            if (deletes && parent !== null) {
              await store.delete(tenant, parent.id);
              kept.delete(parent);
            } else {
              const node = nodeOf(`resp_${index}`, tenant, kib, parent);
              await store.put(node);
              nodes.push(node);
              kept.add(node);
            }
            const [a, b] = [await store.usage("a"), await store.usage("b")];
            expect(a.tenant + b.tenant).toBe(a.all);
            const least = [...kept]
              .filter((node) => node.tenant === "a")
              .reduce((sum, node) => sum + contentOf(node), 0);
            expect(a.tenant).toBeGreaterThanOrEqual(least);
          }
          for (const node of kept) await store.delete(node.tenant, node.id);
          // What remembers a deleted id is all that is left.
          expect((await store.usage("a")).all).toBeLessThanOrEqual(nodes.length * 256);
          await store.close();
        }),
        { numRuns: 20 },
      );
    });
  });
}

/** Bytes of a node's input, without anything around it. */
function contentOf({ input }: ResponseNode): number {
  return input.reduce((sum, { content }) => sum + String(content).length, 0);
}

quotaContract("memory", async () => new MemoryStore({ budgetBytes: 1 << 30 }));

describe("in a file", () => {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-quota-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  let count = 0;
  quotaContract("SQLite", () => openDurableStore(`sqlite:${join(folder, `${(count += 1)}.db`)}`));
});

describe.skipIf(TestPostgres.missing !== null)(`in PostgreSQL${TestPostgres.whySkipped}`, () => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await TestPostgres.start();
  });
  afterAll(() => server.stop());
  quotaContract("PostgreSQL", async () => openDurableStore(await server.emptyPlace(), { connections: 2 }));
});

describe("a turn that is to be stored", () => {
  const quota = { bytes: Infinity, tenantBytes: 40 * KIB };
  const big = [{ type: "message", role: "user", content: "x".repeat(15 * KIB) }];

  test("is refused when the quota is used up, before its model is called; unstored ones go on", async () => {
    const { open, scripted, engine } = makeEngine({ store: full(), steps: [answer("a")] });
    const session = open();
    expect(await turn(session).code()).toBe("tenant_storage_exceeded");
    const conversations = engine.conversations("acme", engine.memory.of("acme").open());
    expect(await codeOf(conversations.create({ items: [], metadata: {} }))).toBe("tenant_storage_exceeded");
    expect(scripted.calls).toHaveLength(0);
    expect(await turn(session, { store: false }).code()).toBe("completed");
  });

  test("fails when its response does not fit any more, and nothing that was stored is lost", async () => {
    const store = new QuotaStore(new MemoryStore({ budgetBytes: 1 << 30 }), quota, Date.now);
    const gate = new Gate();
    const { open } = makeEngine({ store, steps: [answer("a"), [gate, ...(answer("y".repeat(20 * KIB)) as [])]] });
    const session = open();
    const first = await turn(session, { input: big }).response();
    const second = turn(session, { input: big });
    gate.open();
    expect(await second.code()).toBe("tenant_storage_exceeded");
    expect(await store.load("acme", first.id)).toBeDefined();
  });
});

/** A store whose tenants have used up what they may store. */
function full(): QuotaStore {
  return new QuotaStore(new MemoryStore({ budgetBytes: 1 << 30 }), { bytes: Infinity, tenantBytes: 0 }, Date.now);
}
