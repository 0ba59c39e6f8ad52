import { randomUUID } from "node:crypto";
import type { BackendEvent, FinishReason } from "../core/ports.ts";
import { ApiError } from "../protocol/errors.ts";
import type { TokenLogprob } from "../protocol/items.ts";
import type { Usage } from "../protocol/response.ts";
import type { ChatHead } from "./chat-request.ts";
import { brokenStream, reportedByServer } from "./chat-errors.ts";
import { type ClientTool, clientCall } from "./client-tools.ts";
import { CustomInput } from "./custom-input.ts";
import { appendJoined } from "./join-deltas.ts";

/** The parts of a chunk that are read. Servers differ in all else, so everything may be missing. */
type Chunk = {
  readonly choices?: readonly Choice[];
  readonly usage?: ChatUsage | null;
  readonly error?: unknown;
};
type Choice = {
  readonly delta?: Delta | null;
  readonly finish_reason?: string | null;
  readonly logprobs?: { readonly content?: readonly ChatLogprob[] | null } | null;
};
type ChatLogprob = {
  readonly token?: unknown;
  readonly logprob?: unknown;
  readonly bytes?: unknown;
  readonly top_logprobs?: readonly ChatLogprob[] | null;
};
type Delta = {
  readonly content?: string | readonly { readonly text?: unknown }[] | null;
  readonly refusal?: string | null;
  readonly reasoning_content?: string | null;
  readonly reasoning?: string | null;
  readonly tool_calls?: readonly CallDelta[] | null;
};
type CallDelta = {
  readonly index?: number | null;
  readonly id?: string | null;
  readonly function?: { readonly name?: string | null; readonly arguments?: unknown } | null;
};
type ChatUsage = {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly total_tokens?: number;
  readonly prompt_cache_hit_tokens?: number;
  readonly prompt_tokens_details?: {
    readonly cached_tokens?: number | null;
    readonly cache_write_tokens?: number | null;
  } | null;
  readonly completion_tokens_details?: { readonly reasoning_tokens?: number | null } | null;
};

type OpenCall = {
  readonly key: number;
  id: string | null;
  name: string;
  custom: CustomInput | null;
  /** A call that is an item of its own kind: it is told when it is whole. */
  client: { readonly tool: ClientTool; text: string } | null;
  started: boolean;
};

/** Reads the chunks of one chat stream as backend events. */
export class ChatStream {
  readonly #tools: ChatHead["tools"];
  readonly #allowed: ChatHead["allowed"];
  /** The call that each index stands for at the moment. */
  readonly #calls = new Map<number, OpenCall>();
  #callCount = 0;
  #finish: FinishReason | null = null;
  #usage: Usage | null = null;
  #ended = false;
  readonly #logprobs: TokenLogprob[] = [];

  constructor(head: Pick<ChatHead, "tools" | "allowed">) {
    this.#tools = head.tools;
    this.#allowed = head.allowed;
  }

