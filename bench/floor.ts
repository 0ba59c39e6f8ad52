// The floor: the least code that puts the Responses API in front of a chat-completions server. No validation, no store, no
// limits, no errors worth the name: it is what a server's speed is compared with, and nothing to run in earnest.
//
//   node bench/floor.ts --upstream http://127.0.0.1:9000/v1 --port 4500 [--echo lean] [--deflate]
//
// One process answers all three ways of asking: WebSocket deltas, HTTP with previous_response_id, and stateless HTTP.

import { randomUUID } from "node:crypto";
import { createServer, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { parseArgs } from "node:util";
import { type Dispatcher, Pool } from "undici";
import { type WebSocket, WebSocketServer } from "ws";
import type { Item } from "../src/protocol/items.ts";
import { chatMessages } from "../src/bench/chat-messages.ts";

const { values: flags } = parseArgs({
  options: {
    upstream: { type: "string", default: "http://127.0.0.1:9000/v1" },
    port: { type: "string", default: "4500" },
    echo: { type: "string", default: "full" },
    deflate: { type: "boolean", default: false },
  },
});
const upstream = new URL(flags.upstream);
const path = `${upstream.pathname.replace(/\/+$/, "")}/chat/completions`;
const pool = new Pool(upstream.origin, { connections: null, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
const isLean = flags.echo === "lean";

/** A conversation: its chat messages as ready-made JSON, each with a comma before it, in a buffer that grows. */
type Conversation = { bytes: Buffer; length: number; tip: string };

type Fields = {
  readonly model: string;
  readonly instructions?: string;
  readonly tools?: readonly object[];
  readonly input: readonly Item[] | string;
  readonly previous_response_id?: string;
};
/** Where the events of a turn go: `cork` around those of one chunk of the upstream. */
type Client = { readonly emit: (type: string, json: string) => void; readonly socket: Socket | null };

const conversations = new Map<string, Conversation>();

function append(conversation: Conversation, text: string): void {
  const needed = conversation.length + Buffer.byteLength(text);
  if (needed > conversation.bytes.length) {
    const grown = Buffer.allocUnsafe(Math.max(needed, conversation.bytes.length * 2));
    conversation.bytes.copy(grown, 0, 0, conversation.length);
    conversation.bytes = grown;
  }
  conversation.length += conversation.bytes.write(text, conversation.length);
}

/** The conversation that a turn goes on from; whoever goes on from one that has moved on already starts anew. */
function conversationOf({ previous_response_id: id }: Fields, known: Map<string, Conversation>): Conversation {
  const found = id === undefined ? undefined : known.get(id);
  return found ?? { bytes: Buffer.allocUnsafe(16_384), length: 0, tip: "" };
}

const OPEN = Buffer.from('"messages":[');

/** Items as chat messages in JSON, with a comma before each. */
function messagesJson(items: readonly Item[]): string {
  return chatMessages(items)
    .map((message) => `,${JSON.stringify(message)}`)
    .join("");
}

function runTurn(fields: Fields, client: Client, known: Map<string, Conversation> | null, done: () => void): void {
  const id = `resp_${randomUUID()}`;
  const conversation = conversationOf(fields, known ?? conversations);
  append(
    conversation,
    messagesJson(
      typeof fields.input === "string" ? [{ type: "message", role: "user", content: fields.input }] : fields.input,
    ),
  );
  const { model, instructions = "", tools = [] } = fields;
  const system = instructions === "" ? "" : `{"role":"system","content":${JSON.stringify(instructions)}}`;
  const functions = tools.map((tool) => ({ type: "function", function: { ...tool, type: undefined } }));
  const head = `{"model":${JSON.stringify(model)},"stream":true,"stream_options":{"include_usage":true}${
    functions.length === 0 ? "" : `,"tools":${JSON.stringify(functions)}`
  },`;
  // The first message has a comma before it as all have; it is skipped when nothing stands before it.
  const messages = conversation.bytes.subarray(system === "" ? 1 : 0, conversation.length);
  const body = Buffer.concat([Buffer.from(head), OPEN, Buffer.from(system), messages, Buffer.from("]}")]);
  const turn = new Turn(id, fields, client);
  dispatch(
    body,
    (chunk) => turn.push(chunk),
    () => {
      turn.finish();
      if (known !== null) {
        append(conversation, messagesJson(turn.output));
        known.delete(conversation.tip);
        conversation.tip = id;
        known.set(id, conversation);
      }
      turn.complete();
      done();
    },
  );
  turn.start();
}

function dispatch(body: Buffer, onData: (chunk: Buffer) => void, onEnd: () => void): void {
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart: () => undefined,
    onResponseStart: () => undefined,
    onResponseData: (_controller, chunk) => onData(chunk),
    onResponseEnd: onEnd,
    onResponseError: (_controller, error) => console.error(error),
  };
  pool.dispatch({ method: "POST", path, headers: { "content-type": "application/json" }, body }, handler);
}

type Delta = {
  readonly content?: string;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly {
    readonly index: number;
    readonly id?: string;
    readonly function?: { readonly name?: string; readonly arguments?: string };
  }[];
};
type Chunk = { readonly choices?: readonly { readonly delta?: Delta }[]; readonly usage?: object | null };
type Open = { readonly item: Item; readonly kind: "message" | "reasoning" | "call"; text: string };

const CR = 13;
const LF = 10;

const ID_PREFIX = { message: "msg", reasoning: "rs", call: "fc" } as const;

/** One answer of the upstream, chunk by chunk, as events to the client. */
class Turn {
  readonly output: Item[] = [];
  readonly #client: Client;
  readonly #response: object;
  #rest: Buffer | null = null;
  #open: Open | null = null;
  #callIndex = -1;
  #sequence = 0;
  #usage: object | null = null;

  constructor(id: string, fields: Fields, client: Client) {
    this.#client = client;
    this.#response = {
      id,
      object: "response",
      created_at: 1_700_000_000,
      model: fields.model,
      ...(isLean ? {} : { instructions: fields.instructions ?? null, tools: fields.tools ?? [] }),
    };
  }

  start(): void {
    const response = { ...this.#response, status: "in_progress", output: [], usage: null };
    this.#corked(() => {
      this.#emit("response.created", { response });
      this.#emit("response.in_progress", { response });
    });
  }

  push(chunk: Buffer): void {
    this.#corked(() => {
      const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
      let start = 0;
      for (let end = bytes.indexOf(LF); end !== -1; end = bytes.indexOf(LF, start)) {
        const stop = bytes[end - 1] === CR ? end - 1 : end;
        // "data: {", "data: [DONE]", or an empty line
        if (stop - start > 6 && bytes[start + 6] === 0x7b) this.#read(bytes.toString("utf8", start + 6, stop));
        start = end + 1;
      }
      this.#rest = start === bytes.length ? null : bytes.subarray(start);
    });
  }

  /** The output is whole; what the conversation keeps of it is kept before the last event leaves. */
  finish(): void {
    this.#client.socket?.cork();
    this.#close();
  }

  complete(): void {
    this.#corked(() => {
      const response = { ...this.#response, status: "completed", output: this.output, usage: this.#usage };
      this.#emit("response.completed", { response });
    });
    this.#client.socket?.uncork();
  }

  #read(data: string): void {
    const { choices, usage } = JSON.parse(data) as Chunk;
    if (usage) this.#usage = usage;
    const delta = choices?.[0]?.delta;
    if (delta === undefined) return;
    if (delta.reasoning_content) this.#text("reasoning", delta.reasoning_content);
    if (delta.content) this.#text("message", delta.content);
    for (const call of delta.tool_calls ?? []) {
      if (this.#open?.kind !== "call" || call.index !== this.#callIndex) {
        this.#callIndex = call.index;
        this.#begin("call", { type: "function_call", call_id: call.id, name: call.function?.name, arguments: "" });
      }
      const piece = call.function?.arguments;
      if (piece && this.#open !== null) {
        this.#open.text += piece;
        this.#emit("response.function_call_arguments.delta", { ...this.#place(), delta: piece });
      }
    }
  }

  #text(kind: "message" | "reasoning", delta: string): void {
    if (this.#open?.kind !== kind) {
      this.#begin(
        kind,
        kind === "message" ? { type: "message", role: "assistant", content: [] } : { type: "reasoning" },
      );
      const part = { type: kind === "message" ? "output_text" : "reasoning_text", text: "", annotations: [] };
      this.#emit("response.content_part.added", { ...this.#place(), content_index: 0, part });
    }
    if (this.#open !== null) this.#open.text += delta;
    const type = kind === "message" ? "response.output_text.delta" : "response.reasoning_text.delta";
    this.#emit(type, { ...this.#place(), content_index: 0, delta });
  }

  #place(): object {
    return { item_id: this.#open?.item["id"], output_index: this.output.length };
  }

  #begin(kind: Open["kind"], fields: Item): void {
    this.#close();
    const item = { ...fields, id: `${ID_PREFIX[kind]}_${randomUUID()}`, status: "in_progress" };
    this.#open = { item, kind, text: "" };
    this.#emit("response.output_item.added", { output_index: this.output.length, item });
  }

  #close(): void {
    if (this.#open === null) return;
    const { item, kind, text } = this.#open;
    const place = this.#place();
    let done: Item;
    if (kind === "call") {
      this.#emit("response.function_call_arguments.done", { ...place, arguments: text });
      done = { ...item, arguments: text, status: "completed" };
    } else {
      const isMessage = kind === "message";
      const part = { type: isMessage ? "output_text" : "reasoning_text", text, annotations: [] };
      const type = isMessage ? "response.output_text.done" : "response.reasoning_text.done";
      this.#emit(type, { ...place, content_index: 0, text });
      this.#emit("response.content_part.done", { ...place, content_index: 0, part });
      done = { ...item, content: [part], status: "completed" };
    }
    this.#emit("response.output_item.done", { output_index: this.output.length, item: done });
    this.output.push(done);
    this.#open = null;
  }

  #emit(type: string, fields: object): void {
    this.#client.emit(type, JSON.stringify({ type, sequence_number: this.#sequence++, ...fields }));
  }

  #corked(write: () => void): void {
    this.#client.socket?.cork();
    write();
    this.#client.socket?.uncork();
  }
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    if (request.method !== "POST") {
      response.end('{"object":"list","data":[]}');
      return;
    }
    if (request.headers["content-encoding"] !== undefined) {
      response.writeHead(415).end();
      return;
    }
    const fields = JSON.parse(Buffer.concat(chunks).toString()) as Fields & { readonly store?: boolean };
    response.writeHead(200, { "content-type": "text/event-stream" });
    const known = fields.store === false ? null : conversations;
    runTurn(fields, overHttp(response), known, () => response.end("data: [DONE]\n\n"));
  });
});

function overHttp(response: ServerResponse): Client {
  return {
    emit: (type, json) => response.write(`event: ${type}\ndata: ${json}\n\n`),
    socket: response.socket,
  };
}

new WebSocketServer({ server, perMessageDeflate: flags.deflate, maxPayload: 0 }).on(
  "connection",
  (socket: WebSocket) => {
    const known = new Map<string, Conversation>();
    const { _socket } = socket as unknown as { readonly _socket: Socket };
    _socket.setNoDelay(true);
    // The server takes compressed messages and sends none: a delta compressed by itself costs sixteen times as much.
    const client: Client = { emit: (_type, json) => socket.send(json, { compress: false }), socket: _socket };
    socket.on("message", (data: Buffer) =>
      runTurn(JSON.parse(data.toString()) as Fields, client, known, () => undefined),
    );
    socket.on("error", () => socket.terminate());
  },
);

server.listen(Number(flags.port), "127.0.0.1");
