import { describe, expect, test } from "vitest";
import { commitNode } from "../../src/core/node.ts";
import type { Item } from "../../src/protocol/items.ts";
import { makeNode } from "../stores/nodes.ts";

describe("a committed node", () => {
  test("is frozen, and so is its input", () => {
    const node = makeNode("resp_1");
    expect(Object.isFrozen(node)).toBe(true);
    expect(Object.isFrozen(node.input)).toBe(true);
    expect(Object.isFrozen(node.response)).toBe(true);
    expect(Object.isFrozen(node.response.output)).toBe(true);
  });

  test("holds the very input that the backend saw", () => {
    const input: readonly Item[] = [{ type: "message", role: "user", content: "Hi" }];
    const { id, tenant, response } = makeNode("resp_1");
    expect(commitNode({ id, tenant, parent: null, input, response }).input).toBe(input);
  });

  test("shares its parent with its siblings", () => {
    const root = makeNode("resp_1");
    const [left, right] = [makeNode("resp_2", { parent: root }), makeNode("resp_3", { parent: root })];
    expect(left.parent).toBe(root);
    expect(right.parent).toBe(root);
  });

  test("counts its own bytes, and not those of its ancestors", () => {
    const small = makeNode("resp_1", { input: [] });
    const large = makeNode("resp_2", { input: [{ type: "message", role: "user", content: "x".repeat(100_000) }] });
    const child = makeNode("resp_3", { input: [], parent: large });
    expect(small.bytes).toBeGreaterThan(1_000);
    expect(small.bytes).toBeLessThan(3_000);
    expect(large.bytes - small.bytes).toBeGreaterThan(100_000);
    expect(large.bytes - small.bytes).toBeLessThan(101_000);
    expect(child.bytes).toBe(small.bytes);
  });

  test("counts every value that an item of whatever type holds", () => {
    const input = [{ type: "x", a: [null, true, 1.5, { b: "y".repeat(1_000) }] }];
    expect(makeNode("resp_1", { input }).bytes - makeNode("resp_1", { input: [] }).bytes).toBeGreaterThan(1_000);
  });
});
