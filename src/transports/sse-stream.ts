import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";
import { encodeSseAfter, encodeSseError, SSE_DONE } from "../protocol/codec.ts";
import { type EventView, shownEvent } from "../protocol/echo.ts";
import { toApiError } from "../protocol/errors.ts";
import { isTerminal, type ServerEvent } from "../protocol/events.ts";
import type { CutReason } from "./context.ts";
import type { TransportLimits } from "./limits.ts";
import { Outbox, type Wire } from "./outbox.ts";
import { leaseOf } from "./request-memory.ts";
import { Silence } from "./silence.ts";

/** Keeps proxies from taking a silent stream for a dead one; clients skip it. */
const SSE_COMMENT = ": keepalive\n\n";

export type SseOptions = {
  readonly limits: TransportLimits;
  /** How events are shown to this client. */
  readonly view: EventView;
  /** Events with this number, or a lower one, are left out. */
  readonly after?: number;
  /** Told when the client does not read and is cut. */
  readonly onCut: (reason: CutReason) => void;
  /** Told when the client is gone, or given up, or the stream has ended. */
  readonly left: () => void;
  /** Told when the stream has been silent for long, beside the comment that it then says. */
  readonly silent?: () => void;
};

/** An answer that is a stream of events. Its headers leave with the first of them, so until then it can be another one. */
export class SseStream {
  readonly #reply: FastifyReply;
  readonly #options: SseOptions;
  readonly #outbox: Outbox;
  readonly #silence: Silence;
  #isOver = false;
  /** Whether it has ended with an event that could not be written. */
  #isBroken = false;

  constructor(reply: FastifyReply, options: SseOptions) {
    this.#reply = reply;
    this.#options = options;
    const wire = sseWire(reply.raw, this.#leave, options.onCut);
    this.#outbox = new Outbox(wire, options.limits, leaseOf(reply.request).another());
    this.#silence = new Silence(options.limits.silenceMs, () => {
      void this.#outbox.write([SSE_COMMENT]);
      options.silent?.();
    });
    reply.raw.on("close", this.#leave);
  }

  /** Bytes of all that was written. */
  get written(): number {
    return this.#outbox.written;
  }

  /** Whether nobody reads it any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Sends the headers, if they have not left yet. */
  open(): void {
    const { raw } = this.#reply;
    if (raw.headersSent || this.#isOver) return;
    this.#reply.hijack();
    raw.writeHead(200, {
      ...(this.#reply.getHeaders() as OutgoingHttpHeaders),
      "content-type": "text/event-stream",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
    });
    this.#silence.listen();
  }

  /** Sends events together, and `[DONE]` behind the terminal one. A promise means that the client is behind. */
  write(events: readonly ServerEvent[]): void | Promise<void> {
    if (this.#isBroken) return;
    // Before the headers leave: while they have not, an event that cannot be written is an answer of its own.
    const blocks = this.#encode(events);
    this.open();
    this.#silence.broken();
    const last = events.at(-1);
    return this.#outbox.write(last !== undefined && isTerminal(last) ? [...blocks, SSE_DONE] : blocks);
  }

  /** @throws Error when an event cannot be written; an answer that has begun is then ended with an `error` event */
  #encode(events: readonly ServerEvent[]): readonly string[] {
    const { view, after = -1 } = this.#options;
    try {
      return events.flatMap((event) => encodeSseAfter(shownEvent(event, view), after));
    } catch (error) {
      if (this.#reply.raw.headersSent) {
        this.#isBroken = true;
        void this.#outbox.write([encodeSseError(toApiError(error), events[0]?.sequence_number ?? 0), SSE_DONE]);
        this.#reply.raw.end();
      }
      throw error;
    }
  }

  /** Ends the answer; a client that left before the first event gets none. */
  end(): void {
    if (this.#reply.raw.headersSent) this.#reply.raw.end();
    else this.#reply.hijack();
  }

  readonly #leave = (): void => {
    this.#isOver = true;
    this.#reply.raw.off("close", this.#leave);
    this.#silence.rest();
    this.#outbox.close();
    this.#options.left();
  };
}

function sseWire(raw: ServerResponse, leave: () => void, onCut: SseOptions["onCut"]): Wire {
  const { socket } = raw;
  return {
    send: (frame, sent) => raw.write(frame, sent),
    get buffered(): number {
      return raw.writableLength;
    },
    cork: () => socket?.cork(),
    uncork: () => socket?.uncork(),
    giveUp: () => {
      onCut("slow_reader");
      // Before the socket says that it is closed, which is later: until then the backend would run on.
      leave();
      raw.destroy();
    },
  };
}
