import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ResponseNode } from "../../src/core/node.ts";
import { Retention } from "../../src/core/retention.ts";
import { nodeOfBytes } from "../stores/nodes.ts";

describe("a chain", () => {
  test("is let go from its end, and what is left of it goes before any other chain", () => {
    const retention = new Retention(50);
    const [a1, a2, a3] = chain("a", [10, 10, 10]);
    const b1 = nodeOfBytes("b1", null, 10);
    for (const node of [a1, a2, a3, b1]) retention.add(node);
    const [c1, c2] = chain("c", [10, 10]);
    retention.add(c1);
    retention.add(c2);
    expect(retention.get("a3")).toBeUndefined();
    expect([retention.get("a1"), retention.get("a2"), retention.get("b1")]).toEqual([a1, a2, b1]);

    const d1 = nodeOfBytes("d1", null, 10);
    const fresh = new Retention(40);
    for (const node of [a1, a2, a3, b1, c1, d1]) fresh.add(node);
    expect([fresh.get("a3"), fresh.get("a2")]).toEqual([undefined, undefined]);
    expect([fresh.get("a1"), fresh.get("b1"), fresh.get("c1"), fresh.get("d1")]).toEqual([a1, b1, c1, d1]);
  });

  test("that is used outlives one that is not", () => {
    const retention = new Retention(20);
    const a = nodeOfBytes("a", null, 10);
    const b = nodeOfBytes("b", null, 10);
    retention.add(a);
    retention.add(b);
    retention.get("a");
    retention.add(nodeOfBytes("c", null, 10));
    expect(retention.get("a")).toBe(a);
    expect(retention.get("b")).toBeUndefined();
  });

  test("whose end was let go is as good as any other once it is used again", () => {
    const retention = new Retention(30);
    const [a1, a2] = chain("a", [10, 10]);
    for (const node of [a1, a2, nodeOfBytes("b", null, 10), nodeOfBytes("c", null, 10)]) retention.add(node);
    expect(retention.get("a2")).toBeUndefined();
    expect(retention.get("a1")).toBe(a1);
    retention.add(nodeOfBytes("d", null, 10));
    expect(retention.get("b")).toBeUndefined();
    expect(retention.get("a1")).toBe(a1);
  });

  test("in use keeps all of its nodes, however old its beginning", () => {
    const retention = new Retention(1_000);
    const long = chain("long", Array<number>(50).fill(10));
    for (const [turn, node] of long.entries()) {
      retention.add(node);
      for (let other = 0; other < 10; other++) retention.add(nodeOfBytes(`${turn}.${other}`, null, 10));
    }
    for (const node of long) expect(retention.get(node.id)).toBe(node);
  });

  test("that outgrows the budget alone loses its end", () => {
    const retention = new Retention(25);
    const nodes = chain("a", [10, 10, 10]);
    for (const node of nodes) retention.add(node);
    expect(nodes.map((node) => retention.get(node.id) !== undefined)).toEqual([true, true, false]);
    expect(retention.bytes).toBe(20);
  });

  test("is counted whole when its beginning is only known through its end", () => {
    const retention = new Retention(100);
    const [first, , last] = chain("a", [10, 20, 30]);
    retention.add(last);
    expect(retention.bytes).toBe(60);
    expect(retention.get("a1")).toBeUndefined();
    retention.add(first);
    expect(retention.get("a1")).toBe(first);
    expect(retention.bytes).toBe(60);
  });
});

describe("delete", () => {
  test("makes a node unknown while its descendants still stand on it", () => {
    const retention = new Retention(100);
    const [a1, a2, a3] = chain("a", [10, 10, 10]);
    for (const node of [a1, a2, a3]) retention.add(node);
    expect(retention.delete("a2")).toBe(true);
    expect(retention.delete("a2")).toBe(false);
    expect(retention.get("a2")).toBeUndefined();
    expect(retention.get("a3")?.parent).toBe(a2);
    expect(retention.bytes).toBe(30);
    expect(retention.delete("a3")).toBe(true);
    expect(retention.bytes).toBe(10);
    expect(retention.get("a1")).toBe(a1);
  });

  test("of an unknown node changes nothing", () => {
    const retention = new Retention(100);
    expect(retention.delete("a")).toBe(false);
    expect(retention.size).toBe(0);
  });

  test("of every node leaves nothing, in whatever order", () => {
    const nodes = chain("a", [10, 10, 10, 10]);
    for (const order of [nodes, nodes.toReversed()]) {
      const retention = new Retention(100);
      for (const node of nodes) retention.add(node);
      for (const node of order) retention.delete(node.id);
      expect([retention.size, retention.bytes]).toEqual([0, 0]);
    }
  });
});

test("the same node twice is one node", () => {
  const retention = new Retention(100);
  const node = nodeOfBytes("a", null, 10);
  retention.add(node);
  retention.add(node);
  expect([retention.size, retention.bytes]).toEqual([1, 10]);
});

test("clear forgets everything, and the budget is whole again", () => {
  const retention = new Retention(20);
  for (const node of chain("a", [10, 10])) retention.add(node);
  retention.clear();
  expect([retention.size, retention.bytes, retention.get("a1")]).toEqual([0, 0, undefined]);
  for (const node of chain("b", [10, 10])) retention.add(node);
  expect(retention.size).toBe(2);
});

