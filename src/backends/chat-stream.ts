import type { BackendEvent, FinishReason } from "../core/ports.ts";
import type { TokenLogprob } from "../protocol/items.ts";
import type { Usage } from "../protocol/response.ts";
import type { SseEvent } from "../protocol/sse-decoder.ts";
import { callPieces, type Fields, isFields } from "./call-pieces.ts";
import { ChatAnnotations } from "./chat-annotations.ts";
import { ChatCalls } from "./chat-calls.ts";
import { contentSaid, reasoningText } from "./chat-delta.ts";
import { brokenStream, reportedByServer, unreadable } from "./chat-errors.ts";
import { failureIn, failureOf } from "./chat-failures.ts";
import { readFinish } from "./chat-finish.ts";
import { takeLogprobs } from "./chat-logprobs.ts";
import type { ChatHead } from "./chat-request.ts";
import { chunkUsage } from "./chat-usage.ts";
import { appendJoined } from "./join-deltas.ts";
import { MessageFields } from "./message-fields.ts";
import { type Spoken, ThinkTags, type ThinkTagsMode } from "./think-tags.ts";
import { isUnknownChunk } from "./unknown-chunks.ts";

/** How long an answer that has finished may go on: its usage comes behind it, and whatever else is late does not count. */
const GRACE_MS = { withUsage: 500, withoutUsage: 2000 } as const;

/** Reads the chunks of one chat answer as backend events. Servers differ in all of it, so everything may be missing. */
export class ChatStream {
  readonly #calls: ChatCalls;
  readonly #annotations = new ChatAnnotations();
  readonly #fields: MessageFields;
  readonly #thinkTags: ThinkTags;
  readonly #skipped: (fields: readonly string[]) => void;
  readonly #logprobs: TokenLogprob[] = [];
  /** Content of messages that came instead of deltas: each may repeat the one before. */
  #message = "";
  #textLength = 0;
  /** Whether the item that grows is text, to which annotations belong. */
  #isTextOpen = false;
  #hasChoice = false;
  #hasDelta = false;
  #finish: FinishReason | null = null;
  #usage: Usage | null = null;
  #ended = false;

  /**
   * @param origin names the model server
   * @param skipped is told the fields of each chunk in which nothing was understood
   */
  constructor(
    head: Pick<ChatHead, "tools" | "allowed">,
    origin: string,
    thinkTags: ThinkTagsMode,
    skipped: (fields: readonly string[]) => void = () => undefined,
  ) {
    this.#skipped = skipped;
    this.#calls = new ChatCalls(head, origin);
    this.#fields = new MessageFields(origin);
    this.#thinkTags = new ThinkTags(thinkTags);
  }

