import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chatName, chatTools } from "../../src/backends/chat-tools.ts";
import type { Tool } from "../../src/protocol/tools.ts";

const fn = (name: string, fields: object = {}): Tool => ({ type: "function", name, ...fields });
const custom = (name: string): Tool => ({ type: "custom", name });
const space = (name: string, ...tools: readonly Tool[]): Tool => ({ type: "namespace", name, description: "", tools });

const namesOf = (tools: readonly Tool[]) => chatTools(tools).functions.map((entry) => entry.function.name);

describe("tools of a namespace", () => {
  test("are functions whose names begin with it, and what stands behind each is known", () => {
    const { functions, behind } = chatTools([fn("read"), space("agents", fn("spawn"), custom("js"))]);
    expect(functions.map((entry) => entry.function.name)).toEqual(["read", "agents__spawn", "agents__js"]);
    expect(behind.get("agents__spawn")).toMatchObject({ kind: "function", name: "spawn", namespace: "agents" });
    expect(behind.get("agents__js")).toMatchObject({ kind: "custom", name: "js", namespace: "agents" });
  });

  test("have names that chat servers take, short or long, of whatever characters", () => {
    expect(chatName("mcp__files__", "read")).toBe("mcp__files__read");
    expect(chatName("a.b", "c")).toMatch(/^a_b__c_[0-9a-f]{8}$/);
    expect(chatName("a/b", "c")).not.toBe(chatName("a.b", "c"));
    const long = chatName("n".repeat(60), "the_end_tells_them_apart");
    expect(long).toMatch(/^n+__the_end_tells_them_apart_[0-9a-f]{8}$/);
    expect(long).toHaveLength(64);
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (namespace, name) => {
        expect(chatName(namespace, name)).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
      }),
    );
  });

  test("leave a name to the tool that was given it, and take another one themselves", () => {
    const tools = [space("a", fn("b"), fn("c")), fn("a__b")];
    const [renamed = "", kept, given] = namesOf(tools);
    expect(renamed).toMatch(/^a__b_[0-9a-f]{8}$/);
    expect([kept, given]).toEqual(["a__c", "a__b"]);
    expect(chatTools(tools).renamed).toEqual(new Map([['["a","b"]', renamed]]));
    expect(chatTools(tools).behind.get(renamed)).toMatchObject({ name: "b", namespace: "a" });
    expect(chatTools(tools).behind.get("a__b")).toMatchObject({ name: "a__b", namespace: null });
  });

  test("of two namespaces never share a name, and get the same names each time", () => {
    const word = fc.constantFrom("a", "b", "a__b", "b__c", "_", "a.b", "a b", "x".repeat(70));
    const namespaces = fc.array(fc.tuple(word, fc.uniqueArray(word, { maxLength: 4 })), { maxLength: 4 });
    fc.assert(
      fc.property(namespaces, fc.uniqueArray(fc.constantFrom("a", "a__b", "a__b__c"), { maxLength: 3 }), (all, own) => {
        const build = () => [
          ...own.map((name) => fn(name)),
          ...all.map(([name, of]) => space(name, ...of.map(custom))),
        ];
        const names = namesOf(build());
        expect(new Set(names).size).toBe(names.length);
        expect(namesOf(build())).toEqual(names);
        expect(names.slice(0, own.length)).toEqual(own);
        const pairs = new Set(all.flatMap(([name, of]) => of.map((inner) => JSON.stringify([name, inner]))));
        expect(names).toHaveLength(own.length + pairs.size);
      }),
    );
  });
});

test("a tool that is declared again is the one that was declared last, in its old place", () => {
  const { functions } = chatTools([fn("a", { description: "old" }), fn("b"), fn("a", { description: "new" })]);
  expect(functions.map((entry) => [entry.function.name, entry.function["description"]])).toEqual([
    ["a", "new"],
    ["b", undefined],
  ]);
  expect(namesOf([space("n", fn("a")), space("n", fn("b"))])).toEqual(["n__a", "n__b"]);
});

test("hosted tools are left out, also inside of namespaces, and each kind is told once", () => {
  const tools = [fn("a"), { type: "web_search" }, space("n", { type: "mcp" }, { type: "web_search" })];
  expect(chatTools(tools).omitted).toEqual(["web_search", "mcp"]);
  expect(namesOf(tools)).toEqual(["a"]);
});

test("an async tool is told to be one", () => {
  const slow = fn("slow", { description: "Looks.", async: true });
  const [described, bare, plain] = chatTools([slow, { ...custom("js"), async: true }, fn("f")]).functions;
  expect(described?.function["description"]).toMatch(/^Looks\.\n\nThis tool is asynchronous/);
  expect(bare?.function["description"]).toMatch(/^This tool is asynchronous/);
  expect(plain?.function["description"]).toBeUndefined();
  expect(described?.function).not.toHaveProperty("async");
});
