import { ApiError } from "../protocol/errors.ts";
import { isItem, type Item, type Part } from "../protocol/items.ts";
import type { Usage } from "../protocol/response.ts";
import type { Compactions } from "./compacted.ts";
import { type CompactionPlan, laterHalf } from "./compaction-plan.ts";
import { ASK_FOR_SUMMARY, summaryIn, summaryItem } from "./compaction-prompt.ts";
import { measure, type ResponseNode } from "./node.ts";
import type { Backend, BackendEvent, BackendRequest, FinishReason } from "./ports.ts";

/** What a turn hears while its context is compacted: of the compaction, then of the answer as a backend gives it. */
export type CompactionEvent =
  | { readonly type: "compaction.begun" }
  /** The summary grows. */
  | { readonly type: "compaction.grown" }
  | { readonly type: "compaction.done"; readonly content: string };

/** What a turn hears of a compaction, and of the answer behind it. */
export type CompactionEvents = AsyncGenerator<readonly (BackendEvent | CompactionEvent)[]>;

/** Characters of a summary between two signs that it grows. */
const SIGN_EVERY = 1000;
/** How often a context is halved until the model takes it in. */
const SHORTEST = 5;
/** Beyond this the images of the newest items, which the model sees once more now, are not kept for later. */
const LARGEST_AFTER = 1024 * 1024;

/** The compaction of one turn's context: the model summarises it, and goes on from the summary. */
export class Compaction {
  readonly #plan: CompactionPlan;
  readonly #compactions: Compactions;
  readonly #backend: Backend;
  readonly #request: BackendRequest;
  #content: string | null = null;

  constructor(plan: CompactionPlan, compactions: Compactions, backend: Backend, request: BackendRequest) {
    this.#plan = plan;
    this.#compactions = compactions;
    this.#backend = backend;
    this.#request = request;
  }

  /**
   * What the turn's node stands on. Once compacted, and outside of conversations, it is a root: nothing before it is needed any more, and whatever holds
   * on to it has its own reasons.
   */
  rootOf(node: Pick<ResponseNode, "parent" | "input" | "response">): Pick<ResponseNode, "parent" | "input"> {
    const { parent, input, response } = node;
    // A turn that was interrupted may never have heard of its compaction.
    const isIn = response.output.some((item) => isItem(item, "compaction") && item.encrypted_content === this.#content);
    if (!isIn) return { parent, input };
    const { isAll, standing, before, keepsChain } = this.#plan;
    if (keepsChain) return { parent, input };
    return { parent: null, input: Object.freeze([...standing, ...(isAll ? before : input)]) };
  }

  /** @throws ApiError synchronously, when the backend refuses to begin with the summary */
  start(signal: AbortSignal): CompactionEvents {
    const { parent, summarised } = this.#plan;
    return this.#run(this.#ask(parent, summarised, signal), signal);
  }

  #ask(
    parent: ResponseNode | null,
    input: readonly Item[],
    signal: AbortSignal,
    changed: Partial<BackendRequest["settings"]> = {},
  ): ReturnType<Backend["stream"]> {
    const settings = { ...this.#request.settings, ...PLAIN_TEXT, ...changed };
    return this.#backend.stream({ ...this.#request, parent, input, settings }, signal);
  }

  /** Has the model write the summary; of less, when it cannot take all of the context in. */
  async *#summarise(batches: ReturnType<Backend["stream"]>, signal: AbortSignal): Summarising {
    let { context } = this.#plan;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const [parent, input] =
          attempt === 0 ? [this.#plan.parent, this.#plan.summarised] : [null, [...context, ASK_FOR_SUMMARY]];
        const asked = attempt === 0 ? batches : this.#ask(parent, input, signal);
        let written = yield* write(asked);
        if (isNoSummary(written)) {
          // Some models call tools whatever `tool_choice` says: they are asked once more, and offered none.
          const again = yield* write(this.#ask(parent, input, signal, NO_TOOLS));
          written = { ...again, usage: sum(written.usage, again.usage) };
        }
        const summary = usable(written);
        const { usage } = written;
        return { summary: attempt === 0 ? summary : `${BEGINNING_IS_GONE}\n${summary}`, usage };
      } catch (error) {
        const shorter = isTooLong(error) && attempt < SHORTEST ? laterHalf(context) : null;
        if (shorter === null) throw error;
        context = shorter;
      }
    }
  }

