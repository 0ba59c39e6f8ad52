import { ApiError } from "../protocol/errors.ts";
import { ID_PREFIX, itemId } from "../protocol/ids.ts";
import { awaitsOutput, isCompactionTrigger, isItem, type Item, type Part } from "../protocol/items.ts";
import type { CreateRequest } from "../protocol/request.ts";
import type { Compactions } from "./compacted.ts";
import { ASK_FOR_SUMMARY, isSummary } from "./compaction-prompt.ts";
import { sizeOfItems, sizeOfRequest } from "./context-size.ts";
import type { ResponseNode } from "./node.ts";
import type { Limits } from "./ports.ts";

/** What becomes of a context that is compacted. */
export type CompactionPlan = {
  /** What the model is to summarise: the chain, and behind it these items, the last of which asks for the summary. */
  readonly parent: ResponseNode | null;
  readonly summarised: readonly Item[];
  /** What the summary is to be about, for a model that cannot take all of it in. */
  readonly context: readonly Item[];
  /** What is kept word for word: instructions, and words of the user. */
  readonly before: readonly Item[];
  /** The newest items, which the model has not answered yet. */
  readonly after: readonly Item[];
  /** Items that say nothing to the model and are in force for all that follows. */
  readonly standing: readonly Item[];
  /** Whether the compaction is all that is asked for; otherwise the model then answers. */
  readonly isAll: boolean;
  /** Whether the node goes on standing on its chain: a conversation shows all of its items, compacted or not. */
  readonly keepsChain: boolean;
};

type Subject = {
  readonly request: CreateRequest;
  readonly parent: ResponseNode | null;
  readonly compactions: Compactions;
  readonly limits: Limits;
  /** Of the response that the compaction is part of. */
  readonly responseId: string;
};

/** Characters of the user's own words that are kept beside a summary, the newest first. */
const KEPT_CHARACTERS = 32 * 1024;
/** A compaction that would leave more than this much of a context is not worth its price. */
const WORTHWHILE = 0.8;

/**
 * How the request's context is to be compacted; null when it is not.
 * @param isTooLong whether the model server has refused the context, however small it may look from here
 * @throws ApiError `invalid_value` when a compaction is asked for and there is nothing
 */
export function planCompaction(subject: Subject, isTooLong = false): CompactionPlan | null {
  const { request, parent, compactions, limits } = subject;
  const { compaction: asked, input, generate } = request;
  const keepsChain = request.conversation !== null && request.store;
  if (!generate) return null;
  if (isCompactionTrigger(input.at(-1))) {
    const rest = input.slice(0, -1);
    const context = contextItems(parent, rest, compactions);
    if (context.length === 0) {
      throw new ApiError("invalid_value", "There is nothing to compact: the context is empty.", { param: "input" });
    }
    return {
      parent,
      summarised: [...rest, ASK_FOR_SUMMARY],
      context,
      before: keep(context, KEPT_CHARACTERS, subject.responseId),
      after: [],
      standing: context.filter(isStanding),
      isAll: true,
      keepsChain,
    };
  }
  if (asked === null) return null;
  const size = sizeOfRequest(request, parent, compactions.open);
  const named = { tokens: asked.tokens ?? limits.compactTokens, bytes: asked.bytes ?? limits.compactBytes };
  const threshold = isTooLong ? size : named;
  if (size.tokens < threshold.tokens && size.bytes < threshold.bytes) return null;

  const context = contextItems(parent, input, compactions);
  const after = unanswered(context);
  const answered = context.slice(0, context.length - after.length);
  const before = keep(answered, Math.min(KEPT_CHARACTERS, threshold.tokens), subject.responseId);
  const [whole, left] = [context, [...before, ...after]].map(sizeOfItems);
  const unit = size.tokens < threshold.tokens ? "bytes" : "tokens";
  if (whole === undefined || left === undefined || left[unit] > whole[unit] * WORTHWHILE) return null;
  // Words that the model need not see twice, unless they belong to calls that it then would not see answered.
  const isInput = after.every((item, index) => item === input[input.length - after.length + index]);
  const old = isInput && !after.some(isOutput) ? input.slice(0, input.length - after.length) : input;
  const standing = contextItems(parent, [], compactions).filter(isStanding);
  return {
    parent,
    summarised: [...old, ASK_FOR_SUMMARY],
    context: answered,
    before,
    after,
    standing,
    isAll: false,
    keepsChain,
  };
}

