import type { Item, Part } from "../protocol/items.ts";

/** An agent's run as it was recorded, imported or generated: what each turn brought, and what the model made of it. */
export type Recording = {
  readonly id: string;
  readonly model: string;
  readonly instructions: string;
  readonly tools: readonly object[];
  readonly turns: readonly RecordedTurn[];
};

/** A turn: its new items only, and the items of the model's answer. */
export type RecordedTurn = { readonly input: readonly Item[]; readonly output: readonly Item[] };

/** The bytes of the items of each turn's context, as compact JSON: everything before the turn, and its own input. */
export function contextBytes({ turns }: Recording): readonly number[] {
  let total = 0;
  return turns.map(({ input, output }) => {
    const context = total + jsonBytes(input);
    total = context + jsonBytes(output);
    return context;
  });
}

function jsonBytes(items: readonly Item[]): number {
  return items.reduce((sum, item) => sum + Buffer.byteLength(JSON.stringify(item)) + 1, 0);
}

/** A recording that ends earlier. */
export function firstTurns(recording: Recording, count: number): Recording {
  return count >= recording.turns.length ? recording : { ...recording, turns: recording.turns.slice(0, count) };
}

/**
 * The recording with a marker behind the text of its first message, so that a model server which sees many runs can tell
 * them apart. A run without a message has it in its instructions.
 */
export function marked(recording: Recording, marker: string): Recording {
  const [first, ...later] = recording.turns;
  const index = first?.input.findIndex(isPrompt) ?? -1;
  if (first === undefined || index === -1) return { ...recording, instructions: recording.instructions + marker };
  const input = first.input.map((item, at) => (at === index ? withSuffix(item, marker) : item));
  return { ...recording, turns: [{ ...first, input }, ...later] };
}

function isPrompt({ type, role, content }: Item): boolean {
  if ((type ?? "message") !== "message" || role === "assistant") return false;
  return typeof content === "string" || (Array.isArray(content) && (content as Part[]).some(hasText));
}

function hasText(part: Part): part is Part & { readonly text: string } {
  return typeof part["text"] === "string";
}

function withSuffix(item: Item, suffix: string): Item {
  const { content } = item;
  if (typeof content === "string") return { ...item, content: content + suffix };
  const parts = content as readonly Part[];
  const last = parts.findLastIndex(hasText);
  return {
    ...item,
    content: parts.map((part, at) => (at === last && hasText(part) ? { ...part, text: part.text + suffix } : part)),
  };
}
