import fc from "fast-check";
import { expect, test } from "vitest";
import { ID_PREFIX, itemId, responseOfItem } from "../../src/protocol/ids.ts";

test("an item's id says which response it belongs to, and on which side", () => {
  const prefix = fc.constantFrom(ID_PREFIX.message, ID_PREFIX.functionCall, ID_PREFIX.reasoning);
  const name = fc.stringMatching(/^[0-9a-f]{32}$/);
  fc.assert(
    fc.property(prefix, name, fc.constantFrom("input", "output"), fc.nat(), (kind, rest, side, index) => {
      const responseId = `resp_${rest}`;
      expect(responseOfItem(itemId(kind, responseId, side, index))).toEqual({ responseId, side });
    }),
  );
});

test("ids of different places differ", () => {
  const ids = ["resp_a", "resp_b"].flatMap((responseId) =>
    (["input", "output"] as const).flatMap((side) => [0, 1, 10].map((index) => itemId("msg", responseId, side, index))),
  );
  expect(new Set(ids).size).toBe(ids.length);
});

test.each(["", "msg_", "msg_abc", "rs-1o0", "o1", "resp_0123"])("the id %j was made by somebody else", (id) => {
  expect(responseOfItem(id)).toBeUndefined();
});
