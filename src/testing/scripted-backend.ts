import { setImmediate } from "node:timers/promises";
import type { Backend, BackendEvent, BackendRequest, FinishReason } from "../core/ports.ts";
import type { ResponseNode } from "../core/node.ts";
import { isItem, type Item } from "../protocol/items.ts";

/** A backend that plays a script and remembers what it was asked: the double to test anything in front of a model with. */

/** A point of a script where the backend waits until the test lets it go on. */
export class Gate {
  readonly #arrival = Promise.withResolvers<void>();
  readonly #opening = Promise.withResolvers<void>();

  /** Resolves when the backend has come to this point, and its turn has told the client that it began. */
  get reached(): Promise<void> {
    return this.#arrival.promise;
  }

  open(): void {
    this.#opening.resolve();
  }

  /** For the backend: says that it is here and waits. */
  pass(): Promise<void> {
    void this.#arrive();
    return this.#opening.promise;
  }

  /** Backends are asked before clients are told, which is one turn of the event loop later. */
  async #arrive(): Promise<void> {
    await setImmediate();
    await setImmediate();
    this.#arrival.resolve();
  }
}

/** One move of a backend: a batch of events, an error that breaks the stream, or a wait. */
export type Move = readonly BackendEvent[] | Error | Gate;

/** What one call gets: its moves in order (a generator makes them as they are asked for), or a refusal at once. */
export type Step = Iterable<Move> | { readonly refuse: Error };

/** How the stream of a call ended; `left` means that its reader stopped before the end. */
export type CallEnd = "finished" | "failed" | "aborted" | "left";

/** One call as the backend saw it. */
export type ScriptedCall = {
  readonly model: string;
  /** Everything that the model would see: the items of the chain from its root on, then the new input. */
  readonly context: readonly Item[];
  readonly chain: readonly ResponseNode[];
  readonly input: readonly Item[];
  readonly settings: BackendRequest["settings"];
  readonly session: object;
  readonly signal: AbortSignal;
  /** How many batches have been taken so far. */
  readonly taken: () => number;
  readonly ended: Promise<CallEnd>;
};

export class ScriptedBackend implements Backend {
  readonly #steps: Step[];
  readonly #models: readonly string[];
  readonly #calls: ScriptedCall[] = [];
  readonly #waiting = new Map<number, PromiseWithResolvers<ScriptedCall>>();
  readonly #prefills: BackendRequest[] = [];
  #unexpected = 0;

  constructor(steps: Iterable<Step> = [], models: readonly string[] = ["scripted"]) {
    this.#steps = [...steps];
    this.#models = models;
  }

  /** The calls so far, oldest first. */
  get calls(): readonly ScriptedCall[] {
    return this.#calls;
  }

  /** Adds steps to the end of the script. */
  expect(...steps: readonly Step[]): void {
    this.#steps.push(...steps);
  }

  /** Resolves with the call of this index, counted from 0, once it has been made. */
  call(index: number): Promise<ScriptedCall> {
    const made = this.#calls[index];
    if (made !== undefined) return Promise.resolve(made);
    const wait = this.#waiting.get(index) ?? Promise.withResolvers<ScriptedCall>();
    this.#waiting.set(index, wait);
    return wait.promise;
  }

  stream(request: BackendRequest, signal: AbortSignal): AsyncIterable<readonly BackendEvent[]> {
    const progress = noProgress();
    const index = this.#calls.push(record(request, signal, progress)) - 1;
    const call = this.#calls[index] as ScriptedCall;
    this.#waiting.get(index)?.resolve(call);
    this.#waiting.delete(index);
    const step = this.#steps.shift();
    if (step === undefined) {
      this.#unexpected += 1;
      progress.end.resolve("failed");
      throw new Error(`unexpected call ${index}: the script has only ${index} steps`);
    }
    if ("refuse" in step) {
      progress.end.resolve("failed");
      throw step.refuse;
    }
    return play(step, signal, progress);
  }

