import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ThinkTags, type ThinkTagsMode } from "../../src/backends/think-tags.ts";

/** What the pieces come to: the thinking and the text, each joined. */
function split(pieces: readonly string[], mode: ThinkTagsMode = "auto"): { reasoning: string; text: string } {
  const tags = new ThinkTags(mode);
  const spoken = [...pieces.flatMap((piece) => tags.push(piece)), ...tags.stop()];
  const of = (kind: string): string =>
    spoken
      .filter((each) => each.kind === kind)
      .map(({ text }) => text)
      .join("");
  return { reasoning: of("reasoning"), text: of("text") };
}

describe("thinking between tags", () => {
  test.each([
    ["<think>hmm</think>\n\nhello", "hmm", "hello"],
    ["\n<think>\nhmm\n</think>hello", "hmm", "hello"],
    ["<thinking>a < b</thinking>c", "a < b", "c"],
    ["[THINK]a[/THINK]b", "a", "b"],
    ["<think>\n\n</think>\n\nhello", "", "hello"],
    ["<think>cut", "cut", ""],
    ["<think>cut</thi", "cut</thi", ""],
    ["hello <think>no</think>", "", "hello <think>no</think>"],
    ["<thin", "", "<thin"],
    ["<b>hello</b>", "", "<b>hello</b>"],
    [" hello", "", " hello"],
    ["", "", ""],
  ])("%j, however it is cut", (answer, reasoning, text) => {
    expect(split([answer])).toEqual({ reasoning, text });
    expect(split(answer.split(""))).toEqual({ reasoning, text });
  });

  test("is told while it comes", () => {
    const tags = new ThinkTags("auto");
    expect(tags.push("<think>a b")).toEqual([{ kind: "reasoning", text: "a b" }]);
    expect(tags.push(" c</")).toEqual([{ kind: "reasoning", text: " c" }]);
    expect(tags.push("think>d")).toEqual([{ kind: "text", text: "d" }]);
    expect(tags.isOver).toBe(true);
  });

  test("may begin without a tag, or be left in the text", () => {
    expect(split(["hm", "m</think>", "hello"], "open")).toEqual({ reasoning: "hmm", text: "hello" });
    expect(split(["<think>hmm</think>hello"], "off")).toEqual({ reasoning: "", text: "<think>hmm</think>hello" });
  });

  test("loses nothing of any text", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "<", ">", "/", "think", "[", " "), maxLength: 12 });
    fc.assert(
      fc.property(text, fc.nat(), (any, place) => {
        const at = place % (any.length + 1);
        const whole = split([any]);
        expect(split([any.slice(0, at), any.slice(at)])).toEqual(whole);
        const isThinking = any.trimStart().startsWith("<think>");
        expect(isThinking || (whole.reasoning === "" && whole.text === any)).toBe(true);
      }),
    );
  });
});
