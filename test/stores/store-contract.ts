import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ResponseNode } from "../../src/core/node.ts";
import type { Store } from "../../src/core/ports.ts";
import { chainOf, contextOf, makeNode } from "./nodes.ts";

const user = (content: string) => ({ type: "message", role: "user", content });

/**
 * What every store does. `open` gives a store that holds nothing; it is closed after each test. Nodes are compared by
 * value, since most stores give back copies.
 */
export function storeContract(name: string, open: () => Promise<Store>): void {
  describe(`${name} keeps the store's contract`, () => {
    let store: Store;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(async () => {
      await store.close();
    });

    test("a node that was put is loaded, equal and frozen", async () => {
      const node = makeNode("resp_1");
      await store.put(node);
      const loaded = await store.load("acme", "resp_1");
      expect(loaded).toEqual(node);
      expect(Object.isFrozen(loaded)).toBe(true);
      expect(Object.isFrozen(loaded?.input)).toBe(true);
    });

    test("a node is there as soon as its put resolves, for every reader at once", async () => {
      const nodes = Array.from({ length: 20 }, (_, index) => makeNode(`resp_${index}`));
      const loaded = await Promise.all(
        nodes.map(async (node) => {
          await store.put(node);
          return store.load("acme", node.id);
        }),
      );
      expect(loaded).toEqual(nodes);
    });

    test("a node is loaded with its whole chain behind it", async () => {
      const root = makeNode("resp_1");
      const middle = makeNode("resp_2", { parent: root });
      const tip = makeNode("resp_3", { parent: middle });
      for (const node of [root, middle, tip]) await store.put(node);
      const loaded = await store.load("acme", "resp_3");
      expect(chainOf(loaded).map((node) => node.id)).toEqual(["resp_1", "resp_2", "resp_3"]);
      expect(loaded).toEqual(tip);
      expect(chainOf(loaded).every((node) => Object.isFrozen(node))).toBe(true);
    });

    test("a chain of 500 nodes comes back in order", async () => {
      let tip = makeNode("resp_0");
      await store.put(tip);
      for (let index = 1; index < 500; index++) {
        tip = makeNode(`resp_${index}`, { parent: tip });
        await store.put(tip);
      }
      expect(contextOf(await store.load("acme", "resp_499"))).toEqual(contextOf(tip));
    });

    test("a node is got by itself, with its own input and nothing of its chain", async () => {
      const root = makeNode("resp_1");
      const tip = makeNode("resp_2", { parent: root });
      for (const node of [root, tip]) await store.put(node);
      expect(await store.get("acme", "resp_1")).toEqual({ input: root.input, response: root.response });
      expect(await store.get("acme", "resp_2")).toEqual({ input: tip.input, response: tip.response });
    });

    test("a recording comes back as it was, apart from the node, for as long as the id is known", async () => {
      const root = makeNode("resp_1");
      const recording = [["t", "a", "\u0000 世界 👋"], { type: "item", item: { type: "x", n: [1, null] } }];
      await store.put(root, { recording });
      await store.put(makeNode("resp_2", { parent: root }));
      expect(await store.recording("acme", "resp_1")).toEqual(recording);
      expect(await store.recording("acme", "resp_2")).toBeNull();
      expect(await store.load("acme", "resp_1")).toEqual(root);
      expect(await store.recording("globex", "resp_1")).toBeUndefined();
      expect(await store.recording("acme", "resp_3")).toBeUndefined();
      await store.delete("acme", "resp_1");
      expect(await store.recording("acme", "resp_1")).toBeUndefined();
    });

    test("an id that was never put is unknown", async () => {
      await store.put(makeNode("resp_1"));
      const strange = ["", "%", "constructor", "__proto__", "resp_1\0", "\0", "\ud800", "r".repeat(10_000)];
      for (const id of ["resp_2", "resp_", "RESP_1", "resp_1 ", ...strange]) {
        const answers = [await store.load("acme", id), await store.get("acme", id), await store.delete("acme", id)];
        expect([id, ...answers]).toEqual([id, undefined, undefined, false]);
      }
    });

    test("a second put of an id changes nothing, and says so", async () => {
      const root = makeNode("resp_1");
      const tip = makeNode("resp_2", { parent: root });
      await store.put(root);
      await expect(store.put(makeNode("resp_1", { input: [user("other")] }))).rejects.toMatchObject({ why: "exists" });
      const both = await Promise.allSettled([store.put(tip), store.put(tip)]);
      expect(both.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
      expect(await store.load("acme", "resp_1")).toEqual(root);
      expect(await store.load("acme", "resp_2")).toEqual(tip);
    });

    test("a fork is two nodes with one parent", async () => {
      const root = makeNode("resp_1");
      const left = makeNode("resp_2", { parent: root });
      const right = makeNode("resp_3", { parent: root });
      for (const node of [root, left, right]) await store.put(node);
      expect(await store.load("acme", "resp_2")).toEqual(left);
      expect(await store.load("acme", "resp_3")).toEqual(right);
      expect(await store.delete("acme", "resp_2")).toBe(true);
      expect(await store.load("acme", "resp_3")).toEqual(right);
    });

    test("a chain goes on from a node that was loaded", async () => {
      await store.put(makeNode("resp_1"));
      const parent = await store.load("acme", "resp_1");
      const tip = makeNode("resp_2", { parent: parent ?? null });
      await store.put(tip);
      expect(contextOf(await store.load("acme", "resp_2"))).toEqual(contextOf(tip));
    });

    test("a node with an ancestor that was never put is kept by itself, and cannot be continued", async () => {
      const root = makeNode("resp_1");
      const unstored = makeNode("resp_2", { parent: root, request: { store: false } });
      const tip = makeNode("resp_3", { parent: unstored });
      const last = makeNode("resp_4", { parent: tip });
      for (const node of [root, tip, last]) await store.put(node);
      for (const id of ["resp_2", "resp_3", "resp_4"]) {
        expect([id, await store.load("acme", id)]).toEqual([id, undefined]);
      }
      expect(await store.load("acme", "resp_1")).toEqual(root);
      expect(await store.get("acme", "resp_2")).toBeUndefined();
      expect(await store.get("acme", "resp_3")).toEqual({ input: tip.input, response: tip.response });
      expect(await store.get("acme", "resp_4")).toEqual({ input: last.input, response: last.response });
      expect(await store.delete("acme", "resp_3")).toBe(true);
      expect(await store.get("acme", "resp_3")).toBeUndefined();
      expect(await store.get("acme", "resp_4")).toEqual({ input: last.input, response: last.response });
    });

    test("instructions and tools are those of each response, wherever they change", async () => {
      const tools = ["read", "write"].map((name) => ({ type: "function", name, parameters: { type: "object" } }));
      const one = { instructions: "Be brief.", tools };
      const two = { instructions: "Be brief.", tools: tools.slice(1) };
      const requests = [one, one, { tools: one.tools }, two, {}, {}, one, one];
      const nodes: ResponseNode[] = [];
      for (const [index, request] of requests.entries()) {
        nodes.push(makeNode(`resp_${index}`, { parent: nodes.at(-1) ?? null, request }));
      }
      nodes.push(makeNode("resp_fork", { parent: nodes[1] ?? null, request: one }));
      nodes.push(makeNode("resp_other", { parent: nodes[1] ?? null, request: two }));
      for (const node of nodes) await store.put(node);
      for (const node of nodes) {
        expect(await store.load("acme", node.id)).toEqual(node);
        const got = await store.get("acme", node.id);
        expect(JSON.stringify(got)).toBe(JSON.stringify({ input: node.input, response: node.response }));
      }
    });

    test("what continues a chain that was deleted is stored by itself, and brings nothing of it back", async () => {
      const root = makeNode("resp_1", { request: { instructions: "Be brief." } });
      const middle = makeNode("resp_2", { parent: root, request: { instructions: "Be brief." } });
      for (const node of [root, middle]) await store.put(node);
      for (const id of ["resp_2", "resp_1"]) expect(await store.delete("acme", id)).toBe(true);
      const tip = makeNode("resp_3", { parent: middle, request: { instructions: "Be brief." } });
      const last = makeNode("resp_4", { parent: tip });
      for (const node of [tip, last]) await store.put(node);
      for (const node of [tip, last]) {
        expect(await store.load("acme", node.id)).toBeUndefined();
        expect(await store.get("acme", node.id)).toEqual({ input: node.input, response: node.response });
      }
      for (const id of ["resp_2", "resp_1"]) {
        expect([await store.load("acme", id), await store.get("acme", id)]).toEqual([undefined, undefined]);
      }
    });

    test("a hundred forks that are put at once are all there", async () => {
      const root = makeNode("resp_root");
      await store.put(root);
      const forks = Array.from({ length: 100 }, (_, index) => makeNode(`resp_${index}`, { parent: root }));
      await Promise.all(forks.map((fork) => store.put(fork)));
      expect(await Promise.all(forks.map((fork) => store.load("acme", fork.id)))).toEqual(forks);
    });

    test("a parent and its child that are put at once are both there", async () => {
      const root = makeNode("resp_1");
      const tip = makeNode("resp_2", { parent: root });
      await Promise.all([store.put(root), store.put(tip)]);
      expect(await store.load("acme", "resp_1")).toEqual(root);
      expect(await store.load("acme", "resp_2")).toEqual(tip);
    });

    test("no id is known to another tenant", async () => {
      const node = makeNode("resp_1", { tenant: "acme" });
      await store.put(node);
      for (const tenant of ["other", "", "Acme", "acme ", "acm", "acme:resp_1", "4:acme"]) {
        const answers = [await store.load(tenant, "resp_1"), await store.get(tenant, "resp_1")];
        expect([tenant, ...answers]).toEqual([tenant, undefined, undefined]);
        expect([tenant, await store.delete(tenant, "resp_1")]).toEqual([tenant, false]);
      }
      expect(await store.load("acme", "resp_1")).toEqual(node);
    });

    test("tenants whose names and ids could be read as one another keep apart", async () => {
      const twins = [
        makeNode("c", { tenant: "a:b" }),
        makeNode("b:c", { tenant: "a" }),
        makeNode("a", { tenant: "b/c" }),
        makeNode("c/a", { tenant: "b" }),
        makeNode("c", { tenant: "" }),
        makeNode("c", { tenant: "a" }),
      ];
      for (const node of twins) await store.put(node);
      for (const node of twins) expect(await store.load(node.tenant, node.id)).toEqual(node);
      expect(await store.delete("a", "c")).toBe(true);
      for (const node of twins.slice(0, 5)) expect(await store.load(node.tenant, node.id)).toEqual(node);
    });

    test("a deleted node is unknown, once", async () => {
      await store.put(makeNode("resp_1"));
      expect(await store.delete("acme", "resp_1")).toBe(true);
      expect(await store.load("acme", "resp_1")).toBeUndefined();
      expect(await store.get("acme", "resp_1")).toBeUndefined();
      expect(await store.delete("acme", "resp_1")).toBe(false);
    });

    test("a deleted id cannot be put again, by itself, as context, or while descendants keep it", async () => {
      const root = makeNode("resp_1");
      const tip = makeNode("resp_2", { parent: root });
      const alone = makeNode("resp_3");
      for (const node of [root, tip, alone]) await store.put(node, { recording: ["r"] });
      for (const id of ["resp_1", "resp_3"]) expect(await store.delete("acme", id)).toBe(true);
      for (const node of [root, alone]) {
        await expect(store.put(node)).rejects.toMatchObject({ why: "deleted" });
        expect(await store.get("acme", node.id)).toBeUndefined();
        expect(await store.recording("acme", node.id)).toBeUndefined();
      }
      expect(await store.load("acme", "resp_2")).toEqual(tip);
      expect(await store.delete("acme", "resp_2")).toBe(true);
      for (const node of [root, tip]) await expect(store.put(node)).rejects.toMatchObject({ why: "deleted" });
      await store.put(makeNode("resp_1", { tenant: "other" }));
    });

    test("the descendants of a deleted node keep their context, and can be continued", async () => {
      const root = makeNode("resp_1");
      const middle = makeNode("resp_2", { parent: root });
      const tip = makeNode("resp_3", { parent: middle });
      for (const node of [root, middle, tip]) await store.put(node);
      expect(await store.delete("acme", "resp_1")).toBe(true);
      expect(await store.delete("acme", "resp_2")).toBe(true);
      const loaded = await store.load("acme", "resp_3");
      expect(contextOf(loaded)).toEqual(contextOf(tip));
      const next = makeNode("resp_4", { parent: loaded ?? null });
      await store.put(next);
      expect(contextOf(await store.load("acme", "resp_4"))).toEqual(contextOf(next));
    });

    test("unknown item types, unknown fields and any text come back unchanged", async () => {
      const input = [
        { type: "from_the_future", payload: { deep: [1, { deeper: null }], flag: false }, id: "x" },
        {
          type: "message",
          role: "user",
          phase: "final",
          content: [{ type: "encrypted_content", data: "…", detail: { n: 0.1 } }],
        },
        { type: "function_call", call_id: "c1", name: "f", arguments: '{"a": 1,  "b":"\\u0000"}' },
        { type: "function_call_output", call_id: "c1", output: "line\nline\r\n\t\u0000 \u2028 \ud83d\ude80 '\"\\ %s" },
        { type: "reasoning", summary: [], encrypted_content: "A".repeat(100_000) },
      ];
      const invention = { type: "image_generation_call", id: "ig_1", result: "AAAA", nested: { a: [true] } };
      const node = makeNode("resp_1", {
        input,
        output: [
          { type: "item", item: invention },
          { type: "text.delta", delta: "ünï © 漢字 \ud83d\udc69\u200d\ud83d\ude80" },
        ],
        request: { metadata: { a: "b" }, tools: [{ type: "web_search", odd: 1 }], text: { format: { type: "text" } } },
      });
      await store.put(node);
      const loaded = await store.load("acme", "resp_1");
      expect(JSON.stringify(loaded?.input)).toBe(JSON.stringify(input));
      expect(loaded?.response.output[0]).toEqual(invention);
      expect(loaded?.response).toEqual(node.response);
    });

    test("closing twice is harmless", async () => {
      await store.put(makeNode("resp_1"));
      await store.close();
      await store.close();
    });
  });
}
