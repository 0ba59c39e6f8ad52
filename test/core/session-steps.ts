import fc from "fast-check";
import type { BackendEvent, FinishReason } from "../../src/core/ports.ts";
import { type Action, ELSEWHERE, HIDDEN, THEIRS, UNREADABLE, type World } from "./session-world.ts";

/** Steps that are made before it is known what there is to act on: each number picks from what there is by then. */

const KINDS = {
  create: 8,
  steer: 5,
  interrupt: 2,
  say: 9,
  finish: 5,
  end: 1,
  fail: 1,
  down: 1,
  hold: 1,
  stored: 4,
  keepAlive: 1,
  refuse: 0.2,
  stop: 0.1,
} as const;

export type Step = {
  readonly kind: keyof typeof KINDS | "slow" | "close";
  readonly a: number;
  readonly b: number;
  readonly c: number;
};

const kind = fc.oneof(
  ...Object.entries(KINDS).map(([name, weight]) => ({
    weight: weight * 10,
    arbitrary: fc.constant(name as keyof typeof KINDS),
  })),
);
const number = fc.nat({ max: 63 });

export const anyStep: fc.Arbitrary<Step> = fc.record({ kind, a: number, b: number, c: number });
/** Also what a network does. */
export const anyRoughStep: fc.Arbitrary<Step> = fc.record({
  kind: fc.oneof(
    { weight: 30, arbitrary: kind },
    { weight: 3, arbitrary: fc.constant("slow" as const) },
    { weight: 1, arbitrary: fc.constant("close" as const) },
  ),
  a: number,
  b: number,
  c: number,
});

const MODELS: { readonly [number: number]: string } = { 4: "unknown", 5: UNREADABLE, 27: "unknown", 33: UNREADABLE };
const LANES = ["", "a", "b", "", "a", "", "c", "d"];
const REASONS: readonly FinishReason[] = ["stop", "stop", "stop", "max_output_tokens", "content_filter"];

function pick<T>(from: readonly T[], number: number): T | undefined {
  return from[number % from.length];
}

/** What the step does in this world; null when there is nothing to do it to. */
export function actionOf({ kind, a, b, c }: Step, index: number, world: World): Action | null {
  const known = [...world.events.keys()];
  const target = pick(world.generating, a);
  switch (kind) {
    case "create": {
      const foreign = pick([null, null, null, ELSEWHERE, HIDDEN, THEIRS, "nobody"], b) ?? null;
      const parent = known.length === 0 || b % 4 === 0 ? foreign : (pick(known.slice(-4), b) ?? null);
      const calls = parent === null ? [] : world.callsOf(parent);
      const answers = c % 8 === 0 ? [] : calls.map((id) => `out ${id}`);
      const input = [...answers, ...(c % 16 === 1 ? ["out stray"] : []), ...(c % 16 === 3 ? answers : []), `u${index}`];
      const lane = pick(LANES, a) ?? "";
      const fields = { generate: c % 7 !== 2, store: c % 3 !== 0, compacts: c % 11 === 3 };
      return {
        act: "create",
        name: `r${index}`,
        lane,
        parent,
        input,
        ...fields,
        model: MODELS[c] ?? "m",
      };
    }
    case "steer": {
      const name = b % 4 === 0 ? pick([...known, HIDDEN], a) : (target ?? known.at(-1));
      return { act: "steer", name: name ?? "nobody", label: `s${index}`, valid: c % 8 !== 0 };
    }
    case "interrupt": {
      const name = b % 4 === 0 ? pick([null, ...known, "nobody"], a) : target;
      return { act: "interrupt", name: name ?? null, mode: c % 4 === 0 ? "other" : null };
    }
    case "say":
      if (target === undefined || world.isFinished(target)) return null;
      return { act: "say", name: target, events: [wordsOf(b, index), wordsOf(c, index + 100)].slice(0, 1 + (c % 2)) };
    case "finish":
      if (target === undefined || world.isFinished(target)) return null;
      return { act: "finish", name: target, reason: pick(REASONS, b) ?? "stop", ends: c % 4 !== 0 };
    case "end":
    case "fail":
      return target === undefined ? null : { act: kind, name: target };
    case "stored": {
      const name = pick(world.storing, a);
      return name === undefined ? null : { act: "stored", name, ok: b % 4 !== 0 };
    }
    case "down":
    case "hold":
    case "slow":
      return { act: kind, is: a % 2 === 0 };
    case "keepAlive":
    case "refuse":
    case "stop":
    case "close":
      return { act: kind };
    default:
      return kind satisfies never;
  }
}

function wordsOf(number: number, index: number): BackendEvent {
  switch (number % 6) {
    case 0:
    case 1:
      return { type: "text.delta", delta: `t${index}` };
    case 2:
      return { type: "reasoning.delta", delta: `h${index}` };
    case 3:
    case 4:
      return { type: "call", key: index, kind: "function", callId: `c${index}`, name: "f" };
    default:
      return { type: "call.delta", key: number, delta: "{}" };
  }
}
