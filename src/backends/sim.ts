import type { Backend, BackendEvent, BackendRequest } from "../core/ports.ts";
import { checkMcp, type McpTools } from "./mcp-tools.ts";
import { inputTokens, type SimAnswer, simAnswer, type ToolPolicy } from "./sim-answer.ts";
import type { SimTools } from "./sim-tools.ts";

export type SimOptions = {
  /** Rounds of tool calls after a user message, before it answers. */
  readonly rounds?: number;
  /** Which tools it calls unasked: those that only read (`safe`), every one, or none. */
  readonly tools?: SimTools;
  /** What becomes of tools that reach for an MCP server. */
  readonly mcpTools?: McpTools;
  /** Milliseconds to the first token. */
  readonly delayMs?: number;
  /** Tokens per second after that; 0 is as fast as they are taken. */
  readonly tokensPerSecond?: number;
};

/** Tokens that go out together when nothing holds them back. */
const TOKENS_PER_BATCH = 64;

/**
 * The built-in model: no key, no network, and the same answer to the same context every time. It calls tools that only
 * read, in turn and with arguments that fit their schemas, for a number of rounds; a tool that runs commands it calls once,
 * to print a line. Then it answers, says that it is a simulator, and what it has seen. A tool that `tool_choice` demands it
 * always calls. "Reply with exactly: X" makes it answer X at once.
 */
export class SimBackend implements Backend {
  readonly #policy: ToolPolicy;
  readonly #mcpTools: McpTools;
  readonly #delayMs: number;
  readonly #tokensPerSecond: number;

  constructor({ rounds = 3, tools = "safe", mcpTools = "refuse", delayMs = 0, tokensPerSecond = 0 }: SimOptions = {}) {
    this.#policy = { tools, rounds };
    this.#mcpTools = mcpTools;
    this.#delayMs = delayMs;
    this.#tokensPerSecond = tokensPerSecond;
  }

  stream(request: BackendRequest, signal: AbortSignal): AsyncIterable<readonly BackendEvent[]> {
    checkMcp(request.settings.tools, this.#mcpTools);
    return this.#speak(simAnswer(request, this.#policy), signal);
  }

  async models(): Promise<readonly string[]> {
    return ["sim"];
  }

  async prefill(): Promise<void> {}

  async count(request: BackendRequest): Promise<number> {
    return inputTokens(request);
  }

  async close(): Promise<void> {}

  async *#speak({ tokens, end }: SimAnswer, signal: AbortSignal): AsyncGenerator<readonly BackendEvent[]> {
    const firstAt = performance.now() + this.#delayMs;
    if (this.#delayMs > 0) yield [];
    const interval = this.#tokensPerSecond > 0 ? 1000 / this.#tokensPerSecond : 0;
    for (let sent = 0; sent < tokens.length; ) {
      const early = firstAt + sent * interval - performance.now();
      if (early > 0) await wait(early, signal);
      if (signal.aborted) return;
      // A timer may be late by several tokens: they are all due then.
      const late = performance.now() - firstAt - sent * interval;
      const due = interval === 0 ? TOKENS_PER_BATCH : 1 + Math.max(0, Math.floor(late / interval));
      yield oneByOne(tokens.slice(sent, sent + due));
      sent += due;
    }
    if (!signal.aborted) yield end;
  }
}

/** Resolves after the time, or at once when the signal is aborted. */
function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}

/** Each call ends before the next begins. */
function oneByOne(tokens: readonly BackendEvent[]): readonly BackendEvent[] {
  return tokens.flatMap((token) =>
    token.type === "call" && token.key > 0 ? [{ type: "call.done", key: token.key - 1 } as const, token] : token,
  );
}
