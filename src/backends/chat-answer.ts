import type { BackendEvent } from "../core/ports.ts";
import { ApiError } from "../protocol/errors.ts";
import type { SseEvent } from "../protocol/sse-decoder.ts";
import { AnswerBody } from "./answer-body.ts";
import { brokenStream, quote } from "./chat-errors.ts";
import type { ChatHead } from "./chat-request.ts";
import { ChatStream } from "./chat-stream.ts";
import type { ThinkTagsMode } from "./think-tags.ts";
import type { Taker, UpstreamCall } from "./upstream-call.ts";
import { Watchdog } from "./watchdog.ts";

const MAX_EVENT_LENGTH = 64 * 1024 * 1024;
/** How long a server may take to end an answer that it has declared over, before its connection is closed. */
const DRAIN_MS = 500;

/** What servers quote of an answer is its end. */
const SAID_LENGTH = 128 * 1024;

type Step = IteratorResult<readonly BackendEvent[], undefined>;

/** The model server has accepted the request; its output is still to come. */
const ACCEPTED: Step = { done: false, value: Object.freeze([]) };
const OVER: Step = { done: true, value: undefined };

type ChatAnswerOptions = {
  readonly head: Pick<ChatHead, "tools" | "allowed">;
  /** Sends the request, again if need be, until its answer begins. */
  readonly open: (watchdog: Watchdog) => Promise<UpstreamCall>;
  /** Ends the answer when the client is gone. */
  readonly signal: AbortSignal;
  /** Milliseconds that may pass between two chunks. */
  readonly silenceTimeoutMs: number;
  readonly thinkTags: ThinkTagsMode;
  /** Names the model server. */
  readonly origin: string;
  /** Is told the fields of each chunk in which nothing was understood. */
  readonly skipped?: (fields: readonly string[]) => void;
  /** Makes an error that the server reported in its stream loggable; `said` is what the model had said by then. */
  readonly redact: (error: unknown, said: string) => Promise<void>;
};

/**
 * The answer of a chat server, in batches of what came together. The server is asked when the first batch is. An iterator of
 * its own, and no generator: tokens come by the thousand a second, and one of those would take a detour with each.
 */
export class ChatAnswer implements AsyncIterableIterator<readonly BackendEvent[], undefined> {
  readonly #options: ChatAnswerOptions;
  readonly #watchdog: Watchdog;
  readonly #body = new AnswerBody(MAX_EVENT_LENGTH);
  readonly #stream: ChatStream;
  #call: UpstreamCall | null = null;
  #isOver = false;
  /** The end of what the model has said, with which an error of the server is compared. */
  #said = "";

  constructor(options: ChatAnswerOptions) {
    this.#options = options;
    this.#watchdog = new Watchdog(options.signal);
    this.#stream = new ChatStream(options.head, options.origin, options.thinkTags, options.skipped);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @throws ApiError */
  next(): Promise<Step> {
    if (this.#isOver) return Promise.resolve(OVER);
    return this.#call === null ? this.#first() : this.#following(this.#call);
  }

  /** Ends the answer wherever it is. */
  async return(): Promise<Step> {
    this.#end();
    return OVER;
  }

  async #first(): Promise<Step> {
    try {
      this.#call = await this.#options.open(this.#watchdog);
    } catch (error) {
      return this.#failed(error);
    }
    // Whoever left meanwhile left a call that was not there yet.
    if (!this.#isOver) return ACCEPTED;
    this.#end();
    return OVER;
  }

  /** The next batch: one promise for each, and none in between. */
  #following(call: UpstreamCall): Promise<Step> {
    const { promise, resolve } = Promise.withResolvers<Step>();
    const wait = (): void => {
      const { grace } = this.#stream;
      const { silenceTimeoutMs } = this.#options;
      const patience = grace === null ? silenceTimeoutMs : Math.min(grace, silenceTimeoutMs);
      this.#watchdog.expect(patience, "sent nothing for too long");
      call.take(take);
    };
    const take: Taker = (chunks, error) => {
      this.#watchdog.relax();
      const events: BackendEvent[] = [];
      try {
        if (error !== null) this.#broken(error, events);
        else this.#decode(chunks, events);
      } catch (thrown) {
        this.#hear(events);
        resolve(this.#failed(thrown));
        return;
      }
      this.#hear(events);
      if (events.length > 0) resolve({ done: false, value: events });
      else wait();
    };
    if (this.#stream.ended) {
      this.#end();
      return Promise.resolve(OVER);
    }
    wait();
    return promise;
  }

  /** A connection that breaks, or falls silent, behind the model's last word takes nothing from the answer. */
  #broken(error: Error, events: BackendEvent[]): void {
    if (this.#stream.grace === null || this.#isOver || this.#options.signal.aborted) throw error;
    this.#stream.end(events);
  }

  /** @throws ApiError */
  #decode(chunks: readonly Uint8Array[] | null, events: BackendEvent[]): void {
    for (const chunk of chunks ?? []) this.#read(this.#body.push(chunk), events);
    if (chunks !== null) return;
    this.#read(this.#body.end(), events);
    if (this.#body.strange !== null) throw strange(this.#body.strange);
    this.#stream.end(events);
  }

  #read(chunks: readonly SseEvent[], events: BackendEvent[]): void {
    for (const chunk of chunks) this.#stream.read(chunk, events);
  }

  /** Nothing more comes: for whoever has left that is the end, and a failure for everybody else. */
  async #failed(error: unknown): Promise<Step> {
    if (this.#isOver) return OVER;
    this.#end();
    const known = this.#watchdog.explain(error) ?? error;
    await this.#options.redact(known, this.#said);
    throw known instanceof ApiError ? known : brokenStream("broke off its answer", known);
  }

  #hear(events: readonly BackendEvent[]): void {
    for (const event of events) if ("delta" in event) this.#said += event.delta;
    if (this.#said.length > 2 * SAID_LENGTH) this.#said = this.#said.slice(-SAID_LENGTH);
  }

  #end(): void {
    this.#isOver = true;
    this.#watchdog.stop();
    // After its last event the connection is worth keeping, if the server ends its answer soon.
    if (this.#stream.ended) this.#call?.discard(DRAIN_MS);
    else this.#call?.abort();
  }
}

/** A body without a single chunk, such as a page of HTML. */
function strange(beginning: string): ApiError {
  if (beginning.trim() === "") return brokenStream("answered with nothing");
  // A page is quoted in the log; anything else may be the model's words.
  const isPage = beginning.trimStart().startsWith("<");
  const cause = new Error("the model server's answer holds no chunk", isPage ? { cause: quote(beginning) } : {});
  return brokenStream("answered with something that is not a chat completion stream", cause);
}
