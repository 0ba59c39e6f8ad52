import { setImmediate } from "node:timers/promises";
import { type Dispatcher, Pool } from "undici";
import type { Backend, BackendEvent, BackendRequest } from "../core/ports.ts";
import { ApiError } from "../protocol/errors.ts";
import { ChatAnswer } from "./chat-answer.ts";
import { chatHead, type ChatRequestOptions } from "./chat-request.ts";
import { ChatContexts } from "./chat-context.ts";
import { quotationIn, readRefusal, type Refusal, refusedByServer, unreachable } from "./chat-errors.ts";
import { ChatTokens } from "./chat-tokens.ts";
import { LeftOut } from "./left-out.ts";
import { redact } from "./redact.ts";
import { ServerCounter } from "./server-counter.ts";
import type { Dialect, DialectChange } from "./dialect.ts";
import { keyOfMessages } from "./dialect.ts";
import { DialectLearner, type LessonTried } from "./dialect-learner.ts";
import { type DialectSettings, ModelDialects } from "./model-dialects.ts";
import { readModelList } from "./model-list.ts";
import { contentOf, isSameBody, type RequestBody, requestBody, requestPieces } from "./request-body.ts";
import { nextTry, type Retry, retryOf } from "./retry-policy.ts";
import { type Encoding, Tokenizer } from "./tokenizer.ts";
import type { ChatTools } from "./chat-tools.ts";
import { Rope } from "./rope.ts";
import type { ThinkTagsMode } from "./think-tags.ts";
import { type AnswerHead, UpstreamCall } from "./upstream-call.ts";
import type { Watchdog } from "./watchdog.ts";
import { UnknownChunks } from "./unknown-chunks.ts";

export type ChatCompletionsOptions = ChatRequestOptions & {
  /** Base URL, such as `http://127.0.0.1:8000/v1`. */
  readonly url: string;
  readonly key: string | null;
  /** What is known of the models' dialects; the rest is learned from refusals. */
  readonly dialects?: DialectSettings;
  /** How thinking between tags is told apart from text. */
  readonly thinkTags: ThinkTagsMode;
  readonly connectTimeoutMs: number;
  /** From the request to the first byte of the answer: queueing and prefill take their time. */
  readonly firstByteTimeoutMs: number;
  /** Between two chunks of the answer. */
  readonly silenceTimeoutMs: number;
  /** How often a request is sent again that failed before the first byte of its answer. */
  readonly retries: number;
  /** The wait before the first retry; it doubles with each. */
  readonly retryDelayMs: number;
  /** Whether a warm-up really warms the model: it costs a request with one token of output. */
  readonly prefill: boolean;
  /** How tokens are counted: by this encoding, or by the model server where it can and else by `o200k_base`. */
  readonly tokenizer: "auto" | Encoding;
  readonly log: BackendLog;
};

/** Where a backend says what an operator should know. */
type BackendLog = { warn(fields: object, message: string): void };

const ERROR_BODY_BYTES = 64 * 1024;

/** Any server that speaks OpenAI's `/v1/chat/completions`: vLLM, SGLang, llama.cpp, Ollama, a hosted API. */
export class ChatCompletionsBackend implements Backend {
  readonly #options: ChatCompletionsOptions;
  readonly #pool: Pool;
  readonly #path: string;
  /** What opaque fields belong to. */
  readonly #origin: string;
  readonly #headers: { readonly [name: string]: string };
  readonly #dialects: ModelDialects;
  /** Contexts of each dialect that was spoken. */
  readonly #contexts: Contexts = new Map();
  readonly #tokens: ChatTokens;
  /** Null when the model server is not to be asked. */
  readonly #counter: ServerCounter | null;
  /** Contexts for tools of which some have other names in chat than their own: hardly any have. */
  readonly #contextsOfRenamed = new WeakMap<ChatTools, Contexts>();
  readonly #unknownChunks = new UnknownChunks();
  readonly #leftOut = new LeftOut();

  constructor(options: ChatCompletionsOptions) {
    const url = new URL(options.url);
    this.#options = options;
    this.#path = url.pathname.replace(/\/+$/, "");
    this.#origin = url.origin + this.#path;
    this.#pool = new Pool(url.origin, {
      connections: null,
      connect: { timeout: options.connectTimeoutMs },
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.#headers = options.key === null ? {} : { authorization: `Bearer ${options.key}` };
    const isAuto = options.tokenizer === "auto";
    this.#tokens = new ChatTokens(new Tokenizer(isAuto ? "o200k_base" : options.tokenizer));
    this.#counter = isAuto ? new ServerCounter(this.#pool, this.#path, this.#headers) : null;
    this.#dialects = new ModelDialects(options.dialects);
  }

