import { createHash } from "node:crypto";
import { TOKEN_CHARACTERS } from "./script.ts";

/** Tokens of a block: prefixes are known by whole blocks, as model servers keep them. */
const BLOCK_TOKENS = 16;

/** What a request costs a model server before its first token. */
export type Prefill = { readonly tokens: number; readonly cached: number };

/**
 * A model server's cache of prefixes, simulated: the blocks of every request are known to later ones that begin alike.
 * Tokens are counted as characters divided by four.
 */
export class PrefixCache {
  /** Hashes of everything up to the end of a block, least recently used first. */
  readonly #known = new Set<string>();
  readonly #maxBlocks: number;

  /** @param maxTokens how many tokens are kept; 0 keeps none */
  constructor(maxTokens: number) {
    this.#maxBlocks = Math.floor(maxTokens / BLOCK_TOKENS);
  }

  /** Forgets everything. */
  clear(): void {
    this.#known.clear();
  }

  /** Looks a prompt up, and knows it from now on. */
  admit(prompt: string): Prefill {
    const size = BLOCK_TOKENS * TOKEN_CHARACTERS;
    const tokens = Math.ceil(prompt.length / TOKEN_CHARACTERS);
    let hash = "";
    let cachedBlocks = 0;
    let isPrefix = true;
    for (let start = 0; start + size <= prompt.length; start += size) {
      hash = createHash("sha1")
        .update(hash)
        .update(prompt.slice(start, start + size))
        .digest("base64");
      isPrefix &&= this.#known.delete(hash);
      if (isPrefix) cachedBlocks += 1;
      this.#known.add(hash);
    }
    for (const oldest of this.#known) {
      if (this.#known.size <= this.#maxBlocks) break;
      this.#known.delete(oldest);
    }
    return { tokens, cached: Math.min(cachedBlocks * BLOCK_TOKENS, Math.max(0, tokens - 1)) };
  }
}

/** What a chat request puts before the model, in the order of the usual templates: tools, then messages. */
export function promptOf(body: string): string {
  const { tools = [], messages = [] } = JSON.parse(body) as { tools?: unknown[]; messages?: unknown[] };
  return [...tools, ...messages].map((part) => JSON.stringify(part)).join("\n");
}
