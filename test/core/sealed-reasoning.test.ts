import fc from "fast-check";
import { expect, test } from "vitest";
import { Memory } from "../../src/core/budget.ts";
import { ContextMemory } from "../../src/core/context-memory.ts";
import type { BackendEvent, Seal } from "../../src/core/ports.ts";
import { opaqueOf } from "../../src/protocol/opaque.ts";
import { openReasoning, ReasoningSealer } from "../../src/core/sealed-reasoning.ts";

/** A seal that can be looked into. */
const SEAL: Seal = {
  seal: (tenant, text) => `${tenant}|${text}`,
  open: (tenant, sealed) => (sealed.startsWith(`${tenant}|`) ? sealed.slice(tenant.length + 1) : undefined),
};

const event: fc.Arbitrary<BackendEvent> = fc.oneof(
  fc.constantFrom("a", "b", "").map((delta): BackendEvent => ({ type: "reasoning.delta", delta })),
  fc.constantFrom("x", "").map((delta): BackendEvent => ({ type: "text.delta", delta })),
  fc.constant<BackendEvent>({ type: "summary.delta", delta: "s" }),
  fc.constant<BackendEvent>({ type: "call", key: 0, kind: "function", callId: "c", name: "f" }),
  fc.constant<BackendEvent>({ type: "call.delta", key: 0, delta: "{}" }),
);

test("whatever the batches, each reasoning is sealed whole, once, right before what ends it", () => {
  fc.assert(
    fc.property(fc.array(fc.array(event, { maxLength: 4 }), { maxLength: 6 }), (batches) => {
      const sealer = new ReasoningSealer(SEAL, "acme");
      const all = [...batches, [{ type: "finish", reason: "stop" } as const]].flatMap((batch) => sealer.apply(batch));
      expect(all.filter(({ type }) => type !== "reasoning.sealed").slice(0, -1)).toEqual(batches.flat());
      let open = "";
      for (const [index, each] of all.entries()) {
        if (each.type === "reasoning.delta") open += each.delta;
        if (each.type !== "reasoning.sealed") continue;
        expect(each.sealed).toBe(`acme|reasoning:${open}`);
        expect(all[index + 1]?.type).toMatch(/^(text\.delta|call|finish)$/);
        open = "";
      }
      expect(open).toBe("");
    }),
  );
});

const memory = new ContextMemory(new Memory().of("acme").open());

const sealed = (encrypted_content: string, more: object = {}) => ({ type: "reasoning", encrypted_content, ...more });

test("what was sealed is opened for its tenant, and anything else stays as it is", () => {
  const items = [
    sealed("acme|reasoning:Hm."),
    sealed("other|reasoning:Hm."),
    sealed("acme|reasoning:no", { content: [{ type: "reasoning_text", text: "yes" }] }),
    { type: "message", role: "user", content: "x" },
  ];
  const [mine, ...rest] = openReasoning(items, SEAL, "acme", memory);
  expect(mine).toEqual({ ...items[0], content: [{ type: "reasoning_text", text: "Hm." }] });
  expect(rest).toEqual(items.slice(1));
  expect(openReasoning(rest.slice(-1), SEAL, "acme", memory)).toEqual(rest.slice(-1));
});

test("what was sealed as something else is refused by its place", () => {
  const items = [sealed("acme|reasoning:Hm."), sealed("acme|a summary")];
  expect(() => openReasoning(items, SEAL, "acme", memory)).toThrow(
    expect.objectContaining({ code: "invalid_value", param: "input[1].encrypted_content" }),
  );
});

const opaque = (key: number | null, fields: object): BackendEvent => ({
  type: "opaque",
  origin: "here",
  key,
  fields: fields as Readonly<Record<string, unknown>>,
});
const call = (key: number): BackendEvent => ({ type: "call", key, kind: "function", callId: `c${key}`, name: "f" });

test("opaque fields are sealed with the reasoning before them, and opened beside their items", () => {
  const sealer = new ReasoningSealer(SEAL, "acme");
  const events = sealer.apply([
    { type: "reasoning.delta", delta: "Hm." },
    opaque(null, { details: [1] }),
    opaque(0, { sign: 0 }),
    call(0),
    call(1),
    opaque(2, { sign: 2 }),
    call(2),
    { type: "finish", reason: "stop" },
  ]);
  const seals = events.flatMap((event) => (event.type === "reasoning.sealed" ? event.sealed : []));
  expect(seals).toHaveLength(2);
  const calls = [0, 1, 2].map((key) => ({ type: "function_call", call_id: `c${key}` }));
  const [first = {}, second = {}, third = {}] = calls;
  const items = [sealed(seals[0] ?? ""), first, second, sealed(seals[1] ?? ""), third];
  const opened = openReasoning(items as typeof calls, SEAL, "acme", memory);
  expect(opened[0]).toMatchObject({ content: [{ text: "Hm." }] });
  expect(opened[3]).toMatchObject({ content: [] });
  expect(opened.map(opaqueOf)).toEqual([
    { origin: "here", message: { details: [1] } },
    { origin: "here", call: { sign: 0 } },
    undefined,
    undefined,
    { origin: "here", call: { sign: 2 } },
  ]);
});

test("opaque fields are opened also where the client sends the text beside the seal", () => {
  const sealer = new ReasoningSealer(SEAL, "acme");
  const [, event] = sealer.apply([opaque(null, { a: 1 }), { type: "text.delta", delta: "x" }]);
  if (event?.type !== "reasoning.sealed") throw new Error("the fields should be sealed before the text");
  const content = [{ type: "reasoning_text", text: "yes" }];
  const [opened = {}] = openReasoning([sealed(event.sealed, { content })], SEAL, "acme", memory);
  expect(opened).toMatchObject({ content });
  expect(opaqueOf(opened)).toEqual({ origin: "here", message: { a: 1 } });
});