  stream(request: BackendRequest, signal: AbortSignal): AsyncIterable<readonly BackendEvent[]> {
    const dialect = this.#dialects.of(request.model);
    const head = chatHead(request, this.#options, dialect);
    this.#leftOut.report(request, head, this.#options.log);
    const mapping = this.#map(request, head.tools, dialect);
    const step = mapping.next();
    const messages = step.done ? step.value : mapping;
    let sent: RequestBody | null = null;
    const open = async (watchdog: Watchdog): Promise<UpstreamCall> => {
      const rope = messages instanceof Rope ? messages : await mappedInSteps(messages);
      sent = requestBody(head, rope, dialect);
      return this.#open(request, { dialect, body: sent }, watchdog);
    };
    const redact = (error: unknown, said: string): Promise<void> =>
      redactQuotation(error, [...(sent === null ? [] : contentOf(sent)), Buffer.from(said)]);
    const { silenceTimeoutMs, thinkTags, log } = this.#options;
    const skipped = (fields: readonly string[]): void => this.#unknownChunks.report(fields, request.model, log);
    const origin = this.#origin;
    return new ChatAnswer({ head, open, signal, silenceTimeoutMs, thinkTags, origin, skipped, redact });
  }

  async models(): Promise<readonly string[]> {
    const path = `${this.#path}/models`;
    const { statusCode, headers, body } = await this.#pool.request({
      method: "GET",
      path,
      headers: this.#headers,
      headersTimeout: this.#options.connectTimeoutMs,
      bodyTimeout: this.#options.connectTimeoutMs,
    });
    const text = await body.text();
    if (statusCode !== 200) throw refusedByServer(this.#refusal({ status: statusCode, headers, body: text, path }));
    return readModelList(text);
  }

