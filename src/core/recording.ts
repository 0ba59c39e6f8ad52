import type { ServerEvent } from "../protocol/events.ts";
import type { CompactionEvent } from "./compaction.ts";
import type { BackendEvent, JsonValue } from "./ports.ts";
import type { SealedReasoning } from "./sealed-reasoning.ts";

/**
 * One thing that made events of a response: what the backend said, as far as it was heard, or what was said beside it. The
 * same moves always make the same events. Usage and finish are not among them, since the response itself shows them.
 */
export type Move =
  | Exclude<BackendEvent, { type: "usage" | "finish" | "opaque" }>
  | CompactionEvent
  | SealedReasoning
  /** The text that was open ended for a steer. */
  | { readonly type: "boundary" }
  /** What was open was dropped. */
  | { readonly type: "interrupt" }
  /** An event that took its number from the response's. */
  | { readonly type: "aside"; readonly event: ServerEvent };

/** Deltas that follow each other are kept as one list: a code, for a call its key, and the texts. */
const CODE = {
  "text.delta": "t",
  "refusal.delta": "f",
  "reasoning.delta": "r",
  "summary.delta": "s",
  "call.delta": "c",
} as const;

const TYPE = new Map(Object.entries(CODE).map(([type, code]) => [code, type as keyof typeof CODE]));

type Run = [code: string, ...rest: (string | number)[]];

/** Moves as they are kept. */
export function encodeMoves(moves: readonly Move[]): JsonValue {
  const entries: (Run | Move)[] = [];
  let last: Run | null = null;
  for (const move of moves) {
    if (!("delta" in move) || "logprobs" in move) {
      entries.push(move);
      last = null;
      continue;
    }
    const code = CODE[move.type];
    const isSame: boolean = last !== null && last[0] === code && (move.type !== "call.delta" || last[1] === move.key);
    if (!isSame || last === null) entries.push((last = move.type === "call.delta" ? [code, move.key] : [code]));
    last.push(move.delta);
  }
  return entries as JsonValue;
}

/** The moves that were encoded. */
export function decodeMoves(value: JsonValue): Move[] {
  return [...movesOf(value)];
}

/** The same, one by one. */
export function* movesOf(value: JsonValue): Generator<Move, void> {
  for (const entry of value as readonly (Readonly<Run> | Move)[]) {
    if (isRun(entry)) yield* deltas(entry);
    else yield entry;
  }
}

function isRun(entry: Readonly<Run> | Move): entry is Readonly<Run> {
  return Array.isArray(entry);
}

function* deltas(run: Readonly<Run>): Generator<Move, void> {
  const [code, key] = run;
  const type = TYPE.get(code as (typeof CODE)[keyof typeof CODE]);
  if (type === undefined) throw new Error(`a recording has deltas of the unknown kind '${code}'`);
  if (type === "call.delta") {
    for (let at = 2; at < run.length; at += 1) yield { type, key: Number(key), delta: String(run[at]) };
  } else {
    for (let at = 1; at < run.length; at += 1) yield { type, delta: String(run[at]) };
  }
}
