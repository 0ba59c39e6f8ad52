import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import type { Response } from "../../src/protocol/response.ts";
import { TERMINAL_EVENTS } from "../../src/protocol/table.ts";
import { MODEL } from "./server.ts";

/** A frame as it came over the wire. */
export type Frame = {
  readonly type: string;
  readonly sequence_number?: number;
  readonly status?: number;
  readonly response?: Response;
  readonly error?: { readonly code: string; readonly message: string; readonly param: string | null };
  readonly [field: string]: unknown;
};

/** All frames of one turn, and the response that the last one shows. */
export type TurnFrames = { readonly frames: readonly Frame[]; readonly last: Frame; readonly response: Response };

export type Closed = { readonly code: number; readonly reason: string };

export type WsClientOptions = {
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Offers compression, and compresses all that it sends. */
  readonly deflate?: boolean;
  /** Whether it answers pings; it does unless told otherwise. */
  readonly autoPong?: boolean;
  /** The subprotocols that it offers. */
  readonly protocols?: readonly string[];
};

/** A WebSocket client whose frames wait in a queue until the test asks for them. */
export class WsClient {
  readonly socket: WebSocket;
  /** Headers of the 101. */
  headers: Readonly<Record<string, unknown>> = {};
  readonly #frames: Frame[] = [];
  readonly #readers: PromiseWithResolvers<Frame>[] = [];
  readonly #closed = Promise.withResolvers<Closed>();
  #close: Closed | null = null;

  private constructor(
    url: string,
    { key, headers = {}, deflate = false, autoPong = true, protocols = [] }: WsClientOptions,
  ) {
    this.socket = new WebSocket(url, [...protocols], {
      headers: { ...(key !== undefined && { authorization: `Bearer ${key}` }), ...headers },
      perMessageDeflate: deflate,
      rejectUnauthorized: false,
      autoPong,
    });
    this.socket.on("upgrade", (response) => {
      this.headers = response.headers;
    });
    this.socket.on("message", (data) => {
      const frame = JSON.parse((data as Buffer).toString()) as Frame;
      const reader = this.#readers.shift();
      if (reader === undefined) this.#frames.push(frame);
      else reader.resolve(frame);
    });
    // A broken connection shows as its close.
    this.socket.on("error", () => undefined);
    this.socket.on("close", (code, reason) => {
      this.#close = { code, reason: reason.toString() };
      this.#closed.resolve(this.#close);
      for (const reader of this.#readers) reader.reject(this.#gone());
    });
  }

  static async open(url: string, options: WsClientOptions = {}): Promise<WsClient> {
    const client = new WsClient(url, options);
    onTestFinished(() => client.socket.terminate());
    await new Promise<void>((resolve, reject) => {
      client.socket.once("open", resolve);
      client.socket.once("error", reject);
    });
    return client;
  }

  /** Frames that have come and that nobody has asked for. */
  get unread(): readonly Frame[] {
    return this.#frames;
  }

  send(event: object | string): void {
    this.socket.send(typeof event === "string" ? event : JSON.stringify(event));
  }

  /** Sends a `response.create` and waits for nothing. */
  create(fields: object): void {
    this.send({ type: "response.create", model: MODEL, ...fields });
  }

  /** The next frame. */
  frame(): Promise<Frame> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    if (this.#close !== null) return Promise.reject(this.#gone());
    const reader = Promise.withResolvers<Frame>();
    this.#readers.push(reader);
    return reader.promise;
  }

  /** The frames from here to the end of a turn. */
  async rest(): Promise<TurnFrames> {
    const frames: Frame[] = [];
    for (;;) {
      const last = await this.frame();
      frames.push(last);
      if (isLast(last)) return { frames, last, response: last.response as Response };
    }
  }

  /** Runs one turn. */
  turn(fields: object): Promise<TurnFrames> {
    this.create(fields);
    return this.rest();
  }

  closed(): Promise<Closed> {
    return this.#closed.promise;
  }

  /** Closes the connection the polite way. */
  async leave(): Promise<void> {
    this.socket.close(1000);
    await this.closed();
  }

  #gone(): Error {
    return new Error(`the connection is closed: ${this.#close?.code} ${this.#close?.reason}`);
  }
}

export function isLast(frame: Frame): boolean {
  return frame.type === "error" || (TERMINAL_EVENTS as readonly string[]).includes(frame.type);
}
