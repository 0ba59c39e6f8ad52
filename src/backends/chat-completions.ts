import { setImmediate } from "node:timers/promises";
import { type Dispatcher, Pool } from "undici";
import type { Backend, BackendEvent, BackendRequest } from "../core/ports.ts";
import { ApiError } from "../protocol/errors.ts";
import { ChatAnswer } from "./chat-answer.ts";
import { type ChatHead, chatHead, type ChatRequestOptions } from "./chat-request.ts";
import { ChatContexts } from "./chat-context.ts";
import { type Dialect, LEAD, LEAD_SEPARATOR, type ReasoningField } from "./chat-writer.ts";
import { parseRetryAfter, quotationIn, refusedByServer, unreachable, wantsSystemFirst } from "./chat-errors.ts";
import { ChatTokens } from "./chat-tokens.ts";
import { LeftOut } from "./left-out.ts";
import { redact } from "./redact.ts";
import { ServerCounter } from "./server-counter.ts";
import { type Encoding, Tokenizer } from "./tokenizer.ts";
import type { ChatTools } from "./chat-tools.ts";
import { Rope } from "./rope.ts";
import type { ThinkTagsMode } from "./think-tags.ts";
import { type AnswerHead, UpstreamCall } from "./upstream-call.ts";
import type { Watchdog } from "./watchdog.ts";