  models(): Promise<readonly string[]> {
    return Promise.resolve(this.#models);
  }

  /** Prefills are remembered and take no time. */
  prefill(request: BackendRequest): Promise<void> {
    this.#prefills.push(request);
    return Promise.resolve();
  }

  /** The requests that a warm-up made, oldest first. */
  get prefills(): readonly BackendRequest[] {
    return this.#prefills;
  }

  /** One token for each item. */
  count(request: BackendRequest, signal: AbortSignal): Promise<number> {
    return Promise.resolve(record(request, signal, noProgress()).context.length);
  }

  /** Rejects when there was a call that the script did not foresee, since what it threw may have been hidden since. */
  close(): Promise<void> {
    if (this.#unexpected === 0) return Promise.resolve();
    return Promise.reject(
      new Error(`the scripted backend had ${this.#unexpected} calls that its script did not foresee`),
    );
  }
}

type Progress = { taken: number; readonly end: PromiseWithResolvers<CallEnd> };

function noProgress(): Progress {
  return { taken: 0, end: Promise.withResolvers<CallEnd>() };
}

function record(request: BackendRequest, signal: AbortSignal, progress: Progress): ScriptedCall {
  const chain: ResponseNode[] = [];
  for (let node = request.parent; node !== null; node = node.parent) chain.unshift(node);
  const history = chain.flatMap((node) => [...node.input, ...(node.response.output as readonly Item[])]);
  const context = [...history, ...request.input].reduce<readonly Item[]>((seen, item) => {
    if (!isItem(item, "compaction")) return [...seen, item];
    const { replaces, items } = request.open(item);
    return replaces ? items : [...seen, ...items];
  }, []);
  return Object.freeze({
    model: request.model,
    context: deepFreeze(context),
    chain: Object.freeze(chain),
    input: deepFreeze(request.input),
    settings: Object.freeze(request.settings),
    session: request.session,
    signal,
    taken: () => progress.taken,
    ended: progress.end.promise,
  });
}

async function* play(
  moves: Iterable<Move>,
  signal: AbortSignal,
  progress: Progress,
): AsyncGenerator<readonly BackendEvent[], void> {
  const aborted = Promise.withResolvers<never>();
  // Nobody may be waiting when the abort comes; whoever looks next learns of it.
  aborted.promise.catch(() => undefined);
  const onAbort = (): void => {
    progress.end.resolve("aborted");
    aborted.reject(signal.reason as Error);
  };
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for (const move of moves) {
      signal.throwIfAborted();
      if (move instanceof Gate) await Promise.race([move.pass(), aborted.promise]);
      else if (move instanceof Error) throw move;
      else {
        progress.taken += 1;
        yield move;
      }
    }
    signal.throwIfAborted();
    progress.end.resolve("finished");
  } catch (error) {
    progress.end.resolve("failed");
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    progress.end.resolve("left");
  }
}

/** What was recorded stays as it was, and whoever changes an item that others share hears of it in the test. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const member of Object.values(value)) deepFreeze(member);
  return Object.freeze(value);
}

/** The last batch of a stream, with a usage of fixed numbers. */
export function finish(reason: FinishReason = "stop"): readonly BackendEvent[] {
  const usage = {
    input_tokens: 3,
    input_tokens_details: { cached_tokens: 1, cache_write_tokens: 0 },
    output_tokens: 2,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 5,
  };
  return [
    { type: "usage", usage },
    { type: "finish", reason },
  ];
}

/** A step that answers with text, each piece in a batch of its own. */
export function answer(...pieces: readonly string[]): Step {
  return [...pieces.map((delta): Move => [{ type: "text.delta", delta }]), finish()];
}

/** A step that calls functions, all in one batch. */
export function callFunctions(
  ...calls: readonly { readonly callId: string; readonly name: string; readonly arguments?: string }[]
): Step {
  const events = calls.flatMap((call, key): BackendEvent[] => [
    { type: "call", key, kind: "function", callId: call.callId, name: call.name },
    { type: "call.delta", key, delta: call.arguments ?? "{}" },
  ]);
  return [events, finish()];
}