  /** Whether the answer is complete. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Milliseconds that are left for what may still come; null while the model has not finished. */
  get grace(): number | null {
    if (this.#finish === null) return null;
    return this.#usage === null ? GRACE_MS.withoutUsage : GRACE_MS.withUsage;
  }

  /** Puts what one event of the stream amounts to behind the events that came with it. @throws ApiError */
  read({ name, data }: SseEvent, events: BackendEvent[]): void {
    if (this.#ended) return;
    const parsed = parse(data);
    if (parsed === undefined) return this.#readText(name, data.trim(), events);
    for (const chunk of Array.isArray(parsed) ? parsed : [parsed]) {
      if (!isFields(chunk)) throw unreadable("sent a chunk that is not a JSON object", data);
      this.#chunk(chunk, name, events);
    }
  }

  /** The last events. @throws ApiError when the stream was cut before the model had finished */
  end(events: BackendEvent[]): void {
    if (this.#ended) return;
    if (!this.#hasChoice) throw brokenStream("answered with nothing that a chat completion has");
    if (this.#finish === null) throw brokenStream("ended before the response was finished");
    this.#ended = true;
    this.#speak(this.#thinkTags.stop(), events);
    if (this.#isTextOpen) {
      for (const annotation of this.#annotations.rest(this.#textLength))
        events.push({ type: "annotation", annotation });
    }
    events.push(...this.#fields.take());
    this.#calls.end(this.#finish !== "stop", events);
    if (this.#usage !== null) events.push({ type: "usage", usage: this.#usage });
    events.push({ type: "finish", reason: this.#finish });
  }

  /** Data that is not JSON. */
  #readText(name: string | null, text: string, events: BackendEvent[]): void {
    if (text === "[DONE]") {
      if (!this.#hasChoice) throw brokenStream("answered with nothing that a chat completion has");
      // A server that ends its stream in the proper way has finished, even if it gave no reason.
      this.#finish ??= "stop";
      this.end(events);
      return;
    }
    // Heartbeats: comments that were wrapped as data, events of names that no answer has.
    if (text.startsWith(":") || (name !== null && name !== "message" && name !== "error")) return;
    if (name === "error") throw reportedByServer(text);
    throw unreadable("sent a chunk that is not JSON", text);
  }

  #chunk(chunk: Fields, name: string | null, events: BackendEvent[]): void {
    const failure = failureIn(chunk, name);
    if (failure !== undefined) throw reportedByServer(failure);
    const { choices } = chunk;
    const choice = Array.isArray(choices) ? (choices as unknown[]).find(isFirstChoice) : undefined;
    this.#takeUsage(chunkUsage(chunk, choice));
    if (choice === undefined) {
      this.#annotations.read(chunk, null);
      // An event with a name of its own is one that says so: a heartbeat.
      if (isUnknownChunk(chunk) && (name === null || name === "message")) this.#skipped(Object.keys(chunk));
      return;
    }
    this.#hasChoice = true;
    const failed = failureOf(choice);
    if (failed !== undefined) throw reportedByServer(failed);
    takeLogprobs(choice["logprobs"], this.#logprobs);
    this.#said(chunk, choice, events);
    this.#finish = readFinish(choice["finish_reason"], choice["native_finish_reason"]) ?? this.#finish;
  }

  /** The delta; or a message in its place, or the text of the older completions API. */
  #said(chunk: Fields, choice: Fields, events: BackendEvent[]): void {
    const { delta, message, text } = choice;
    if (isFields(delta)) {
      this.#hasDelta = true;
      this.#annotations.read(chunk, delta);
      this.#delta(delta, delta["content"], events);
    } else if (isFields(message) && !this.#hasDelta) {
      this.#annotations.read(chunk, message);
      this.#delta(message, this.#fresh(message["content"]), events);
    } else {
      this.#annotations.read(chunk, null);
      if (typeof text === "string") this.#content(text, events);
    }
    this.#annotate(events);
  }

  /** What a message says that an earlier one has not said. */
  #fresh(content: unknown): unknown {
    if (typeof content !== "string") return content;
    const isSnapshot = content.length >= this.#message.length && content.startsWith(this.#message);
    const fresh = isSnapshot ? content.slice(this.#message.length) : content;
    this.#message += fresh;
    return fresh;
  }

  #delta(delta: Fields, content: unknown, events: BackendEvent[]): void {
    this.#fields.read(delta);
    const reasoning = reasoningText(delta);
    if (reasoning !== "") {
      this.#speak(this.#thinkTags.stop(), events);
      this.#reason(reasoning, events);
    }
    this.#content(content, events);
    const { refusal } = delta;
    if (typeof refusal === "string" && refusal !== "") this.#refuse(refusal, events);
    const pieces = callPieces(delta);
    if (pieces.length === 0) return;
    if (!this.#thinkTags.isOver) this.#speak(this.#thinkTags.stop(), events);
    this.#annotate(events);
    this.#isTextOpen = false;
    events.push(...this.#fields.take());
    this.#calls.read(pieces, events);
  }

  #content(content: unknown, events: BackendEvent[]): void {
    if (content === "" || content === null || content === undefined) return;
    if (typeof content === "string") return this.#text(content, events);
    for (const { kind, text } of contentSaid(content)) {
      if (kind === "text") this.#text(text, events);
      else if (kind === "reasoning") this.#reason(text, events);
      else this.#refuse(text, events);
    }
  }

  #text(text: string, events: BackendEvent[]): void {
    if (this.#thinkTags.isOver) this.#say(text, events);
    else this.#speak(this.#thinkTags.push(text), events);
  }

  #speak(spoken: readonly Spoken[], events: BackendEvent[]): void {
    for (const { kind, text } of spoken) {
      if (kind === "text") this.#say(text, events);
      else this.#reason(text, events);
    }
  }

  /** What is known of the tokens goes with their text, or with the next one where a token has none of its own. */
  #say(delta: string, events: BackendEvent[]): void {
    if (this.#calls.any) this.#calls.closeComplete(events);
    this.#textLength += delta.length;
    if (!this.#isTextOpen) events.push(...this.#fields.take());
    this.#isTextOpen = true;
    const logprobs = this.#logprobs.splice(0);
    appendJoined(
      events,
      logprobs.length === 0 ? { type: "text.delta", delta } : { type: "text.delta", delta, logprobs },
    );
  }

  #reason(delta: string, events: BackendEvent[]): void {
    if (this.#calls.any) this.#calls.closeComplete(events);
    this.#annotate(events);
    this.#isTextOpen = false;
    appendJoined(events, { type: "reasoning.delta", delta });
  }

  #refuse(delta: string, events: BackendEvent[]): void {
    if (this.#calls.any) this.#calls.closeComplete(events);
    this.#isTextOpen = false;
    appendJoined(events, { type: "refusal.delta", delta });
  }

  /** Annotations wait for text that they can belong to. */
  #annotate(events: BackendEvent[]): void {
    if (!this.#isTextOpen) return;
    for (const annotation of this.#annotations.take()) events.push({ type: "annotation", annotation });
  }

  /** The last counts win, except that some servers send zeros where they know nothing. */
  #takeUsage(usage: Usage | null): void {
    if (usage !== null && (this.#usage === null || usage.total_tokens > 0)) this.#usage = usage;
  }
}

/** One answer was asked for; servers that give several number them from 0. */
function isFirstChoice(choice: unknown): choice is Fields {
  if (!isFields(choice)) return false;
  const { index } = choice;
  return index === undefined || index === null || Number(index) === 0;
}

/** Undefined for what is not JSON. */
function parse(data: string): unknown {
  try {
    return JSON.parse(data) as unknown;
  } catch {
    return undefined;
  }
}
