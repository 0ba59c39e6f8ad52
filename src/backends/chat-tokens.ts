import type { ResponseNode } from "../core/node.ts";
import type { BackendRequest } from "../core/ports.ts";
import { isItem, isToolCall, isToolOutput, type Item, type Part } from "../protocol/items.ts";
import type { Tool } from "../protocol/tools.ts";
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
  readonly #ofItems = new WeakMap<readonly unknown[], Promise<number>>();

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  async count({ parent, input, settings }: BackendRequest): Promise<number> {
    let tokens = PER_ANSWER + (await this.#items(input));
    for (let node: ResponseNode | null = parent; node !== null; node = node.parent) {
      tokens += (await this.#items(node.response.output)) + (await this.#items(node.input));
    }
    if (settings.instructions !== null) tokens += PER_MESSAGE + (await this.#tokenizer.count(settings.instructions));
    if (settings.tools.length > 0) tokens += await this.#tools(settings.tools);
    return tokens;
  }

  #items(items: readonly Item[]): Promise<number> {
    return this.#once(items, async () => {
      let tokens = 0;
      for (const item of items) {
        for (const { text, images } of inChatTerms(item).map(readItem)) {
          tokens += PER_MESSAGE + images + (await this.#tokenizer.count(text));
        }
      }
      return tokens;
    });
  }

  #tools(tools: readonly Tool[]): Promise<number> {
    return this.#once(tools, () => this.#tokenizer.count(JSON.stringify(tools)));
  }

  #once(list: readonly unknown[], count: () => Promise<number>): Promise<number> {
    let counted = this.#ofItems.get(list);
    if (counted === undefined) {
      counted = count();
      this.#ofItems.set(list, counted);
    }
    return counted;
  }
}

type Read = { readonly text: string; readonly images: number };

/** What a model reads of an item that has a place in chat: its text, and the tokens of what is no text. */
function readItem(item: Item): Read {
  if (isItem(item, "message")) return readParts(item.content);
  if (isToolOutput(item)) return readParts(item.output);
  if (isItem(item, "reasoning")) return readParts(item.content?.length ? item.content : (item.summary ?? []));
  if (!isToolCall(item)) return { text: "", images: 0 };
  return { text: `${item.name} ${item.type === "function_call" ? item.arguments : item.input}`, images: 0 };
}

function readParts(content: string | readonly Part[]): Read {
  if (typeof content === "string") return { text: content, images: 0 };
  const texts: string[] = [];
  let images = 0;
  for (const part of content) {
    const text = part["text"] ?? part["refusal"];
    if (typeof text === "string") texts.push(text);
    else images += part["detail"] === "low" ? PER_SMALL_IMAGE : PER_IMAGE;
  }
  return { text: texts.join("\n"), images };
}