  async *#run(batches: ReturnType<Backend["stream"]>, signal: AbortSignal): CompactionEvents {
    yield [{ type: "compaction.begun" }];
    const { summary, usage } = yield* this.#summarise(batches, signal);
    const { before, after, isAll, keepsChain } = this.#plan;
    // Where the chain goes on, the item alone says what is left of it.
    const replaces = !isAll || keepsChain;
    const parts = { replaces, before: replaces ? before : [], summary, after: forLater(after) };
    const content = this.#compactions.seal(parts);
    this.#content = content;
    yield [{ type: "compaction.done", content }];
    if (isAll) {
      yield usage === null ? [STOP] : [{ type: "usage", usage }, STOP];
      return;
    }
    const input = [...before, summaryItem(summary), ...after];
    for await (const batch of this.#backend.stream({ ...this.#request, parent: null, input }, signal)) {
      yield usage === null ? batch : batch.map((event) => withUsage(event, usage));
    }
  }
}

type Summary = { readonly summary: string; readonly usage: Usage | null };
type Summarising = AsyncGenerator<readonly CompactionEvent[], Summary>;
/** What the model has answered when it was asked for a summary, and how that ended. */
type Written = Summary & { readonly end: FinishReason | null; readonly hasCalls: boolean };
type Writing = AsyncGenerator<readonly CompactionEvent[], Written>;

/** Takes in what the model writes. */
async function* write(batches: ReturnType<Backend["stream"]>): Writing {
  let text = "";
  let hasCalls = false;
  let signs = 0;
  let usage: Usage | null = null;
  let end: FinishReason | null = null;
  for await (const batch of batches) {
    for (const event of batch) {
      if (event.type === "text.delta") text += event.delta;
      else if (event.type === "usage") usage = event.usage;
      else if (event.type === "finish") end = event.reason;
      else if (event.type === "call") hasCalls = true;
    }
    if (text.length < (signs + 1) * SIGN_EVERY) continue;
    signs += 1;
    yield [{ type: "compaction.grown" }];
  }
  return { summary: summaryIn(text), usage, end, hasCalls };
}

/** Whether the model has come to an end and done something else. */
function isNoSummary({ summary, end, hasCalls }: Written): boolean {
  return end !== null && end !== "content_filter" && (hasCalls || summary === "");
}

const BEGINNING_IS_GONE = "[The oldest part of the conversation was too long to be summarised, and is not in here.]";

/** Whether the model server has refused a context for its length. */
export function isTooLong(error: unknown): boolean {
  return error instanceof ApiError && error.code === "context_length_exceeded";
}

const STOP: BackendEvent = Object.freeze({ type: "finish", reason: "stop" });

/** The settings of the request as they are, so that the model server finds the context in its cache; the answer is text. */
const PLAIN_TEXT = {
  text: { format: { type: "text" }, verbosity: null },
  tool_choice: "none",
  max_output_tokens: null,
} as const;
const NO_TOOLS = { tools: [], tool_choice: "auto" } as const;

/** @throws ApiError when there is no summary to go on with */
function usable({ summary, end }: Written): string {
  if (summary === "" || end === null || end === "content_filter") {
    const cause = new Error(`a summary of ${summary.length} characters ended by ${end ?? "itself"}`);
    throw new ApiError("server_error", "The model wrote no summary of the conversation.", { cause });
  }
  return end === "max_output_tokens" ? `${summary}\n[The summary was cut off here.]` : summary;
}

/** The newest items as later turns will see them. */
function forLater(after: readonly Item[]): readonly Item[] {
  return measure(after) <= LARGEST_AFTER ? after : after.map(withoutImages);
}

function withoutImages(item: Item): Item {
  const field = item.type === "message" ? "content" : "output";
  const parts = item[field];
  if (!Array.isArray(parts)) return item;
  const text = "[An image was here. It was left out when the conversation was compacted.]";
  const left = (parts as readonly Part[]).map((part) =>
    part.type === "input_image" ? { type: "input_text", text } : part,
  );
  return { ...item, [field]: left };
}

/** The usage of the answer with that of the summary: both were used. */
function withUsage(event: BackendEvent, summary: Usage): BackendEvent {
  return event.type === "usage" ? { type: "usage", usage: sum(event.usage, summary) ?? event.usage } : event;
}

function sum(one: Usage | null, other: Usage | null): Usage | null {
  if (one === null || other === null) return one ?? other;
  return {
    input_tokens: one.input_tokens + other.input_tokens,
    input_tokens_details: {
      cached_tokens: one.input_tokens_details.cached_tokens + other.input_tokens_details.cached_tokens,
      cache_write_tokens: one.input_tokens_details.cache_write_tokens + other.input_tokens_details.cache_write_tokens,
    },
    output_tokens: one.output_tokens + other.output_tokens,
    output_tokens_details: {
      reasoning_tokens: one.output_tokens_details.reasoning_tokens + other.output_tokens_details.reasoning_tokens,
    },
    total_tokens: one.total_tokens + other.total_tokens,
  };
}
