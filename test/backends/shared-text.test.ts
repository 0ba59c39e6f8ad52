import fc from "fast-check";
import { expect, test } from "vitest";
import { ChatContexts } from "../../src/backends/chat-context.ts";
import { COMMON_DIALECT } from "../../src/backends/dialect.ts";
import { LONG_TEXT } from "../../src/backends/shared-text.ts";
import type { Item } from "../../src/protocol/items.ts";

/** Maps items in a request of their own; they stand in the request and may be changed by it. */
function map(items: readonly Item[]): string {
  const mapping = new ChatContexts({ ...COMMON_DIALECT, reasoning: "none" }).messages(null, items, () => {
    throw new Error("no compaction here");
  });
  for (;;) {
    const { done, value } = mapping.next();
    if (done) return Buffer.concat(value.pieces()).toString("utf8");
  }
}

/** Whether the field is read from elsewhere. */
function isShared(owner: object, field: string): boolean {
  return Object.getOwnPropertyDescriptor(owner, field)?.get !== undefined;
}

const long = fc
  .tuple(
    fc.string({ unit: "binary", minLength: 1, maxLength: 20 }),
    fc.constantFrom("", "é", "\ud83d\ude00", "\ud83d", '"\\\n'),
  )
  .map(([text, more]) => `${text}${more}`.repeat(Math.ceil(LONG_TEXT / (text.length + more.length))));
const text = fc.oneof(long, fc.string({ maxLength: 20 }));
const part = fc.oneof(
  text.map((value) => ({ type: "input_text", text: value })),
  text.map((value) => ({ type: "input_image", image_url: `data:image/png;base64,${value}` })),
);
const content = fc.oneof(text, fc.array(part, { maxLength: 3 }));
const item: fc.Arbitrary<Item> = fc.oneof(
  fc.record({ type: fc.constant("message"), role: fc.constantFrom("user", "system"), content }),
  fc.record({ type: fc.constant("function_call_output"), call_id: fc.constant("call_1"), output: content }),
);

test("an item says what it said before its text was shared, and maps to the same messages again", () => {
  fc.assert(
    fc.property(fc.array(item, { maxLength: 6 }), (items) => {
      const copy = structuredClone(items);
      const json = JSON.stringify(items);
      const messages = map(items);
      expect(items).toEqual(copy);
      expect(JSON.stringify(items)).toBe(json);
      expect(JSON.stringify(items.map((each) => ({ ...each })))).toBe(json);
      expect(map(items)).toBe(messages);
      expect(map(copy)).toBe(messages);
    }),
    { numRuns: 60 },
  );
});

test("long texts are shared: of messages, of their only part, of images and of tool outputs", () => {
  const value = "ü".repeat(LONG_TEXT);
  const parts = [{ type: "input_text", text: value }];
  const image = { type: "input_image", image_url: `data:${value}` };
  const call = { type: "function_call", call_id: "call_1", name: "f", arguments: "{}" };
  const output = { type: "function_call_output", call_id: "call_1", output: value };
  const message = { type: "message", role: "user", content: value };
  map([message, { type: "message", role: "user", content: parts }, call, output]);
  map([{ type: "message", role: "user", content: [{ type: "input_text", text: "Look." }, image] }]);
  expect([isShared(message, "content"), isShared(parts[0] ?? {}, "text"), isShared(output, "output")]).toEqual([
    true,
    true,
    true,
  ]);
  expect(isShared(image, "image_url")).toBe(true);
});

test("short texts, and those of frozen items, are left alone", () => {
  const short = { type: "message", role: "user", content: "x".repeat(100) };
  const frozen = Object.freeze({ type: "message", role: "user", content: "x".repeat(LONG_TEXT) });
  map([short, frozen]);
  expect([isShared(short, "content"), isShared(frozen, "content")]).toEqual([false, false]);
});
