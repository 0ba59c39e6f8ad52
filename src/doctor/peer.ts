import type { Duplex } from "node:stream";
import type { IncomingHttpHeaders } from "node:http";
import { WebSocket } from "ws";
import { CLIENT_EVENT, EVENT, TERMINAL_EVENTS } from "../protocol/table.ts";
import { type Answer, authorization, isObject, parseObject, readAnswer } from "./http.ts";
import { inTime, type Visit } from "./visit.ts";

export type PeerOptions = {
  readonly deflate?: boolean;
  readonly subprotocols?: readonly string[];
  /** A connection that is there already, such as a tunnel through a proxy. */
  readonly stream?: Duplex;
};

/** How an upgrade ended. */
export type Upgraded =
  | { readonly kind: "open"; readonly peer: Peer }
  | { readonly kind: "refused"; readonly answer: Answer }
  | { readonly kind: "failed"; readonly reason: string };

export type Frame = { readonly [field: string]: unknown };
/** What a client sees of a connection that ended without a close frame. */
export const CUT = 1006;

export type Closed = { readonly code: number; readonly reason: string };

/** One turn: its events with the times of their arrival in milliseconds, and the last of them. */
export type Turn = { readonly arrivals: readonly number[]; readonly types: readonly string[]; readonly last: Frame };

/** Asks for a WebSocket at the server, as a client would. */
export async function upgrade(visit: Visit, options: PeerOptions = {}): Promise<Upgraded> {
  const { stream } = options;
  const socket = new WebSocket(visit.target.webSocket, [...(options.subprotocols ?? [])], {
    headers: authorization(visit.key),
    perMessageDeflate: options.deflate ?? false,
    rejectUnauthorized: false,
    followRedirects: false,
    handshakeTimeout: visit.timeoutMs,
    ...(stream && { createConnection: () => stream as never }),
  });
  const { promise, resolve } = Promise.withResolvers<Upgraded>();
  const peer = new Peer(socket, visit);
  socket.once("open", () => resolve({ kind: "open", peer }));
  socket.once("unexpected-response", (_request, response) => {
    readAnswer(response)
      .then((answer) => resolve({ kind: "refused", answer }))
      .catch((error: unknown) => resolve({ kind: "failed", reason: (error as Error).message }))
      .finally(() => socket.terminate());
  });
  socket.on("error", (error) => resolve({ kind: "failed", reason: error.message }));
  return promise;
}

/** A client on an open WebSocket. Frames wait in a queue until they are asked for. */
export class Peer {
  readonly #socket: WebSocket;
  readonly #visit: Visit;
  readonly #frames: { readonly frame: Frame; readonly at: number }[] = [];
  #wake = Promise.withResolvers<void>();
  #end: Closed | null = null;
  readonly closed: Promise<Closed>;
  /** Of the 101. */
  headers: IncomingHttpHeaders = {};
  /** Pings that the server has sent. */
  pings = 0;

  constructor(socket: WebSocket, visit: Visit) {
    this.#socket = socket;
    this.#visit = visit;
    const { promise, resolve } = Promise.withResolvers<Closed>();
    this.closed = promise;
    socket.once("upgrade", ({ headers }) => {
      this.headers = headers;
    });
    socket.on("ping", () => (this.pings += 1));
    socket.on("message", (data) => {
      this.#frames.push({ frame: parseObject((data as Buffer).toString()), at: performance.now() });
      this.#rouse();
    });
    socket.on("close", (code, reason) => {
      this.#end = { code, reason: reason.toString() };
      resolve(this.#end);
      this.#rouse();
    });
  }

  get extensions(): string {
    return this.#socket.extensions;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(text: string): void {
    // A connection that breaks meanwhile shows as its close.
    this.#socket.send(text, () => {});
  }

  /** How it ended; null while it has not. */
  get end(): Closed | null {
    return this.#end;
  }

  /** The milliseconds to the pong, or to the end of the connection. */
  async ping(timeoutMs = this.#visit.timeoutMs): Promise<number> {
    const start = performance.now();
    const pong = new Promise<void>((resolve) => {
      this.#socket.once("pong", () => resolve());
    });
    this.#socket.ping();
    await inTime(Promise.race([pong, this.closed]), timeoutMs, "pong");
    return performance.now() - start;
  }

  /** A ping whose pong nobody waits for. */
  nudge(): void {
    if (this.isOpen) this.#socket.ping();
  }

  /** The next frame, or the close in its place. */
  async next(timeoutMs: number): Promise<{ readonly frame: Frame; readonly at: number } | Closed> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const first = this.#frames.shift();
      if (first !== undefined) return first;
      if (this.#end !== null) return this.#end;
      await inTime(this.#wake.promise, Math.max(1, deadline - performance.now()), "message of the server");
    }
  }

  /** Runs one turn to its end. Rejects when the connection ends before. */
  async turn(fields: Frame): Promise<Turn> {
    const arrivals: number[] = [];
    const types: string[] = [];
    const start = performance.now();
    this.send(JSON.stringify({ type: CLIENT_EVENT.create, ...fields }));
    for (;;) {
      const next = await this.next(this.#visit.turnMs);
      if (!("frame" in next)) throw new Error(`the connection was closed in the middle of a turn (${next.code})`);
      const { frame, at } = next;
      arrivals.push(at - start);
      types.push(String(frame["type"]));
      if (endsTurn(frame)) return { arrivals, types, last: frame };
    }
  }

  /** Leaves, and waits until the connection is gone. */
  async leave(): Promise<void> {
    this.#socket.close(1000);
    const timer = setTimeout(() => this.#socket.terminate(), LEAVE_MS);
    await this.closed;
    clearTimeout(timer);
  }

  #rouse(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}

const LEAVE_MS = 1000;

function endsTurn(frame: Frame): boolean {
  return frame["type"] === "error" || (TERMINAL_EVENTS as readonly unknown[]).includes(frame["type"]);
}

/** Why a turn did not complete; null when it did. */
export function failureOf(last: Frame): string | null {
  // An answer that was cut off arrived all the same.
  if (last["type"] === EVENT.completed || last["type"] === EVENT.incomplete) return null;
  const holder = last["type"] === "error" ? last : last["response"];
  const error = isObject(holder) ? holder["error"] : null;
  if (isObject(error)) return `${String(error["code"] ?? error["type"])}: ${String(error["message"])}`;
  return String(last["type"]);
}

/** Why an answer was cut off, such as 'max_output_tokens'; null for one that was not. */
export function cutOff(response: unknown): string | null {
  if (!isObject(response) || response["status"] !== "incomplete") return null;
  const details = response["incomplete_details"];
  return isObject(details) && typeof details["reason"] === "string" ? details["reason"] : "no reason given";
}
