import { describe, expect, test, vi } from "vitest";
import { ModelRegistry } from "../../src/backends/registry.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { ScriptedBackend } from "../../src/testing/index.ts";

/** A backend that lists what it is told to, and counts how often it was asked. */
class Listing extends ScriptedBackend {
  asked = 0;
  names: readonly string[] | Error;

  constructor(names: readonly string[] | Error) {
    super();
    this.names = names;
  }

  override models(): Promise<readonly string[]> {
    this.asked += 1;
    return this.names instanceof Error ? Promise.reject(this.names) : Promise.resolve(this.names);
  }
}

function open(
  names: readonly string[] | Error,
  options: { models?: Record<string, string>; defaultModel?: string } = {},
) {
  const backend = new Listing(names);
  const { models = {}, defaultModel = null } = options;
  const registry = new ModelRegistry({ backend, models: new Map(Object.entries(models)), defaultModel });
  return { backend, registry, resolve: async (name: string) => (await registry.resolve(name)).model };
}

describe("without a default", () => {
  test("every name is passed on as it is, and the backend's own are listed", async () => {
    const { registry, resolve } = open(["a", "b"]);
    expect(await resolve("anything")).toBe("anything");
    expect(await registry.list()).toEqual(["a", "b"]);
  });

  test("with entries only those are served", async () => {
    const { registry, resolve } = open(["a", "b"], { models: { x: "a" } });
    expect(await resolve("x")).toBe("a");
    expect(() => registry.resolve("a")).toThrow(ApiError);
    expect(await registry.list()).toEqual(["x"]);
  });

  test("an entry for all others serves them, by one name or by their own", async () => {
    const one = open(["a", "b"], { models: { x: "a", "*": "b" } });
    expect(await one.resolve("gpt-5.5")).toBe("b");
    expect(await one.registry.list()).toEqual(["x"]);
    const own = open(["a", "b"], { models: { x: "a", "*": "*" } });
    expect(await own.resolve("b")).toBe("b");
    expect(await own.registry.list()).toEqual(["x", "a", "b"]);
  });
});

describe("a default model", () => {
  test("stands in for names that nobody knows, and for no others", async () => {
    const { registry, resolve } = open(["a", "b"], { models: { x: "a" }, defaultModel: "b" });
    expect(await Promise.all(["x", "a", "b", "gpt-5.5"].map(resolve))).toEqual(["a", "a", "b", "b"]);
    expect(await registry.list()).toEqual(["x", "b", "a"]);
  });

  test("is served, and listed, by a backend that lists nothing", async () => {
    for (const names of [[], new Error("no list")]) {
      const { registry, resolve } = open(names, { defaultModel: "b" });
      expect(await Promise.all(["b", "gpt-5.5"].map(resolve))).toEqual(["b", "b"]);
      expect(await registry.list()).toEqual(["b"]);
    }
  });

  test("costs one question to the backend in a minute, and no turn waits for the second", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const { backend, registry, resolve } = open(["a"], { defaultModel: "a" });
      expect(await Promise.all([resolve("new"), resolve("gpt-5.5")])).toEqual(["a", "a"]);
      expect(await resolve("gpt-5.5")).toBe("a");
      expect(backend.asked).toBe(1);
      backend.names = ["a", "new"];
      vi.advanceTimersByTime(60_000);
      expect(registry.resolve("new")).toMatchObject({ model: "a" });
      await registry.list();
      expect(registry.resolve("new")).toMatchObject({ model: "new" });
      expect(backend.asked).toBe(2);
    } finally {
      vi.useRealTimers();
    }
  });
});
