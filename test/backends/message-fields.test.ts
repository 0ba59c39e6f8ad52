import { expect, test } from "vitest";
import { joinFields, MessageFields } from "../../src/backends/message-fields.ts";

const read = (...deltas: readonly object[]) => {
  const fields = new MessageFields("here");
  for (const delta of deltas) fields.read(delta as Readonly<Record<string, unknown>>);
  return fields.take().map((event) => (event.type === "opaque" ? event.fields : event.type));
};

test("details come back as they came; a text or a summary in pieces is one", () => {
  const pieces = [
    { type: "reasoning.text", text: "a", index: 0, format: "f" },
    { type: "reasoning.text", text: "b", index: 0, signature: null },
    { type: "reasoning.text", signature: "s", index: 0 },
    { type: "reasoning.text", text: "c", index: 1 },
    { type: "reasoning.encrypted", data: "d", index: 1 },
    { type: "reasoning.encrypted", data: "e", index: 1 },
    { type: "reasoning.summary", summary: "f", index: 2 },
    { type: "reasoning.summary", summary: "g", index: 2 },
    { type: "of the future", index: 2, more: [1] },
  ];
  expect(read(...pieces.map((piece) => ({ reasoning_details: [piece] })))).toEqual([
    {
      reasoning_details: [
        { type: "reasoning.text", text: "ab", index: 0, format: "f", signature: "s" },
        ...pieces.slice(3, 6),
        { type: "reasoning.summary", summary: "fg", index: 2 },
        pieces[8],
      ],
    },
  ]);
});

test("nothing is told twice, and of nothing nothing", () => {
  const fields = new MessageFields("here");
  expect(fields.take()).toEqual([]);
  fields.read({ extra_content: { google: 1 } });
  expect(fields.take()).toHaveLength(1);
  expect(fields.take()).toEqual([]);
});

test("the fields of a message are those of its parts: lists go on", () => {
  expect(joinFields({ list: [1], one: 1 }, { list: [2], one: 2, two: 3 })).toEqual({ list: [1, 2], one: 2, two: 3 });
});