export type ChatCompletionsOptions = ChatRequestOptions & {
  /** Base URL, such as `http://127.0.0.1:8000/v1`. */
  readonly url: string;
  readonly key: string | null;
  /** The field that takes earlier reasoning back to the model; null keeps it from the model. */
  readonly reasoningField: ReasoningField;
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

/** Statuses that another try may mend. */
const TRANSIENT = new Set([408, 429, 500, 502, 503, 504]);
/** A server that asks for a longer wait than this is left to the client's own patience. */
const LONGEST_RETRY_WAIT_SECONDS = 10;
const ERROR_BODY_BYTES = 64 * 1024;
/** Below this one copy is cheaper than several writes. */
const SMALL_BODY = 128 * 1024;

/** Any server that speaks OpenAI's `/v1/chat/completions`: vLLM, SGLang, llama.cpp, Ollama, a hosted API. */
export class ChatCompletionsBackend implements Backend {
  readonly #options: ChatCompletionsOptions;
  readonly #pool: Pool;
  readonly #path: string;
  readonly #headers: { readonly [name: string]: string };
  readonly #contexts: Contexts;
  /** Models whose template has refused words of the system that do not come first, by the backend's name. */
  readonly #systemFirst = new Set<string>();
  readonly #tokens: ChatTokens;
  /** Null when the model server is not to be asked. */
  readonly #counter: ServerCounter | null;
  /** Contexts for tools of which some have other names in chat than their own: hardly any have. */
  readonly #contextsOfRenamed = new WeakMap<ChatTools, Contexts>();
  readonly #leftOut = new LeftOut();

  constructor(options: ChatCompletionsOptions) {
    const url = new URL(options.url);
    this.#options = options;
    this.#path = url.pathname.replace(/\/+$/, "");
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
    this.#contexts = openContexts(options.reasoningField, new Map());
  }

  stream(request: BackendRequest, signal: AbortSignal): AsyncIterable<readonly BackendEvent[]> {
    const head = chatHead(request, this.#options);
    this.#leftOut.report(request, head, this.#options.log);
    const mapping = this.#map(request, head.tools);
    const step = mapping.next();
    const messages = step.done ? step.value : mapping;
    let sent: RequestBody | null = null;
    const open = (watchdog: Watchdog): Promise<UpstreamCall> =>
      this.#open(head, messages, request, watchdog, (body) => (sent = body));
    const redact = (error: unknown, said: string): Promise<void> =>
      redactQuotation(error, [...(sent === null ? [] : contentOf(sent)), Buffer.from(said)]);
    const { silenceTimeoutMs, thinkTags } = this.#options;
    return new ChatAnswer({ head, open, signal, silenceTimeoutMs, thinkTags, redact });
  }

  async models(): Promise<readonly string[]> {
    const { statusCode, body } = await this.#pool.request({
      method: "GET",
      path: `${this.#path}/models`,
      headers: this.#headers,
      headersTimeout: this.#options.connectTimeoutMs,
      bodyTimeout: this.#options.connectTimeoutMs,
    });
    const text = await body.text();
    if (statusCode !== 200) throw refusedByServer(statusCode, undefined, text);
    const { data } = JSON.parse(text) as { data?: readonly { id?: unknown }[] };
    return (data ?? []).flatMap((model) => (typeof model.id === "string" ? model.id : []));
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
    const { tools } = chatHead(request, this.#options);
    const json = JSON.stringify({ model: request.model, add_generation_prompt: true }).slice(0, -1);
    const { instructions } = request.settings;
    const system = instructions === null ? "" : JSON.stringify({ role: "system", content: instructions });
    const head = `${json}${tools.json === null ? "" : `,"tools":${tools.json}`},"messages":[${system}`;
    const messages = await mappedInSteps(this.#map(request, tools));
    return Buffer.concat(requestPieces(head, messages.pieces(), request));
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #map({ model, parent, input, open }: BackendRequest, tools: ChatTools): Generator<void, Rope> {
    let contexts = tools.renamed.size === 0 ? this.#contexts : this.#contextsOfRenamed.get(tools);
    if (contexts === undefined) {
      contexts = openContexts(this.#options.reasoningField, tools.renamed);
      this.#contextsOfRenamed.set(tools, contexts);
    }
    const late = this.#systemFirst.has(model) ? contexts.user : contexts.system;
    return late.messages(parent, input, open);
  }

  /** Has the answer begin. @throws ApiError */
  async #open(
    head: ChatHead,
    messages: Rope | Generator<void, Rope>,
    request: BackendRequest,
    watchdog: Watchdog,
    sending: (body: RequestBody) => void,
  ): Promise<UpstreamCall> {
    const send = (rope: Rope): Promise<UpstreamCall> => {
      const body = requestBody(head, rope.pieces(), request);
      sending(body);
      return this.#send(body, watchdog);
    };
    const rope = messages instanceof Rope ? messages : await mappedInSteps(messages);
    try {
      return await send(rope);
    } catch (error) {
      if (this.#systemFirst.has(request.model) || !wantsSystemFirst(error)) throw error;
      this.#systemFirst.add(request.model);
      const { log } = this.#options;
      log.warn({ model: request.model }, "the model takes words of the system only first: later ones are the user's");
      return send(await mappedInSteps(this.#map(request, head.tools)));
    }
  }

  /** Sends the request, again if need be, until an event stream begins. @throws ApiError */
  async #send(body: RequestBody, watchdog: Watchdog): Promise<UpstreamCall> {
    for (let attempt = 0; ; attempt += 1) {
      const result = await this.#attempt(body, watchdog);
      if ("call" in result) return result.call;
      if (!result.transient || attempt >= this.#options.retries) throw result.error;
      const asked = (result.error.retryAfter ?? 0) * 1000;
      if (asked > LONGEST_RETRY_WAIT_SECONDS * 1000) throw result.error;
      // The jitter keeps clients that failed together from coming back together.
      const backoff = this.#options.retryDelayMs * 2 ** attempt * (0.5 + Math.random());
      this.#options.log.warn({ attempt: attempt + 1, err: result.error.cause }, "trying the model server again");
      await watchdog.wait(Math.max(asked, backoff));
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
      return { error: unreachable(error), transient: true };
    }
    const { status, headers } = answer;
    // The body tells what it is: content types are often wrong or missing.
    if (status >= 200 && status < 300) return { call };
    const text = await readBeginning(call);
    watchdog.relax();
    const retryAfter = headers["retry-after"];
    const seconds = parseRetryAfter(Array.isArray(retryAfter) ? retryAfter[0] : retryAfter);
    const error = refusedByServer(status, seconds === undefined ? undefined : String(seconds), text);
    await redactQuotation(error, contentOf(body));
    return { error, transient: TRANSIENT.has(status) };
  }
}

type Attempt = { readonly call: UpstreamCall } | { readonly error: ApiError; readonly transient: boolean };

/** Contexts by whose words those of the system are where they do not come first. */
type Contexts = { readonly [Late in Dialect["lateSystem"]]: ChatContexts };

function openContexts(reasoningField: ReasoningField, renamed: Dialect["renamed"]): Contexts {
  const open = (lateSystem: Dialect["lateSystem"]) => new ChatContexts({ reasoningField, renamed, lateSystem });
  return { system: open("system"), user: open("user") };
}

type RequestBody = {
  readonly bytes: Uint8Array | readonly Uint8Array[];
  readonly headers: { readonly "content-type": string; readonly "content-length": string };
};

/** What a mapping comes to. Between its steps others have their turn. */
async function mappedInSteps(mapping: Generator<void, Rope>): Promise<Rope> {
  for (;;) {
    const step = mapping.next();
    if (step.done) return step.value;
    await setImmediate();
  }
}

/** The head, then the messages as they are: what was serialised once is only copied to the socket. */
function requestBody(head: ChatHead, messages: readonly Uint8Array[], request: BackendRequest): RequestBody {
  const pieces = requestPieces(head.json, messages, request);
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return {
    bytes: length <= SMALL_BODY ? Buffer.concat(pieces, length) : pieces,
    headers: { "content-type": "application/json", "content-length": String(length) },
  };
}

function contentOf({ bytes }: RequestBody): readonly Uint8Array[] {
  return bytes instanceof Uint8Array ? [bytes] : bytes;
}

/** Makes an error loggable: cuts from the server's words in it what quotes the content. */
async function redactQuotation(error: unknown, content: readonly Uint8Array[]): Promise<void> {
  const quotation = quotationIn(error);
  if (quotation !== null) quotation.redacted = await redact(quotation.message, content);
}

const LEAD_BYTES = Buffer.from(LEAD);

function requestPieces(head: string, messages: readonly Uint8Array[], request: BackendRequest): readonly Uint8Array[] {
  const [first, ...others] = messages;
  const end = Buffer.from("]}");
  if (first === undefined) return [Buffer.from(head), end];
  // Each message brings a comma; the first one has nothing to be separated from, unless instructions precede it.
  if (request.settings.instructions === null) return [Buffer.from(head), first.subarray(1), ...others, end];
  if (!LEAD_BYTES.equals(first.subarray(0, LEAD_BYTES.length))) return [Buffer.from(head), ...messages, end];
  // The instructions are the beginning of the message with which the system goes on.
  const opened = head.slice(0, -'"}'.length) + LEAD_SEPARATOR;
  return [Buffer.from(opened), first.subarray(LEAD_BYTES.length), ...others, end];
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
