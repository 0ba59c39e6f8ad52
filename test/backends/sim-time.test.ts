import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SimBackend, type SimOptions } from "../../src/backends/sim.ts";
import { open } from "./sim-conversation.ts";

describe("time", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const TEN_WORDS = "Reply with exactly: one two three four five six seven eight nine ten";

  /** Listens in the background, noting when each text came. */
  function clocked(options: SimOptions, signal?: AbortSignal) {
    const start = performance.now();
    const heard: [number, string][] = [];
    const end = (async () => {
      for await (const batch of open(new SimBackend(options), { input: TEN_WORDS }, signal)) {
        const text = batch.map((event) => (event.type === "text.delta" ? event.delta : "")).join("");
        if (text !== "") heard.push([performance.now() - start, text]);
      }
    })();
    return { heard, end };
  }

  test("passes before the first token, and between tokens", async () => {
    const { heard, end } = clocked({ delayMs: 500, tokensPerSecond: 10 });
    await vi.advanceTimersByTimeAsync(499);
    expect(heard).toEqual([]);
    await vi.advanceTimersByTimeAsync(201);
    expect(heard).toEqual([
      [500, "one"],
      [600, " two"],
      [700, " three"],
    ]);
    await vi.advanceTimersByTimeAsync(700);
    await end;
    expect(heard.at(-1)).toEqual([1400, " ten"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("that is short between tokens sends those that are due together", async () => {
    const { heard, end } = clocked({ tokensPerSecond: 4_000 });
    await vi.advanceTimersByTimeAsync(10);
    await end;
    expect(heard.map(([, text]) => text).join("")).toBe("one two three four five six seven eight nine ten");
    expect(heard.length).toBeLessThan(10);
  });

  test("does not matter when nothing was set", async () => {
    const { heard, end } = clocked({});
    await end;
    expect(heard).toEqual([[0, "one two three four five six seven eight nine ten"]]);
  });

  test("ends at once with an abort, and leaves no timer", async () => {
    for (const options of [{ delayMs: 60_000 }, { tokensPerSecond: 0.01 }]) {
      const abort = new AbortController();
      const { heard, end } = clocked(options, abort.signal);
      await vi.advanceTimersByTimeAsync(1);
      expect(vi.getTimerCount()).toBe(1);
      abort.abort();
      await end;
      expect(vi.getTimerCount()).toBe(0);
      expect(heard.length).toBeLessThanOrEqual(1);
    }
  });

  test("is not waited for once the signal has been aborted before", async () => {
    const { heard, end } = clocked({ delayMs: 60_000 }, AbortSignal.abort());
    await end;
    expect(heard).toEqual([]);
  });
});
