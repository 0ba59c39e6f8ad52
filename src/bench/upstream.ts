import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Item } from "../protocol/items.ts";
import { type Prefill, PrefixCache, promptOf } from "./prefix-cache.ts";
import { burstsOf, chunk, deltaChunk, hasCalls, TOKEN_CHARACTERS } from "./script.ts";

/** How the scripted model behaves. */
export type UpstreamOptions = {
  /** From the end of the request to the first token, without prefill. */
  readonly ttftMs: number;
  /** Tokens a second of each answer; 0 is as fast as they are taken. */
  readonly tokensPerSecond: number;
  /** Tokens that are written at once. */
  readonly burst: number;
  /** What each token costs before the first one of the answer, unless its prefix is cached. */
  readonly prefillMsPerToken: number;
  /** Tokens that the prefix cache keeps; 0 is no cache, and requests are then not even parsed. */
  readonly cacheTokens: number;
  /** Tokens of an answer to a conversation that has no script. */
  readonly answerTokens: number;
};

const DEFAULT_UPSTREAM: UpstreamOptions = {
  ttftMs: 0,
  tokensPerSecond: 0,
  burst: 8,
  prefillMsPerToken: 0,
  cacheTokens: 0,
  answerTokens: 64,
};

/** When a request came and its answer left; milliseconds of `performance.now()`. */
export type Call = {
  /** The first bytes of the request. */
  readonly startedAt: number;
  /** Its last byte. */
  readonly receivedAt: number;
  readonly prefill: Prefill;
  /** Just before the first token was written; then the same of the last. */
  firstTokenAt: number;
  lastTokenAt: number;
};

/** The answers of one conversation, which is known by a marker in its messages. */
export class Script {
  readonly marker: string;
  /** The requests so far, in their order. */
  readonly calls: Call[] = [];
  readonly #answers: readonly Answer[];

  constructor(marker: string, answers: readonly Answer[]) {
    this.marker = marker;
    this.#answers = answers;
  }

  next(): Answer | undefined {
    return this.#answers[this.calls.length % this.#answers.length];
  }
}

/** An answer, ready to be written. */
export type Answer = { readonly bursts: readonly Buffer[]; readonly burst: number; readonly finish: string };

export function answerOf(output: readonly Item[], burst: number): Answer {
  return { bursts: burstsOf(output, burst), burst, finish: hasCalls(output) ? "tool_calls" : "stop" };
}

const MARKER = "[bench:";
const ROLE = Buffer.from(deltaChunk({ role: "assistant", content: "" }));
const DONE = "data: [DONE]\n\n";

/** A model server that says what it was told to, at the pace that it was told. */
export class Upstream {
  readonly #server: Server;
  readonly #scripts = new Map<string, Script>();
  readonly #cache: PrefixCache;
  readonly #fallback: Answer;
  #options: UpstreamOptions;
  #count = 0;

  private constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#cache = new PrefixCache(options.cacheTokens);
    const text = "word".repeat(options.answerTokens);
    this.#fallback = answerOf([{ type: "message", role: "assistant", content: text }], options.burst);
    this.#server = createServer((request, response) => this.#serve(request, response));
    this.#server.keepAliveTimeout = 0;
  }

  static async start(options: Partial<UpstreamOptions> = {}, port = 0, host = "127.0.0.1"): Promise<Upstream> {
    const upstream = new Upstream({ ...DEFAULT_UPSTREAM, ...options });
    await new Promise<void>((resolve, reject) => {
      upstream.#server.once("error", reject);
      upstream.#server.listen(port, host, resolve);
    });
    return upstream;
  }

  /** Its base URL, as a server is to be told. */
  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}/v1`;
  }

  /** Changes the pace, for requests from now on. */
  pace(options: Partial<Omit<UpstreamOptions, "burst" | "answerTokens">>): void {
    this.#options = { ...this.#options, ...options };
  }

  /** Forgets the prefixes of all requests so far, as a model server that was just started. */
  emptyCache(): void {
    this.#cache.clear();
  }

  /** Answers for a conversation, one for each of its requests; the marker is to stand in its first message. */
  script(answers: readonly Answer[]): Script {
    const script = new Script(`${MARKER}${((this.#count += 1)).toString(36)}]`, answers);
    this.#scripts.set(script.marker, script);
    return script;
  }

  forget({ marker }: Script): void {
    this.#scripts.delete(marker);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const startedAt = performance.now();
    const chunks: Buffer[] = [];
    request.on("data", (bytes: Buffer) => chunks.push(bytes));
    request.on("end", () => {
      if (request.url?.endsWith("/models")) {
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ object: "list", data: [{ id: "bench", object: "model" }] }));
        return;
      }
      this.#answer(Buffer.concat(chunks), startedAt, response);
    });
  }

  #answer(body: Buffer, startedAt: number, response: ServerResponse): void {
    const script = this.#scriptOf(body);
    const answer = script?.next() ?? this.#fallback;
    const prefill = this.#prefill(body);
    const receivedAt = performance.now();
    const call = { startedAt, receivedAt, prefill, firstTokenAt: 0, lastTokenAt: 0 };
    script?.calls.push(call);
    const { ttftMs, prefillMsPerToken } = this.#options;
    const delay = ttftMs + prefillMsPerToken * (prefill.tokens - prefill.cached);
    response.writeHead(200, { "content-type": "text/event-stream" });
    const begin = (): void => {
      response.write(ROLE);
      this.#speak(answer, call, response);
    };
    if (delay === 0) begin();
    else setTimeout(begin, delay);
  }

  /** Writes burst after burst, at the pace, and waits for whoever does not read. */
  #speak({ bursts, burst, finish }: Answer, call: Call, response: ServerResponse): void {
    const { tokensPerSecond } = this.#options;
    const pauseMs = tokensPerSecond === 0 ? 0 : (burst * 1000) / tokensPerSecond;
    const began = performance.now();
    let index = 0;
    call.firstTokenAt = began;
    const step = (): void => {
      if (response.destroyed) return;
      const bytes = bursts[index++];
      if (bytes === undefined) {
        call.lastTokenAt = performance.now();
        response.end(this.#end(finish, call, bursts.length * burst));
        return;
      }
      if (!response.write(bytes)) response.once("drain", step);
      else if (pauseMs === 0) setImmediate(step);
      // Against the clock and not against the last token: a late timer does not slow the answer down.
      else setTimeout(step, Math.max(0, began + index * pauseMs - performance.now()));
    };
    step();
  }

  #end(finish: string, { prefill }: Call, outputTokens: number): string {
    const usage = {
      prompt_tokens: prefill.tokens,
      completion_tokens: outputTokens,
      total_tokens: prefill.tokens + outputTokens,
      prompt_tokens_details: { cached_tokens: prefill.cached },
    };
    return deltaChunk({}, finish) + chunk({ choices: [], usage }) + DONE;
  }

  #scriptOf(body: Buffer): Script | undefined {
    const start = body.indexOf(MARKER);
    if (start === -1) return undefined;
    return this.#scripts.get(body.toString("latin1", start, body.indexOf("]", start) + 1));
  }

  #prefill(body: Buffer): Prefill {
    if (this.#options.cacheTokens === 0) {
      return { tokens: Math.ceil(body.length / TOKEN_CHARACTERS), cached: 0 };
    }
    return this.#cache.admit(promptOf(body.toString()));
  }
}
