import type { ResponseNode } from "../core/node.ts";
import type { BackendRequest } from "../core/ports.ts";
import { isItem, isToolCall, isToolOutput, type Item, type Part } from "../protocol/items.ts";
import type { Tool } from "../protocol/tools.ts";
import { attachments, plainText } from "./chat-parts.ts";
import { inChatTerms } from "./foreign-items.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * How many tokens a context has, by an encoding of ours: the text of its items, and what a chat template is known to put
 * around it. Images and files have no text, so they count a fixed number.
 */

/** What opens and closes a message, and names its role. */
const PER_MESSAGE = 4;
/** What opens the answer. */
const PER_ANSWER = 3;
/** An image of 1024 by 1024 in OpenAI's tiles, and one of `detail: "low"`; a file counts as an image. */
const PER_IMAGE = 765;
const PER_SMALL_IMAGE = 85;

/** Counts contexts. What an item list counts is kept beside it, so a chain is counted once, however often it is asked for. */
export class ChatTokens {
  readonly #tokenizer: Tokenizer;
  readonly #ofItems = new WeakMap<readonly Item[], Promise<Counted>>();
  readonly #ofTools = new WeakMap<readonly Tool[], Promise<number>>();

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  async count({ parent, input, settings, open }: BackendRequest): Promise<number> {
    let tokens = PER_ANSWER;
    for (const items of listsOf(parent, input)) {
      const counted = await this.#items(items, open);
      tokens += counted.tokens;
      if (counted.replaces) break;
    }
    if (settings.instructions !== null) tokens += PER_MESSAGE + (await this.#tokenizer.count(settings.instructions));
    if (settings.tools.length > 0) tokens += await this.#tools(settings.tools);
    return tokens;
  }

  #items(items: readonly Item[], open: BackendRequest["open"]): Promise<Counted> {
    return once(this.#ofItems, items, async () => {
      let tokens = 0;
      let replaces = false;
      for (const item of items) {
        if (isItem(item, "compaction")) {
          const compacted = open(item);
          const instead = await this.#items(compacted.items, open);
          tokens = instead.tokens + (compacted.replaces ? 0 : tokens);
          replaces ||= compacted.replaces;
          continue;
        }
        for (const { text, images } of inChatTerms(item).map(readItem)) {
          tokens += PER_MESSAGE + images + (await this.#tokenizer.count(text));
        }
      }
      return { tokens, replaces };
    });
  }

  #tools(tools: readonly Tool[]): Promise<number> {
    return once(this.#ofTools, tools, () => this.#tokenizer.count(JSON.stringify(tools)));
  }
}

/** What a list of items counts, and whether a compaction in it stands for all that is before the list. */
type Counted = { readonly tokens: number; readonly replaces: boolean };

/** The lists of a context, the newest first. */
function* listsOf(parent: ResponseNode | null, input: readonly Item[]): Iterable<readonly Item[]> {
  yield input;
  for (let node = parent; node !== null; node = node.parent) {
    yield node.response.output;
    yield node.input;
  }
}

function once<Key extends object, Value>(
  known: WeakMap<Key, Promise<Value>>,
  key: Key,
  count: () => Promise<Value>,
): Promise<Value> {
  let counted = known.get(key);
  if (counted === undefined) known.set(key, (counted = count()));
  return counted;
}

type Read = { readonly text: string; readonly images: number };

/** What a model reads of an item that has a place in chat: its text, and the tokens of what is no text. */
function readItem(item: Item): Read {
  if (isItem(item, "message")) return readParts(item.content, item.role === "user");
  // What is no text in these is in the messages of the user behind them.
  if (isToolOutput(item)) return readParts(item.output, false);
  if (isItem(item, "reasoning")) return readParts(item.content?.length ? item.content : (item.summary ?? []), false);
  if (!isToolCall(item)) return { text: "", images: 0 };
  return { text: `${item.name} ${item.type === "function_call" ? item.arguments : item.input}`, images: 0 };
}

function readParts(content: string | readonly Part[], hasImages: boolean): Read {
  const { parts } = hasImages ? attachments(content) : { parts: [] };
  const sizes = parts.map(({ detail }): number => (detail === "low" ? PER_SMALL_IMAGE : PER_IMAGE));
  return { text: plainText(content, "\n"), images: sizes.reduce((sum, size) => sum + size, 0) };
}
