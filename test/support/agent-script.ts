import fc from "fast-check";
import type { Item } from "../../src/protocol/items.ts";
import { block, delta, type UpstreamStep, USAGE } from "./chat-upstream.ts";

/** Whole runs of an agent: what the client says in each turn, and what a chat-completions server answers to it. */

export type ScriptedTurn = {
  readonly input: readonly Item[];
  readonly answer: UpstreamStep;
  /** What the answer amounts to: each kind of text, and the arguments or the input of each call. */
  readonly meaning: { readonly [kind in Said["kind"] | "calls"]: string | readonly string[] };
};

export type AgentScript = {
  readonly instructions: string | null;
  readonly turns: readonly ScriptedTurn[];
  /** The turn before which a client that reconnects does so. */
  readonly reconnectAt: number;
};

/** What the agent offers in every turn. */
export const TOOLS = [
  { type: "function", name: "read", parameters: { type: "object", properties: { path: { type: "string" } } } },
  { type: "custom", name: "patch" },
] as const;

type Call = {
  readonly kind: "function" | "custom";
  /** What the model server streams. */
  readonly argumentText: string;
  /** What the client gets. */
  readonly value: string;
};
type Said = { readonly kind: "content" | "reasoning_content" | "refusal"; readonly pieces: readonly string[] };
type Draft = {
  readonly words: readonly Item[];
  readonly wordsFirst: boolean;
  readonly outputs: readonly (string | readonly object[])[];
  readonly backwards: boolean;
  readonly said: readonly Said[];
  readonly calls: readonly (Call & { readonly pieces: readonly string[] })[];
  readonly finishes: boolean;
};

const codeUnit = fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit));

/** Words, emoji, quotes and backslashes, control characters, and halves of surrogate pairs. */
const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.string({ unit: codeUnit, maxLength: 6 }),
  fc.constantFrom("plain", '"\\"', "línea\r\n\u2028", "👩‍👩‍👧 und 漢字", "\u0000\ud83d", ""),
);

/** A text in pieces that may be cut anywhere, within a character too. */
const pieces = (whole: string) =>
  fc.array(fc.nat({ max: whole.length }), { maxLength: 3 }).map((cuts) => {
    const at = [0, ...cuts.toSorted((left, right) => left - right), whole.length];
    return at.slice(1).map((end, index) => whole.slice(at[index], end));
  });

const image = fc.record(
  {
    type: fc.constant("input_image"),
    image_url: fc.constantFrom("data:image/png;base64,iVBORw0KGgo=", "https://example.com/a.png?q=ü"),
    detail: fc.constantFrom("low", "high", null),
  },
  { requiredKeys: ["type", "image_url"] },
);
const textPart = text.map((value) => ({ type: "input_text", text: value }));
const parts = fc.array(fc.oneof(textPart, image), { minLength: 1, maxLength: 3 });

const words: fc.Arbitrary<Item> = fc.oneof(
  { weight: 4, arbitrary: fc.oneof(text, parts).map((content) => ({ type: "message", role: "user", content })) },
  { weight: 1, arbitrary: text.map((content) => ({ type: "message", role: "developer", content })) },
  // What the client says in the model's name, and an item that no chat server knows.
  { weight: 1, arbitrary: text.map((content) => ({ type: "message", role: "assistant", content })) },
  { weight: 1, arbitrary: text.map((note) => ({ type: "acme:note", note })) },
);

const said: fc.Arbitrary<Said> = fc
  .tuple(
    fc.constantFrom("content" as const, "content" as const, "reasoning_content" as const, "refusal" as const),
    text,
  )
  .chain(([kind, whole]) => fc.record({ kind: fc.constant(kind), pieces: pieces(whole) }));

const call = fc
  .oneof(
    text
      .map((path) => JSON.stringify({ path }))
      .map((value): Call => ({ kind: "function", argumentText: value, value })),
    text.map((value): Call => ({ kind: "custom", argumentText: JSON.stringify({ input: value }), value })),
    // A model that does not keep to the form of a function call.
    text.map((input) => `*** ${input}`).map((value): Call => ({ kind: "custom", argumentText: value, value })),
  )
  .chain((made) => pieces(made.argumentText).map((cut) => ({ ...made, pieces: cut })));

const draft: fc.Arbitrary<Draft> = fc.record({
  words: fc.array(words, { minLength: 1, maxLength: 3 }),
  wordsFirst: fc.boolean(),
  outputs: fc.array(fc.oneof(text, parts), { minLength: 3, maxLength: 3 }),
  backwards: fc.boolean(),
  said: fc.array(said, { maxLength: 4 }),
  calls: fc.array(call, { maxLength: 3 }),
  finishes: fc.boolean(),
});

export const agentScript: fc.Arbitrary<AgentScript> = fc
  .record({
    instructions: fc.option(text),
    drafts: fc.array(draft, { minLength: 1, maxLength: 6 }),
    reconnectAt: fc.integer({ min: 1, max: 5 }),
  })
  .map(({ instructions, drafts, reconnectAt }) => ({
    instructions,
    reconnectAt: Math.min(reconnectAt, drafts.length - 1),
    turns: drafts.map((turn, index) => ({
      input: inputOf(turn, drafts[index - 1]),
      answer: answerOf(turn),
      meaning: meaningOf(turn),
    })),
  }));

/** The outputs of the calls before, and words; without calls only these. */
function inputOf(turn: Draft, before: Draft | undefined): readonly Item[] {
  const outputs = (before?.calls ?? []).map(({ kind }, index) => ({
    type: kind === "function" ? "function_call_output" : "custom_tool_call_output",
    call_id: callId(index),
    output: turn.outputs[index],
  }));
  if (turn.backwards) outputs.reverse();
  if (outputs.length > 0 && turn.finishes) return outputs;
  return turn.wordsFirst ? [...turn.words, ...outputs] : [...outputs, ...turn.words];
}

/** The same ids in every turn: models do use them again. */
function callId(index: number): string {
  return `call_${index}`;
}

function meaningOf({ said, calls }: Draft): ScriptedTurn["meaning"] {
  const all = (kind: Said["kind"]): string => said.flatMap((one) => (one.kind === kind ? one.pieces : [])).join("");
  return {
    content: all("content"),
    refusal: all("refusal"),
    reasoning_content: all("reasoning_content"),
    calls: calls.map(({ value }) => value),
  };
}

function fragment(index: number, fields: object): object {
  return delta({ tool_calls: [{ index, ...fields }] });
}

/** What was said, then the calls with the pieces of their arguments in turn. */
function answerOf({ said, calls }: Draft): UpstreamStep {
  const chunks: object[] = said.flatMap(({ kind, pieces }) => pieces.map((piece) => delta({ [kind]: piece })));
  for (const [index, { kind }] of calls.entries()) {
    const name = kind === "function" ? "read" : "patch";
    chunks.push(fragment(index, { id: callId(index), type: "function", function: { name, arguments: "" } }));
  }
  const longest = Math.max(0, ...calls.map(({ pieces }) => pieces.length));
  for (let round = 0; round < longest; round += 1) {
    for (const [index, { pieces }] of calls.entries()) {
      const piece = pieces[round];
      if (piece !== undefined) chunks.push(fragment(index, { function: { arguments: piece } }));
    }
  }
  chunks.push(delta({}, calls.length > 0 ? "tool_calls" : "stop"), { choices: [], usage: USAGE });
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end([...chunks, "[DONE]"].map(block).join(""));
  };
}