  /** Whether the server has said that this is all. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Puts what one SSE event's data amounts to behind the events that came with it. @throws ApiError */
  read(data: string, events: BackendEvent[]): void {
    if (this.#ended) return;
    if (data === "[DONE]") {
      // A server that ends its stream in the proper way has finished, even if it gave no reason.
      this.#finish ??= "stop";
      this.end(events);
      return;
    }
    const chunk = parse(data);
    if (chunk.error !== undefined && chunk.error !== null) throw reportedByServer(chunk.error);
    if (chunk.usage) this.#usage = toUsage(chunk.usage);
    const choice = chunk.choices?.[0];
    for (const logprob of choice?.logprobs?.content ?? []) this.#logprobs.push(...tokenLogprob(logprob));
    if (choice?.delta) this.#delta(choice.delta, events);
    if (choice?.finish_reason) this.#finish = FINISH[choice.finish_reason] ?? "stop";
  }

  /** The last events. @throws ApiError when the stream was cut before the model had finished */
  end(events: BackendEvent[]): void {
    if (this.#ended) return;
    if (this.#finish === null) throw brokenStream("ended before the response was finished");
    this.#ended = true;
    for (const call of this.#calls.values()) this.#flush(call, events);
    if (this.#usage !== null) events.push({ type: "usage", usage: this.#usage });
    events.push({ type: "finish", reason: this.#finish });
  }

  #delta(delta: Delta, events: BackendEvent[]): void {
    const reasoning = delta.reasoning_content ?? delta.reasoning;
    if (typeof reasoning === "string" && reasoning !== "")
      appendJoined(events, { type: "reasoning.delta", delta: reasoning });
    const text = contentText(delta.content);
    if (text !== "") appendJoined(events, this.#text(text));
    if (typeof delta.refusal === "string" && delta.refusal !== "") {
      appendJoined(events, { type: "refusal.delta", delta: delta.refusal });
    }
    for (const call of delta.tool_calls ?? []) this.#callDelta(call, events);
  }

  /** What is known of the tokens goes with their text, or with the next one where a token has none of its own. */
  #text(delta: string): BackendEvent {
    const logprobs = this.#logprobs.splice(0);
    return logprobs.length === 0 ? { type: "text.delta", delta } : { type: "text.delta", delta, logprobs };
  }

  #callDelta(delta: CallDelta, events: BackendEvent[]): void {
    const call = this.#callFor(delta);
    if (delta.id) call.id ??= delta.id;
    if (!call.started && delta.function?.name) call.name += delta.function.name;
    const text = argumentsText(delta.function?.arguments);
    if (!call.started && call.name !== "") this.#start(call, events);
    if (text === "" || !call.started) return;
    if (call.client !== null) {
      call.client.text += text;
      return;
    }
    const piece = call.custom === null ? text : call.custom.push(text);
    if (piece !== "") appendJoined(events, { type: "call.delta", key: call.key, delta: piece });
  }

  /** Some servers give no index, or the same one to every call: a new id together with a name begins a new call. */
  #callFor(delta: CallDelta): OpenCall {
    const index = delta.index ?? (delta.id ? this.#callCount : Math.max(0, this.#callCount - 1));
    const known = this.#calls.get(index);
    const isNew = known !== undefined && delta.id && delta.function?.name && known.id !== null && known.id !== delta.id;
    if (known !== undefined && !isNew) return known;
    const call: OpenCall = { key: this.#callCount++, id: null, name: "", custom: null, client: null, started: false };
    if (known !== undefined) this.#calls.set(-call.key - 1, known);
    this.#calls.set(index, call);
    return call;
  }

  #start(call: OpenCall, events: BackendEvent[]): void {
    if (this.#allowed !== null && !this.#allowed.has(call.name)) {
      throw new ApiError("server_error", `The model called the tool '${call.name}', which tool_choice does not allow.`);
    }
    // A model may call what it was never offered: the client knows best what to say to that.
    const tool = this.#tools.behind.get(call.name);
    call.started = true;
    if (tool?.kind === "client") {
      call.client = { tool, text: "" };
      return;
    }
    const { kind, name, namespace } = tool ?? { kind: "function", name: call.name, namespace: null };
    if (kind === "custom") call.custom = new CustomInput();
    const said = { type: "call", key: call.key, kind, callId: call.id, name } as const;
    events.push(namespace === null ? said : { ...said, namespace });
  }

  #flush(call: OpenCall, events: BackendEvent[]): void {
    if (call.client !== null) {
      const { tool, text } = call.client;
      const item = clientCall(tool.type, call.id ?? `call_${randomUUID()}`, text);
      if (item !== undefined) events.push({ type: "item", item });
      // Of an answer that was cut short the last call is half a call, and nobody is to run it.
      else if (this.#finish === "stop") throw brokenStream(`made a call of '${tool.type}' that cannot be read`);
      return;
    }
    const rest = call.custom?.end() ?? "";
    if (rest !== "") appendJoined(events, { type: "call.delta", key: call.key, delta: rest });
  }
}

const FINISH: { readonly [reason: string]: FinishReason } = {
  stop: "stop",
  tool_calls: "stop",
  function_call: "stop",
  length: "max_output_tokens",
  content_filter: "content_filter",
};

function parse(data: string): Chunk {
  let chunk: unknown;
  try {
    chunk = JSON.parse(data);
  } catch (error) {
    throw brokenStream("sent a chunk that is not JSON", error);
  }
  if (typeof chunk !== "object" || chunk === null) throw brokenStream("sent a chunk that is not a JSON object");
  return chunk;
}

function tokenLogprob(chat: ChatLogprob): readonly TokenLogprob[] {
  return logprobOf(chat).map((own) => ({ ...own, top_logprobs: (chat.top_logprobs ?? []).flatMap(logprobOf) }));
}

function logprobOf({ token, logprob, bytes }: ChatLogprob): readonly Omit<TokenLogprob, "top_logprobs">[] {
  if (typeof token !== "string" || typeof logprob !== "number") return [];
  return [{ token, logprob, bytes: Array.isArray(bytes) ? (bytes as number[]) : [...Buffer.from(token)] }];
}

function contentText(content: Delta["content"]): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part: { readonly text?: unknown }) => (typeof part.text === "string" ? part.text : "")).join("");
}

/** Most servers stream the JSON text; a few send the value. */
function argumentsText(value: unknown): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : JSON.stringify(value);
}

function toUsage(usage: ChatUsage): Usage {
  const input = usage.prompt_tokens ?? 0;
  const output = usage.completion_tokens ?? 0;
  const cached = usage.prompt_tokens_details?.cached_tokens ?? usage.prompt_cache_hit_tokens ?? 0;
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: cached,
      cache_write_tokens: usage.prompt_tokens_details?.cache_write_tokens ?? 0,
    },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: usage.completion_tokens_details?.reasoning_tokens ?? 0 },
    total_tokens: usage.total_tokens ?? input + output,
  };
}