  async prefill(request: BackendRequest, signal: AbortSignal): Promise<void> {
    if (!this.#options.prefill) return;
    const settings = { ...request.settings, max_output_tokens: 1 };
    try {
      for await (const _ of this.stream({ ...request, settings }, signal)) break;
    } catch (error) {
      this.#options.log.warn({ err: error }, "could not warm up the model's prefix cache");
    }
  }

  async count(request: BackendRequest, signal: AbortSignal): Promise<number> {
    const counted = await this.#counter?.count(await this.#countable(request), signal);
    return counted ?? (await this.#tokens.count(request));
  }

  /** The request as the model server's own counter takes it: nothing but what the model reads. */
  async #countable(request: BackendRequest): Promise<Buffer> {
    const dialect = this.#dialects.of(request.model);
    const { tools, instructions } = chatHead(request, this.#options, dialect);
    const json = JSON.stringify({ model: request.model, add_generation_prompt: true }).slice(0, -1);
    const head = `${json}${tools.json === null ? "" : `,"tools":${tools.json}`},"messages":[`;
    const messages = await mappedInSteps(this.#map(request, tools, dialect));
    return Buffer.concat(requestPieces({ json: head, instructions }, messages, dialect));
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #map({ parent, input, open }: BackendRequest, tools: ChatTools, dialect: Dialect): Generator<void, Rope> {
    let contexts = tools.renamed.size === 0 ? this.#contexts : this.#contextsOfRenamed.get(tools);
    if (contexts === undefined) this.#contextsOfRenamed.set(tools, (contexts = new Map()));
    const key = keyOfMessages(dialect);
    let own = contexts.get(key);
    if (own === undefined) contexts.set(key, (own = new ChatContexts(dialect, tools.renamed, this.#origin)));
    return own.messages(parent, input, open);
  }

  /**
   * Has the answer begin. A refusal that names what the server wants is answered with another form of the request, until
   * the server takes one, or names nothing more that can be changed.
   * @throws ApiError
   */
  async #open(request: BackendRequest, first: Form, watchdog: Watchdog): Promise<UpstreamCall> {
    const learner = new DialectLearner(first.dialect);
    let form = first;
    for (;;) {
      const result = await this.#send(form.body, watchdog, request.retries);
      if (result instanceof UpstreamCall) {
        this.#learned(request.model, learner.onSuccess());
        return result;
      }
      const next = await this.#otherForm(request, form, learner.onRefusal(result));
      if (next === null) {
        const { proven, error } = learner.onFailure(result);
        this.#learned(request.model, proven);
        throw error;
      }
      learner.try(next.lesson, result.error);
      form = next;
    }
  }

  /** The request in the form that a lesson asks for; null when no lesson changes anything in it. */
  async #otherForm(
    request: BackendRequest,
    { body }: Form,
    lessons: readonly LessonTried[],
  ): Promise<(Form & { readonly lesson: LessonTried }) | null> {
    for (const lesson of lessons) {
      const { dialect } = lesson;
      const head = chatHead(request, this.#options, dialect);
      const other = requestBody(head, await mappedInSteps(this.#map(request, head.tools, dialect)), dialect);
      if (!isSameBody(body, other)) return { dialect, body: other, lesson };
    }
    return null;
  }

  #learned(model: string, change: DialectChange): void {
    const news = this.#dialects.learn(model, change);
    if (news === null) return;
    this.#options.log.warn({ model, learned: news }, "learned from a refusal how this model server wants its requests");
  }

  /** Sends the request, again if need be, until an event stream begins. @throws ApiError */
  async #send(body: RequestBody, watchdog: Watchdog, most = Infinity): Promise<UpstreamCall | Refused> {
    const { retryDelayMs, firstByteTimeoutMs, log } = this.#options;
    const retries = Math.min(this.#options.retries, most);
    const begun = performance.now();
    for (let attempt = 0; ; attempt += 1) {
      const result = await this.#attempt(body, watchdog);
      if ("call" in result) return result.call;
      const { error, retry } = result;
      const elapsedMs = performance.now() - begun;
      const pause = nextTry(
        { retry, wait: error.retryAfter, attempt, elapsedMs },
        { retries, retryDelayMs, loadingMs: firstByteTimeoutMs },
      );
      if (pause === null) return result;
      log.warn({ attempt: attempt + 1, err: error.cause }, "trying the model server again");
      await watchdog.wait(pause);
    }
  }

  async #attempt(body: RequestBody, watchdog: Watchdog): Promise<Attempt> {
    watchdog.expect(this.#options.firstByteTimeoutMs, "did not begin to answer in time");
    const request: Dispatcher.DispatchOptions = {
      method: "POST",
      path: `${this.#path}/chat/completions`,
      headers: { ...this.#headers, ...body.headers },
      body: body.bytes as Uint8Array,
    };
    const call = new UpstreamCall(this.#pool, request);
    watchdog.guard(() => call.abort());
    let answer: AnswerHead;
    try {
      answer = await call.head;
    } catch (error) {
      const explained = watchdog.explain(error);
      if (explained !== null) throw explained;
      return { error: unreachable(error), retry: "again", refusal: null };
    }
    const { status, headers } = answer;
    // The body tells what it is: content types are often wrong or missing.
    if (status >= 200 && status < 300) return { call };
    const text = await readBeginning(call);
    watchdog.relax();
    const refusal = this.#refusal({ status, headers, body: text, path: request.path });
    const error = refusedByServer(refusal);
    await redactQuotation(error, contentOf(body));
    return { error, retry: retryOf(refusal), refusal };
  }

  #refusal({ path, ...answer }: Answered): Refusal {
    const { url, key } = this.#options;
    return readRefusal({ ...answer, url: `${new URL(url).origin}${path}`, secrets: key === null ? [] : [key] });
  }
}

type Attempt = { readonly call: UpstreamCall } | Refused;

/** Why there is no answer. */
type Refused = {
  readonly error: ApiError;
  readonly retry: Retry;
  /** What the server said; null where it said nothing that can be learned from. */
  readonly refusal: Refusal | null;
};

type Answered = {
  readonly status: number;
  readonly headers: AnswerHead["headers"];
  readonly body: string;
  readonly path: string;
};

/** Contexts by the name of their messages' form. */
type Contexts = Map<string, ChatContexts>;

/** A request as one dialect says it. */
type Form = { readonly dialect: Dialect; readonly body: RequestBody };

/** What a mapping comes to. Between its steps others have their turn. */
async function mappedInSteps(mapping: Generator<void, Rope>): Promise<Rope> {
  for (;;) {
    const step = mapping.next();
    if (step.done) return step.value;
    await setImmediate();
  }
}

/** Makes an error loggable: cuts from the server's words in it what quotes the content. */
async function redactQuotation(error: unknown, content: readonly Uint8Array[]): Promise<void> {
  const quotation = quotationIn(error);
  if (quotation !== null) quotation.redacted = await redact(quotation.message, content);
}

/** The beginning of an error's text, so that a large page of HTML costs nothing. */
async function readBeginning(call: UpstreamCall): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    while (length < ERROR_BODY_BYTES) {
      const more = await call.read();
      if (more === null) break;
      for (const chunk of more) length += chunk.length;
      chunks.push(...more);
    }
  } catch {
    // A broken error page is still an error page; what has come of it will do.
  }
  call.abort();
  return Buffer.concat(chunks).subarray(0, ERROR_BODY_BYTES).toString("utf8");
}
