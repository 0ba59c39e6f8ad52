import fc from "fast-check";
import { expect, test } from "vitest";
import { ChatContexts } from "../../src/backends/chat-context.ts";
import { COMMON_DIALECT } from "../../src/backends/dialect.ts";
import { pairedInput } from "../../src/core/pairing.ts";
import type { Item, Part } from "../../src/protocol/items.ts";
import { parseItems } from "../../src/protocol/input.ts";
import { open } from "../support/compactions.ts";

/**
 * Whatever part stands in whatever place of whatever item: the model is shown it, or what it comes to in text, or reads its
 * name. Each part has a mark of its own, which is looked for in the bytes of the messages.
 */

let marks = 0;
const mark = (): string => `mark${marks++}x`;
const base64 = (text: string): string => Buffer.from(text).toString("base64");

type Marked<Value> = { readonly value: Value; readonly found: readonly string[] };

/** Every kind of part that the API takes, and what of it the model must be able to find. */
const PARTS: readonly (() => Marked<Part>)[] = [
  () => marked((text) => ({ type: "input_text", text })),
  () => marked((text) => ({ type: "output_text", text, annotations: [] })),
  () => marked((text) => ({ type: "text", text })),
  () => marked((refusal) => ({ type: "refusal", refusal })),
  () => marked((name) => ({ type: "input_image", image_url: `data:image/png;base64,${name}` })),
  () => marked((name) => ({ type: "input_image", image_url: `https://a.test/${name}`, detail: "original" })),
  () => marked((file_id) => ({ type: "input_image", file_id })),
  () => marked((name) => ({ type: "computer_screenshot", image_url: `https://a.test/${name}` })),
  () =>
    marked((name) => ({ type: "input_file", filename: `${name}.pdf`, file_data: "data:application/pdf;base64,AA==" })),
  () =>
    marked((text) => ({ type: "input_file", filename: "a.txt", file_data: `data:text/plain;base64,${base64(text)}` })),
  () => marked((text) => ({ type: "input_file", filename: "a.md", file_data: base64(text) })),
  () => marked((name) => ({ type: "input_file", file_url: `https://a.test/${name}` })),
  () => marked((file_id) => ({ type: "input_file", file_id })),
  () => marked((data) => ({ type: "input_audio", input_audio: { data, format: "wav" } })),
  () => marked((url) => ({ type: "video_url", video_url: { url } })),
  () => ({ value: { type: "input_image" }, found: ["[image that cannot be shown here]"] }),
  () => ({ value: { type: "input_file" }, found: ["[file that cannot be shown here]"] }),
];

function marked<Value>(make: (mark: string) => Value): Marked<Value> {
  const name = mark();
  return { value: make(name), found: [name] };
}

const parts = fc.array(fc.nat({ max: PARTS.length - 1 }), { maxLength: 4 }).map((kinds): Marked<readonly Part[]> => {
  const all = kinds.flatMap((kind) => PARTS[kind]?.() ?? []);
  return { value: all.map(({ value }) => value), found: all.flatMap(({ found }) => found) };
});
const content = fc.oneof(
  fc.constant(null).map((): Marked<string> => marked((text) => text)),
  parts,
);

const role = fc.constantFrom("user", "assistant", "system", "developer");
const message = fc.tuple(role, content).map(
  ([as, { value, found }]): Marked<readonly Item[]> => ({
    value: [{ type: "message", role: as, content: value }],
    found,
  }),
);

const KINDS = ["function", "custom_tool"] as const;
/** A call and its output, late or at once, of a tool that is async or not; or an output that answers none. */
const tool = fc
  .tuple(fc.constantFrom(...KINDS), content, fc.constantFrom("answered", "async", "alone", "null"))
  .map(([kind, { value, found }, how]): Marked<readonly Item[]> => {
    const call_id = mark();
    const input = kind === "function" ? { arguments: "{}" } : { input: "" };
    const call = { type: `${kind}_call`, call_id, name: "f", ...input, ...(how === "async" && { async: true }) };
    const output = { type: `${kind}_call_output`, output: value };
    if (how === "answered") return { value: [call, { ...output, call_id }], found };
    const between = { type: "message", role: "user", content: "go on" };
    if (how === "async") return { value: [call, between, { ...output, call_id }, { ...output, call_id }], found };
    const name = mark();
    return { value: [{ ...output, name, ...(how === "null" && { call_id: null }) }], found: [...found, name] };
  });
const others = fc.constantFrom<() => Marked<readonly Item[]>>(
  () => marked((text) => [{ type: "shell_call_output", output: [{ stdout: text, stderr: "" }] }]),
  () => marked((text) => [{ type: "web_search_call", id: mark(), action: { type: "search", query: text } }]),
  () => marked((text) => [{ type: "image_generation_call", id: mark(), result: text }]),
  () => marked((text) => [{ type: "code_interpreter_call", id: mark(), code: text, outputs: null }]),
  () => marked((text) => [{ type: "mcp_call", id: mark(), name: "f", arguments: "{}", output: text }]),
  () => marked((text) => [{ type: "mcp_approval_response", approval_request_id: "a", approve: false, reason: text }]),
  () => marked((text) => [{ type: "agent_message", content: [{ type: "input_text", text }] }]),
  () => marked((text) => [{ type: "reasoning", summary: [], content: [{ type: "reasoning_text", text }] }]),
);
const round = fc.oneof(
  message,
  tool,
  others.map((make) => make()),
);

/** Puts the rest of one round into another, so that items come in the middle of open calls. */
function shuffle(rounds: readonly (readonly Item[])[], picks: readonly number[]): readonly Item[] {
  const waiting = rounds.map((items) => [...items]);
  const mixed: Item[] = [];
  for (let step = 0; waiting.some((items) => items.length > 0); step += 1) {
    const left = waiting.filter((items) => items.length > 0);
    const item = left[(picks[step % Math.max(1, picks.length)] ?? 0) % left.length]?.shift();
    if (item !== undefined) mixed.push(item);
  }
  return mixed;
}

test("no part of any item is lost on the way to the model", () => {
  fc.assert(
    fc.property(
      fc.array(round, { maxLength: 8 }),
      fc.array(fc.nat({ max: 7 }), { maxLength: 20 }),
      fc.constantFrom("anywhere" as const, "first" as const, "none" as const),
      (rounds, picks, system) => {
        const sent = shuffle(
          rounds.map(({ value }) => value),
          picks,
        );
        const items = pairedInput(null, parseItems(sent, "input"));
        const chat = new ChatContexts({ ...COMMON_DIALECT, system });
        const mapping = chat.messages(null, items, open);
        let step = mapping.next();
        while (!step.done) step = mapping.next();
        const text = Buffer.concat(step.value.pieces()).toString("utf8");
        const missing = rounds.flatMap(({ found }) => found).filter((each) => !text.includes(each));
        expect(missing).toEqual([]);
      },
    ),
    { numRuns: 300 },
  );
});
