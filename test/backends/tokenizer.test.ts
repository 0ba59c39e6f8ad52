import { describe, expect, test } from "vitest";
import { Tokenizer } from "../../src/backends/tokenizer.ts";

describe("tokens are counted", () => {
  const text = "Tokens are counted by the encoding of the model: 12345, naïve, 漢字, 👍.\n\n";

  test.each([
    ["o200k_base", text, 23],
    ["cl100k_base", text, 25],
    ["o200k_base", "", 0],
    ["o200k_base", "<|endoftext|> is text", 9],
  ] as const)("by %s, as tiktoken does", async (encoding, given, tokens) => {
    expect(await new Tokenizer(encoding).count(given)).toBe(tokens);
  });

  test("in slices, which changes next to nothing", async () => {
    const long = text.repeat(1000);
    const tokens = await new Tokenizer("o200k_base").count(long);
    expect(Math.abs(tokens - 23 * 1000)).toBeLessThan(50);
  });

  test("also where a text has no end that the encoder would find by itself", async () => {
    // At a stretch this takes the encoder minutes.
    const tokens = await new Tokenizer("o200k_base").count("a".repeat(400_000));
    expect(tokens).toBeGreaterThan(40_000);
    expect(tokens).toBeLessThan(60_000);
  });
});
