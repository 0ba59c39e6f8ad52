import type { ResponseNode } from "../core/node.ts";
import type { BackendRequest } from "../core/ports.ts";
import { isItem, isToolCall, isToolOutput, type Item, type Part } from "../protocol/items.ts";
import type { Tool } from "../protocol/tools.ts";

/** What the simulator knows of a context. */
export type Context = {
  readonly items: number;
  readonly toolOutputs: number;
  /** Rounds of tool calls since the last user message, and calls in them. Calls in a row are one round. */
  readonly rounds: number;
  readonly calls: number;
  readonly lastUserText: string;
  /** An estimate: a token for every four characters of text, rounded up for each item. */
  readonly tokens: number;
  readonly endsInCall: boolean;
};

type Open = BackendRequest["open"];

const CHARACTERS_PER_TOKEN = 4;
/** An image counts the same whatever its size. */
const IMAGE_CHARACTERS = 1024;

const NOTHING: Context = {
  items: 0,
  toolOutputs: 0,
  rounds: 0,
  calls: 0,
  lastUserText: "",
  tokens: 0,
  endsInCall: false,
};

/** What each node's chain amounts to, so that a turn only looks at what is new, however long the chain is. */
const memo = new WeakMap<ResponseNode, Context>();

/** The context up to a node, its response included. */
export function contextAt(node: ResponseNode | null, open: Open): Context {
  const unknown: ResponseNode[] = [];
  let known = NOTHING;
  for (let at = node; at !== null; at = at.parent) {
    const found = memo.get(at);
    if (found !== undefined) {
      known = found;
      break;
    }
    unknown.push(at);
  }
  for (const next of unknown.toReversed()) {
    known = follow(follow(known, next.input, open), next.response.output, open);
    memo.set(next, known);
  }
  return known;
}

/** The context once these items have followed it. */
export function follow(context: Context, items: readonly Item[], open: Open): Context {
  let current = context;
  let start = 0;
  for (const [index, item] of items.entries()) {
    if (!isItem(item, "compaction")) continue;
    const { replaces, items: instead } = open(item);
    const before = replaces ? NOTHING : followAll(current, items.slice(start, index));
    current = followAll(before, instead);
    start = index + 1;
  }
  return followAll(current, start === 0 ? items : items.slice(start));
}

function followAll(context: Context, items: readonly Item[]): Context {
  let { toolOutputs, rounds, calls, lastUserText, tokens, endsInCall } = context;
  for (const item of items) {
    tokens += tokensIn(characters(item));
    if (isItem(item, "message") && item.role === "user") {
      lastUserText = messageText(item.content);
      rounds = 0;
      calls = 0;
    }
    if (isToolOutput(item)) toolOutputs += 1;
    const isCall = isToolCall(item);
    if (isCall) calls += 1;
    if (isCall && !endsInCall) rounds += 1;
    endsInCall = isCall;
  }
  return { items: context.items + items.length, toolOutputs, rounds, calls, lastUserText, tokens, endsInCall };
}

const toolTokens = new WeakMap<readonly Tool[], number>();

/** What stands before the context: instructions and tools. */
export function headTokens(instructions: string | null, tools: readonly Tool[]): number {
  let counted = toolTokens.get(tools);
  if (counted === undefined) {
    counted = tokensIn(tools.length === 0 ? 0 : JSON.stringify(tools).length);
    toolTokens.set(tools, counted);
  }
  return counted + tokensIn(instructions?.length ?? 0);
}

function tokensIn(length: number): number {
  return Math.ceil(length / CHARACTERS_PER_TOKEN);
}

/** What a model would read of an item: not its ids, which differ between two clients that say the same. */
function characters(item: Item): number {
  if (isItem(item, "message")) return partCharacters(item.content);
  if (isItem(item, "function_call")) return item.name.length + item.arguments.length;
  if (isItem(item, "custom_tool_call")) return item.name.length + item.input.length;
  if (isToolOutput(item)) return partCharacters(item.output);
  if (isItem(item, "reasoning")) return partCharacters(item.content ?? []) + partCharacters(item.summary ?? []);
  return JSON.stringify(item).length;
}

function partCharacters(content: string | readonly Part[]): number {
  if (typeof content === "string") return content.length;
  return content.reduce((sum, part) => sum + charactersOfPart(part), 0);
}

function charactersOfPart(part: Part): number {
  if (part.type === "input_image") return IMAGE_CHARACTERS;
  const text = part["text"] ?? part["refusal"];
  return typeof text === "string" ? text.length : JSON.stringify(part).length;
}

function messageText(content: string | readonly Part[]): string {
  if (typeof content === "string") return content;
  return content.map((part) => (typeof part["text"] === "string" ? part["text"] : "")).join("");
}
