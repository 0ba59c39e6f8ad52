import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseRecordings, readRecordings } from "../../../src/bench/import/read.ts";
import type { Recording } from "../../../src/bench/recording.ts";

const fixture = (name: string): string => readFileSync(join(import.meta.dirname, "../../fixtures/bench", name), "utf8");

/** A run in few words: the types of the items, turn by turn. */
function outline({ turns }: Recording): readonly string[] {
  return turns.map(({ input, output }) => `${input.map(name).join("+")} > ${output.map(name).join("+")}`);
}

function name({ type, role }: { readonly type: string; readonly [field: string]: unknown }): string {
  return typeof role === "string" ? role : type;
}

function parse(file: string): readonly Recording[] {
  return parseRecordings(fixture(file), "run") ?? [];
}

describe("a Codex rollout", () => {
  test("is read turn by turn, and a compaction begins another run", () => {
    const [before, after, ...more] = parse("codex.jsonl");
    expect(more).toEqual([]);
    expect(before).toMatchObject({ id: "run", model: "gpt-5.5", instructions: "You are a coding agent.", tools: [] });
    expect(before && outline(before)).toEqual([
      "developer+user > reasoning+function_call+custom_tool_call",
      "function_call_output+custom_tool_call_output > assistant",
    ]);
    expect(after?.id).toBe("run#2");
    expect(JSON.stringify(after?.turns[0]?.input)).toContain("Summary of before.");
  });

  test("keeps items as they are, encrypted reasoning included", () => {
    expect(parse("codex.jsonl")[0]?.turns[0]?.output[0]).toEqual({
      type: "reasoning",
      summary: [{ type: "summary_text", text: "Look first." }],
      encrypted_content: "gAAA",
    });
  });

  test("has outputs filled in for calls that were left alone, and survives a line that was cut off", () => {
    const after = parse("codex.jsonl")[1];
    expect(after?.turns[1]?.input[0]).toEqual({ type: "function_call_output", call_id: "call_3", output: "aborted" });
  });

  test("is read in the form that it had before there were envelopes", () => {
    const [run] = parse("codex-2024.jsonl");
    expect(run).toMatchObject({ instructions: "You are a coding agent." });
    expect(run && outline(run)).toEqual(["user > assistant"]);
  });
});

describe("a Claude Code transcript", () => {
  test("joins the blocks of one message, with results between them, and leaves subagents out", () => {
    const [before, after, ...more] = parse("claude-code.jsonl");
    expect(more).toEqual([]);
    expect(before?.model).toBe("claude-opus-4-5");
    expect(before && outline(before)).toEqual([
      "user > reasoning+function_call+function_call",
      "function_call_output+function_call_output > assistant",
    ]);
    expect(JSON.stringify(before)).not.toContain("Beside.");
    expect(after && outline(after)).toEqual(["user > assistant"]);
    expect(JSON.stringify(after)).not.toContain("API Error");
  });

  test("keeps pictures", () => {
    const output = parse("claude-code.jsonl")[0]?.turns[1]?.input[1]?.["output"];
    expect(output).toEqual([
      { type: "input_text", text: "a picture" },
      { type: "input_image", image_url: "data:image/png;base64,iVBO" },
    ]);
  });
});

test("a session of pi is read message by message", () => {
  const [run] = parse("pi.jsonl");
  expect(run?.model).toBe("claude-sonnet-4-5");
  expect(run && outline(run)).toEqual([
    "user > reasoning+assistant+function_call",
    "function_call_output > assistant",
    "user > assistant",
  ]);
  expect(run?.turns[0]?.output[2]).toEqual({
    type: "function_call",
    call_id: "call_1",
    name: "bash",
    arguments: '{"command":"ls"}',
  });
});

test("chat conversations are read one to a line, with tools and instructions", () => {
  const [first, second] = parse("chat.jsonl");
  expect(first).toMatchObject({ id: "run:1", model: "gpt-4o", instructions: "Be brief." });
  expect(first?.tools).toEqual([
    { type: "function", name: "look", description: "Looks.", parameters: { type: "object", properties: {} } },
  ]);
  expect(first && outline(first)).toEqual(["user > reasoning+function_call", "function_call_output > assistant"]);
  expect(second && outline(second)).toEqual(["user > assistant"]);
});

test("a bare list of chat messages is one conversation", () => {
  const text = JSON.stringify([
    { role: "user", content: "Hello" },
    { role: "assistant", content: "Hi." },
  ]);
  expect((parseRecordings(text, "run") ?? []).map(outline)).toEqual([["user > assistant"]]);
});

test("a trace is taken as it is", () => {
  const trace = { id: "t", model: "m", instructions: "", tools: [], turns: [{ input: [], output: [] }] };
  expect(parseRecordings(JSON.stringify(trace), "run")).toEqual([trace]);
});

test("a format that is named goes before what the file looks like", () => {
  expect(parseRecordings(fixture("pi.jsonl"), "run", "chat")).toEqual([]);
});

test("a folder is read with all that is below it; what is not a run in it does no harm", () => {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "2026"));
  writeFileSync(join(folder, "2026", "one.jsonl"), fixture("pi.jsonl"));
  writeFileSync(join(folder, "package.json"), '{"name": "not a run"}');
  expect(readRecordings(folder).map(({ id }) => id)).toEqual(["one"]);
});

test("files that hold no run are told apart from files that are not there", () => {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "notes.json");
  writeFileSync(file, '{"name": "not a run"}');
  expect(() => readRecordings(file)).toThrow("is in no format that is known (trace, codex, claude-code, pi, chat)");
  expect(() => readRecordings(join(folder, "none"))).toThrow("cannot be read");
  expect(() => readRecordings(folder)).toThrow("holds no turn of a model");
});