test("what names a node can be more than its id", () => {
  const retention = new Retention(100, (node) => `${node.tenant}/${node.id}`);
  const root = nodeOfBytes("a", null, 10);
  const other = Object.freeze({ ...root, tenant: "other" });
  retention.add(root);
  retention.add(other);
  retention.add(nodeOfBytes("b", root, 10));
  expect(retention.get("other/a")).toBe(other);
  expect(retention.get(`${root.tenant}/b`)?.parent).toBe(root);
  expect(retention.get("a")).toBeUndefined();
});

test("10,000 nodes later it is as large as it was", () => {
  const retention = new Retention(1_000);
  let tip: ResponseNode | null = null;
  for (let index = 0; index < 10_000; index++) {
    const node: ResponseNode = nodeOfBytes(`n${index}`, index % 7 === 0 ? null : tip, 10);
    retention.add(node);
    if (index % 3 === 0) retention.delete(`n${index - 1}`);
    tip = node;
  }
  expect(retention.size).toBeLessThanOrEqual(100);
  expect(retention.bytes).toBe(retention.size * 10);
});

test("any sequence of uses leaves what the model of it leaves, within the budget", () => {
  const operation = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constant("add"), at: fc.nat(), bytes: fc.integer({ min: 1, max: 40 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("add again"), at: fc.nat(), bytes: fc.constant(0) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("get"), at: fc.nat(), bytes: fc.constant(0) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete"), at: fc.nat(), bytes: fc.constant(0) }) },
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200 }), fc.array(operation, { maxLength: 60 }), (budget, operations) => {
      const retention = new Retention(budget);
      const model = new Model(budget);
      const made: ResponseNode[] = [];
      const answers: [unknown, unknown][] = [];
      for (const { kind, at, bytes } of operations) {
        // One place past the last node stands for "no parent".
        const chosen = made[at % (made.length + 1)] ?? null;
        if (kind === "add") {
          const node = nodeOfBytes(`n${made.length}`, chosen, bytes);
          made.push(node);
          retention.add(node);
          model.add(node);
        } else if (chosen !== null && kind === "add again") {
          retention.add(chosen);
          model.add(chosen);
        } else if (chosen !== null && kind === "get") {
          answers.push([retention.get(chosen.id), model.get(chosen)]);
        } else if (chosen !== null) {
          answers.push([retention.delete(chosen.id), model.delete(chosen)]);
        }
        expect(retention.bytes).toBeLessThanOrEqual(budget);
        expect([retention.bytes, retention.size]).toEqual([model.bytes, model.held().size]);
      }
      for (const node of made) answers.push([retention.get(node.id), model.get(node)]);
      for (const [actual, expected] of answers) expect(actual).toBe(expected);
    }),
    { numRuns: 500 },
  );
});

/** The same promise without any cleverness: everything is found by looking at every node. */
class Model {
  readonly #budget: number;
  readonly #known = new Set<ResponseNode>();
  /** The ends of chains, oldest use first. */
  #ends: { readonly node: ResponseNode; readonly isStump: boolean }[] = [];

  constructor(budget: number) {
    this.#budget = budget;
  }

  /** What is known, and all that it stands on. */
  held(): Set<ResponseNode> {
    const held = new Set<ResponseNode>();
    for (const known of this.#known) {
      for (let node: ResponseNode | null = known; node !== null; node = node.parent) held.add(node);
    }
    return held;
  }

  get bytes(): number {
    return [...this.held()].reduce((sum, node) => sum + node.bytes, 0);
  }

  get(node: ResponseNode): ResponseNode | undefined {
    if (!this.#known.has(node)) return undefined;
    const place = this.#ends.findIndex((end) => end.node === node);
    if (place !== -1) this.#ends.push(...this.#ends.splice(place, 1).map((end) => ({ ...end, isStump: false })));
    return node;
  }

  add(node: ResponseNode): void {
    const wasHeld = this.held().has(node);
    this.#known.add(node);
    if (wasHeld) return;
    this.#ends.push({ node, isStump: false });
    this.#settle();
    while (this.bytes > this.#budget) {
      const victim = this.#ends.find((end) => end.isStump) ?? this.#ends[0];
      if (victim === undefined) return;
      this.#known.delete(victim.node);
      this.#settle();
    }
  }

  delete(node: ResponseNode): boolean {
    const deleted = this.#known.delete(node);
    this.#settle();
    return deleted;
  }

  /** An end is what nothing else stands on; one that has just become an end is a stump. */
  #settle(): void {
    const held = this.held();
    const parents = new Set([...held].map((node) => node.parent));
    const ends = [...held].filter((node) => !parents.has(node));
    this.#ends = this.#ends.filter((end) => ends.includes(end.node));
    for (const node of ends) {
      if (!this.#ends.some((end) => end.node === node)) this.#ends.push({ node, isStump: true });
    }
  }
}

function chain<const Sizes extends readonly number[]>(
  name: string,
  sizes: Sizes,
): { [Place in keyof Sizes]: ResponseNode } {
  const nodes: ResponseNode[] = [];
  for (const bytes of sizes) nodes.push(nodeOfBytes(`${name}${nodes.length + 1}`, nodes.at(-1) ?? null, bytes));
  return nodes as { [Place in keyof Sizes]: ResponseNode };
}
