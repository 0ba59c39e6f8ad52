import type { Dispatcher } from "undici";

/**
 * The model server's own count of a context, where it has one; it lies beside the OpenAI-compatible API, at the root of the
 * server. Which of the known ways works is found out with the first count and remembered:
 *
 * - vLLM: `POST /tokenize` takes the messages of a chat and answers with `count`
 * - llama.cpp: `POST /apply-template` makes a prompt of them, `POST /tokenize` counts it as `content`
 */

type Way = "messages" | "template" | "none";

type Pool = Pick<Dispatcher, "request">;

const TIMEOUT_MS = 15_000;

/** Means that the server knows no such thing, and will not tomorrow. */
const NOT_THERE = new Set([400, 401, 403, 404, 405, 415, 422, 501]);

export class ServerCounter {
  readonly #pool: Pool;
  readonly #root: string;
  readonly #headers: { readonly [name: string]: string };
  #way: Way | null = null;

  /** @param path of the base URL, such as `/v1` */
  constructor(pool: Pool, path: string, headers: { readonly [name: string]: string }) {
    this.#pool = pool;
    this.#root = path.replace(/\/v1$/, "");
    this.#headers = headers;
  }

  /**
   * Counts a chat.
   * @param chat JSON with `model`, `messages` and, where there are any, `tools`
   * @returns undefined when the server cannot tell
   */
  async count(chat: Buffer, signal: AbortSignal): Promise<number | undefined> {
    if (this.#way === "none") return undefined;
    if (this.#way !== "template") {
      const counted = await this.#post("/tokenize", chat, signal);
      if (counted === undefined) return undefined;
      if (counted === null) this.#way = "none";
      const count = counted?.["count"];
      if (typeof count === "number") {
        this.#way = "messages";
        return count;
      }
      // llama.cpp looks for `content` only, and finds no tokens in its absence.
      if (!Array.isArray(counted?.["tokens"])) {
        this.#way = "none";
        return undefined;
      }
    }
    const prompt = (await this.#post("/apply-template", chat, signal))?.["prompt"];
    if (typeof prompt !== "string") return undefined;
    const content = Buffer.from(JSON.stringify({ content: prompt, add_special: true, parse_special: true }));
    const tokens = (await this.#post("/tokenize", content, signal))?.["tokens"];
    if (!Array.isArray(tokens)) return undefined;
    this.#way = "template";
    return tokens.length;
  }

  /** The answer; null when there is no such endpoint, undefined when the server does not answer today. */
  async #post(
    path: string,
    body: Buffer,
    signal: AbortSignal,
  ): Promise<{ readonly [field: string]: unknown } | null | undefined> {
    try {
      const answer = await this.#pool.request({
        method: "POST",
        path: `${this.#root}${path}`,
        headers: { ...this.#headers, "content-type": "application/json" },
        body,
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      const text = await answer.body.text();
      if (answer.statusCode !== 200) return NOT_THERE.has(answer.statusCode) ? null : undefined;
      return JSON.parse(text) as { readonly [field: string]: unknown };
    } catch (error) {
      if (signal.aborted) throw error;
      return error instanceof SyntaxError ? null : undefined;
    }
  }
}
