import fc from "fast-check";
import type { BackendEvent, FinishReason } from "../../src/core/ports.ts";

/** Whatever a backend may say, in whatever order, cut into batches in whatever way. */

const delta = fc.string({ maxLength: 5 });
const key = fc.integer({ min: 0, max: 3 });
const count = fc.integer({ min: 0, max: 1000 });

/** Call ids are made from the place of the event, since a model server gives no id twice in one response. */
const call = fc.record({
  type: fc.constant("call" as const),
  key,
  kind: fc.constantFrom("function" as const, "custom" as const),
  callId: fc.option(fc.uuid()),
  name: fc.constantFrom("read", "write"),
});

const anyUsage = fc.record({
  input_tokens: count,
  input_tokens_details: fc.record({ cached_tokens: count, cache_write_tokens: count }),
  output_tokens: count,
  output_tokens_details: fc.record({ reasoning_tokens: count }),
  total_tokens: count,
});

const anyAnnotation = fc.webUrl().map((url) => ({
  type: "annotation" as const,
  annotation: { type: "url_citation" as const, url, title: "", start_index: 0, end_index: 1 },
}));

export const anyFinish: fc.Arbitrary<FinishReason> = fc.constantFrom("stop", "max_output_tokens", "content_filter");

/** One event that is not the end. */
export const anyEvent: fc.Arbitrary<BackendEvent> = fc.oneof(
  { weight: 4, arbitrary: delta.map((text) => ({ type: "text.delta" as const, delta: text })) },
  { weight: 1, arbitrary: delta.map((text) => ({ type: "refusal.delta" as const, delta: text })) },
  { weight: 2, arbitrary: delta.map((text) => ({ type: "reasoning.delta" as const, delta: text })) },
  { weight: 1, arbitrary: delta.map((text) => ({ type: "summary.delta" as const, delta: text })) },
  { weight: 3, arbitrary: call },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("call.delta" as const), key, delta }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("call.done" as const), key }) },
  { weight: 1, arbitrary: anyAnnotation },
  {
    weight: 1,
    arbitrary: fc.uuid().map((id) => ({ type: "item" as const, item: { type: "acme:search", id, hits: [1] } })),
  },
  { weight: 1, arbitrary: anyUsage.map((usage) => ({ type: "usage" as const, usage })) },
);

/** The batches of a whole generation: the last event of all is its finish. */
export const anyGeneration: fc.Arbitrary<readonly (readonly BackendEvent[])[]> = fc
  .tuple(fc.array(fc.array(anyEvent, { maxLength: 4 }), { maxLength: 10 }), anyFinish)
  .map(([batches, reason]) => [...batches, [{ type: "finish", reason }]]);
