import { randomBytes } from "node:crypto";
import { type ClientOptions, WebSocket } from "ws";
import type { Target } from "./target.ts";
import type { Transcript } from "./transcript.ts";
import type { Frame, Json, Turn, WireResponse } from "./types.ts";
import { demand, show, Violation } from "./violation.ts";
import { asResponse, endsTurn, isObject, parseFrame } from "./wire.ts";

export type SocketOptions = {
  /** The key to show; `null` shows none. */
  readonly key?: string | null;
  readonly headers?: { readonly [name: string]: string };
  readonly query?: string;
  /** Whether compression is offered; most clients do not. */
  readonly deflate?: boolean;
  readonly maxPayload?: number;
};

export type SocketContext = {
  readonly target: Target;
  readonly model: string;
  readonly timeoutMs: number;
  readonly transcript: Transcript;
  /** What the transcript calls it. */
  readonly name: string;
};

export type Message = { readonly text: string; readonly isBinary: boolean };
export type Closed = { readonly code: number; readonly reason: string };
type Matches = (frame: Frame) => boolean;
type Reader = { readonly matches: Matches; readonly what: string; readonly settle: PromiseWithResolvers<Frame> };

/** A WebSocket client with nothing between a case and the wire. Frames wait in a queue until the case asks for them. */
export class Socket {
  readonly #socket: WebSocket;
  readonly #context: SocketContext;
  readonly #frames: Frame[] = [];
  readonly #readers = new Set<Reader>();
  /** Who waits for a pong, by its payload. */
  readonly #pongs = new Map<string, (payload: Buffer) => void>();
  readonly #closed = Promise.withResolvers<Closed>();
  #end: Closed | null = null;
  /** A message that is no event; it fails whoever reads next. */
  #nonsense: Violation | null = null;
  /** All messages, as they came. */
  readonly messages: Message[] = [];
  /** Headers of the 101. */
  headers: { readonly [name: string]: string | string[] | undefined } = {};