/** All items that the model sees, those that compactions stand for among them. */
function contextItems(tip: ResponseNode | null, input: readonly Item[], { open }: Compactions): readonly Item[] {
  const backwards: Item[] = [];
  const lists: (readonly Item[])[] = [input];
  for (let node = tip; node !== null; node = node.parent) lists.push(node.response.output, node.input);
  for (const list of lists) {
    for (const item of list.toReversed()) {
      if (!isItem(item, "compaction")) {
        backwards.push(item);
        continue;
      }
      const { items, replaces } = open(item);
      for (const each of items.toReversed()) backwards.push(each);
      if (replaces) return backwards.toReversed();
    }
  }
  return backwards.toReversed();
}

/** The end of a context that no model has answered; where it answers calls, these calls as well. */
function unanswered(context: readonly Item[]): readonly Item[] {
  let start = context.findLastIndex(isOfModel) + 1;
  const missing = new Set(context.slice(start).flatMap((item) => (isOutput(item) ? item["call_id"] : [])));
  for (let index = start - 1; index >= 0 && missing.size > 0; index -= 1) {
    const item = context[index];
    if (item !== undefined && isCall(item) && missing.delete(item["call_id"])) start = index;
  }
  return context.slice(start);
}

function isOfModel(item: Item): boolean {
  return isSummary(item) || isCall(item) || isItem(item, "reasoning") || isAssistant(item);
}

/** Calls and outputs of tools of any kind, those that this server knows nothing of included. */
function isCall({ type }: Item): boolean {
  return type.endsWith("_call");
}

function isOutput(item: Item): boolean {
  return item.type.endsWith("_output") && typeof item["call_id"] === "string";
}

function isAssistant(item: Item): boolean {
  return isItem(item, "message") && item.role === "assistant";
}

function isStanding(item: Item): boolean {
  return isItem(item, "additional_tools") || isItem(item, "configuration_update") || isItem(item, "tool_search_output");
}

/** The instructions in a context, each once, and the newest of the user's words; as items of the response. */
function keep(context: readonly Item[], budget: number, responseId: string): readonly Item[] {
  const kept: { readonly role: string; readonly text: string }[] = [];
  const said = new Set<string>();
  let room = budget;
  for (const item of context.toReversed()) {
    if (!isItem(item, "message") || item.role === "assistant" || isSummary(item)) continue;
    const text = textOf(item.content);
    if (text === "") continue;
    if (item.role === "user") {
      if (room <= 0) continue;
      kept.push({ role: item.role, text: shorten(text, room) });
      room -= text.length;
    } else if (!said.has(text)) {
      said.add(text);
      kept.push({ role: item.role, text });
    }
  }
  return kept.toReversed().map(({ role, text }, index) =>
    Object.freeze({
      type: "message",
      id: itemId(ID_PREFIX.message, responseId, "input", index),
      status: "completed",
      role,
      content: Object.freeze([Object.freeze({ type: "input_text", text })]),
    }),
  );
}

/** The text of a message; what is no text is only named. */
function textOf(content: string | readonly Part[]): string {
  if (typeof content === "string") return content;
  return content
    .map((part) => {
      const text = part["text"];
      return typeof text === "string" ? text : `[${part.type}: left out]`;
    })
    .join("\n");
}

/** Beginning and end of a text that has more characters than may be. */
function shorten(text: string, length: number): string {
  if (text.length <= length) return text;
  const half = Math.floor(length / 2);
  const [start, end] = [text.slice(0, half), text.slice(text.length - half)];
  return `${start.replace(/[\ud800-\udbff]$/, "")}\n[… left out …]\n${end.replace(/^[\udc00-\udfff]/, "")}`;
}

/** The later half of a context, without cutting calls from their outputs; null when it cannot be cut. */
export function laterHalf(context: readonly Item[]): readonly Item[] | null {
  const sizes = context.map((item) => sizeOfItems([item]).tokens);
  let toDrop = sizes.reduce((sum, tokens) => sum + tokens, 0) / 2;
  const unanswered = new Set<unknown>();
  for (const [index, item] of context.entries()) {
    if (toDrop <= 0 && unanswered.size === 0) return context.slice(index);
    if (awaitsOutput(item)) unanswered.add(item.call_id);
    if (isOutput(item)) unanswered.delete(item["call_id"]);
    toDrop -= sizes[index] ?? 0;
  }
  return null;
}