  constructor(url: string, options: SocketOptions, context: SocketContext) {
    this.#context = context;
    this.#socket = new WebSocket(url, clientOptions(options, context.target));
    // A case may wait for many pongs at once.
    this.#socket.setMaxListeners(0);
    this.#socket.on("upgrade", ({ headers }) => {
      this.headers = headers;
    });
    this.#socket.on("message", (data, isBinary) => this.#receive((data as Buffer).toString(), isBinary));
    this.#socket.on("pong", (payload) => this.#pongs.get(payload.toString("hex"))?.(payload));
    // A broken connection shows as its close.
    this.#socket.on("error", (error) => context.transcript.note(context.name, `error: ${error.message}`));
    this.#socket.on("close", (code, reason) => this.#ended({ code, reason: reason.toString() }));
  }

  /** Resolves when the server has accepted the upgrade. */
  async opened(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.once("open", resolve);
    this.#socket.once("unexpected-response", (_request, response) => {
      reject(new Violation("The upgrade was refused.", { expected: "101", got: response.statusCode }));
      this.#socket.terminate();
    });
    this.#socket.once("error", (error) => reject(new Violation(`The upgrade failed: ${error.message}`)));
    await this.#inTime(promise, "the answer to the upgrade");
    this.#context.transcript.note(this.#context.name, "connected");
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Frames that have come and that nobody has asked for. */
  get unread(): readonly Frame[] {
    return this.#frames;
  }

  send(event: Json | string): void {
    const message = typeof event === "string" ? event : JSON.stringify(event);
    this.#context.transcript.sent(this.#context.name, message);
    this.#socket.send(message);
  }

  /** Sends bytes as one frame of a message, whatever they mean. */
  sendBytes(data: Buffer, options: { readonly binary: boolean; readonly fin?: boolean }): void {
    const kind = options.binary ? "binary" : "text";
    this.#context.transcript.sent(this.#context.name, `(${kind} frame, ${data.length} bytes) ${show(data.toString())}`);
    this.#socket.send(data, { binary: options.binary, fin: options.fin ?? true });
  }

  /** Sends a `response.create` and waits for nothing. */
  create(fields: Json): void {
    this.send({ type: "response.create", model: this.#context.model, ...fields });
  }

  /** The next frame, or the next one that matches; others stay in the queue. */
  async frame(matches: Matches = () => true, what = "an event"): Promise<Frame> {
    const index = this.#frames.findIndex(matches);
    const [found] = index === -1 ? [] : this.#frames.splice(index, 1);
    if (found !== undefined) return found;
    if (this.#nonsense !== null) throw this.#nonsense;
    if (this.#end !== null) throw this.#gone(what);
    const reader: Reader = { matches, what, settle: Promise.withResolvers<Frame>() };
    this.#readers.add(reader);
    try {
      return await this.#inTime(reader.settle.promise, what);
    } finally {
      this.#readers.delete(reader);
    }
  }

  /** The frames from here to the end of a turn; of one lane only, when there are several. */
  async rest(lane?: string | null): Promise<Turn> {
    const frames: Frame[] = [];
    const isOfLane: Matches = (frame) => lane === undefined || (frame["stream_id"] ?? null) === lane;
    for (;;) {
      const last = await this.frame(isOfLane, "the end of the turn");
      frames.push(last);
      if (!endsTurn(last)) continue;
      const response = last.type === "error" ? null : asResponse(last["response"], `'response' of ${last.type}`);
      return { frames, last, response };
    }
  }

  /** Runs one turn, on the lane that it names. */
  async turn(fields: Json): Promise<Turn> {
    this.create(fields);
    const lane = fields["stream_id"];
    return this.rest(typeof lane === "string" ? lane : undefined);
  }

  /** Runs one turn that has to succeed, and returns what came of it. */
  async completed(fields: Json): Promise<WireResponse> {
    const { last, response } = await this.turn(fields);
    demand(last.type === "response.completed" && response !== null, "A turn that should succeed did not.", {
      expected: "response.completed",
      got: last,
    });
    return response;
  }

  /** Runs one turn that has to be refused, and returns the error event. */
  async refused(fields: Json | string): Promise<Frame> {
    if (typeof fields === "string") this.send(fields);
    else this.create(fields);
    const first = await this.frame(undefined, "the error event");
    demand(first.type === "error", "What should be refused was not.", { expected: "an 'error' event", got: first });
    return first;
  }

  /** Runs one turn that has to fail, before or after its first event, and returns the error. */
  async failed(fields: Json): Promise<Json> {
    const { last, response } = await this.turn(fields);
    const error = last.type === "error" ? last["error"] : response?.["error"];
    const expected = "an 'error' event, or response.failed";
    demand(isObject(error), "A turn that should fail did not.", { expected, got: last });
    return error;
  }

  /** Waits until the server has answered a ping: whatever it had sent before has come by then. Returns the payload. */
  async ping(payload: Buffer = randomBytes(8)): Promise<Buffer> {
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    const key = payload.toString("hex");
    this.#pongs.set(key, resolve);
    try {
      this.#socket.ping(payload);
      return await this.#inTime(promise, "the pong for a ping");
    } finally {
      this.#pongs.delete(key);
    }
  }

  close(code = 1000): void {
    this.#context.transcript.note(this.#context.name, `closing with ${code}`);
    this.#socket.close(code);
  }

  /** Resolves with what the server ended the connection with. */
  closed(): Promise<Closed> {
    return this.#inTime(this.#closed.promise, "the end of the connection");
  }

  /** Closes the connection the polite way, and waits for that. */
  async leave(): Promise<Closed> {
    this.close();
    return this.closed();
  }

  /** Cuts the connection. */
  cut(): void {
    this.#context.transcript.note(this.#context.name, "cut by the case");
    this.#socket.terminate();
  }

  #receive(text: string, isBinary: boolean): void {
    const { transcript, name } = this.#context;
    this.messages.push({ text, isBinary });
    let frame: Frame;
    try {
      demand(!isBinary, "The server sent a binary message.", { expected: "text messages only", got: text });
      frame = parseFrame(text, "A message of the server");
    } catch (error) {
      transcript.received(name, text);
      this.#nonsense = error as Violation;
      for (const { settle } of this.#readers) settle.reject(error);
      return;
    }
    transcript.received(name, text, frame.type);
    for (const reader of this.#readers) {
      if (!reader.matches(frame)) continue;
      this.#readers.delete(reader);
      reader.settle.resolve(frame);
      return;
    }
    this.#frames.push(frame);
  }

  #ended(closed: Closed): void {
    this.#end = closed;
    this.#context.transcript.note(this.#context.name, `closed ${closed.code} ${closed.reason}`);
    this.#closed.resolve(closed);
    for (const { settle, what } of this.#readers) settle.reject(this.#gone(what));
  }

  #gone(what: string): Violation {
    const { code, reason } = this.#end ?? { code: 0, reason: "" };
    return new Violation(`The connection was closed before ${what} came.`, { got: `close ${code} ${reason}` });
  }

  async #inTime<T>(promise: Promise<T>, what: string): Promise<T> {
    const { timeoutMs } = this.#context;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Violation(`Nothing came in ${timeoutMs / 1000} s where ${what} should have come.`)),
      timeoutMs,
    );
    try {
      return await Promise.race([promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function clientOptions({ key, headers, deflate, maxPayload }: SocketOptions, { insecure }: Target): ClientOptions {
  return {
    headers: { ...(typeof key === "string" && { authorization: `Bearer ${key}` }), ...headers },
    perMessageDeflate: deflate ?? false,
    rejectUnauthorized: !insecure,
    // What the server sends is looked at by the cases, not refused by the client.
    maxPayload: maxPayload ?? 0,
    followRedirects: false,
  };
}
