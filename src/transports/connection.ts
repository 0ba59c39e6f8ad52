import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import { DEFAULT_LANE } from "../core/lanes.ts";
import type { Session, TurnSink } from "../core/session.ts";
import { type ClientEvent, describeRefused, parseClientEvent } from "../protocol/client-event.ts";
import { encodeFrame, parseJson } from "../protocol/codec.ts";
import { ApiError, errorFrame, toApiError } from "../protocol/errors.ts";
import { CLOSE, type CloseReason } from "../protocol/table.ts";
import type { TransportLimits } from "./limits.ts";
import { Outbox } from "./outbox.ts";

const REASONS: ReadonlyMap<number, string> = new Map(Object.values(CLOSE).map(({ code, reason }) => [code, reason]));

/** A WebSocket that gives its reason when the library closes it, and says when it begins to close, from either side. */
export class ServerSocket extends WebSocket {
  onClosing: () => void = () => undefined;

  override close(code?: number, reason?: string | Buffer): void {
    this.onClosing();
    super.close(code, reason ?? REASONS.get(code ?? 0));
  }
}

export type ConnectionOptions = {
  readonly socket: ServerSocket;
  /** What the WebSocket runs on: the frames of one batch are corked there. */
  readonly stream: Duplex;
  readonly session: Session;
  readonly limits: TransportLimits;
  /** Takes what went wrong in here and is nobody's to know outside. */
  readonly onError: (error: unknown) => void;
};

/** One WebSocket client and its session: frames in, in the order of their arrival, and events out. */
export class Connection {
  readonly #socket: ServerSocket;
  readonly #session: Session;
  readonly #outbox: Outbox;
  readonly #limits: TransportLimits;
  readonly #onError: (error: unknown) => void;
  /** Bytes of frames whose turns have not ended. */
  #queued = 0;
  /** How many causes there are not to read on. */
  #holds = 0;
  #state: "open" | "over" = "open";

  constructor({ socket, stream, session, limits, onError }: ConnectionOptions) {
    this.#socket = socket;
    this.#session = session;
    this.#limits = limits;
    this.#onError = onError;
    this.#outbox = new Outbox(
      {
        send: (frame, sent) => socket.send(frame, { compress: false }, sent),
        cork: () => stream.cork(),
        uncork: () => stream.uncork(),
        giveUp: () => this.close("slow_client"),
      },
      limits,
    );
    socket.onClosing = () => this.#leave();
    socket.on("close", () => this.#leave());
    // What the peer did wrong, or that it is gone; the library closes the socket by itself, with the right code.
    socket.on("error", () => this.#leave());
    socket.on("message", (data, isBinary) => this.#receive(data as Buffer, isBinary));
  }

  close(reason: CloseReason): void {
    this.#socket.close(CLOSE[reason].code, CLOSE[reason].reason);
  }

  /** Runs once, when either side begins to close: nothing that happens later reaches the client. */
  #leave(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#outbox.close();
    this.#session.close();
    // The other side's part of the closing is still to be read.
    this.#socket.resume();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#state === "over") return;
    if (isBinary) {
      this.close("binary_message");
      return;
    }
    this.#run(data).catch(this.#onError);
  }

  async #run(data: Buffer): Promise<void> {
    this.#queued += data.length;
    try {
      const ended = this.#begin(data);
      if (this.#queued > this.#limits.queuedBytes) await this.#holdUntil(ended);
      else await ended;
    } finally {
      this.#queued -= data.length;
    }
  }

  /** Resolves when what the frame began has ended. What became of it the client hears, and the observer, elsewhere. */
  async #begin(data: Buffer): Promise<void> {
    let value: unknown = null;
    let event: ClientEvent;
    try {
      // The library has checked that it is UTF-8.
      value = parseJson(data.toString());
      event = parseClientEvent(value);
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) this.#onError(thrown);
      // A request for a turn fails in that turn's place; anything else where no reader of a lane would take it for its own.
      const { isCreate, streamId, previousResponseId } = describeRefused(value);
      const lane = isCreate ? streamId : null;
      const named = isCreate ? previousResponseId : null;
      await this.#session.reject(toApiError(thrown), named, this.#sink(data.length, lane), lane ?? DEFAULT_LANE);
      return;
    }
    switch (event.type) {
      case "create": {
        const sink = this.#sink(data.length, event.streamId);
        await this.#session.create(event.request, sink, event.streamId ?? DEFAULT_LANE);
        return;
      }
      case "steer":
        this.#session.steer(event.steer, (answer, lane) => {
          this.#heed(this.#outbox.write([encodeFrame(answer, lane === DEFAULT_LANE ? null : lane)]));
        });
        return;
      case "interrupt":
        this.#session.interrupt(event.responseId, event.mode);
        return;
      case "ignored":
        return;
      default:
        event satisfies never;
    }
  }

  #sink(bytesIn: number, streamId: string | null): TurnSink {
    let bytesOut = 0;
    const write = (frames: readonly string[]): void | Promise<void> => {
      const before = this.#outbox.written;
      const full = this.#outbox.write(frames);
      bytesOut += this.#outbox.written - before;
      return full;
    };
    return {
      bytesIn,
      bytesOut: () => bytesOut,
      emit: (events) => write(events.map((event) => encodeFrame(event, streamId))),
      refuse: (error) => this.#heed(write([encodeFrame(errorFrame(error), streamId)])),
    };
  }

  /** No backend waits for an error frame: a client that sends nonsense and reads no answers is not listened to. */
  #heed(full: void | Promise<void>): void {
    if (full !== undefined) this.#holdUntil(full).catch(this.#onError);
  }

  /** Reads nothing more from the client until then, and until all else that it is held for is over too. */
  async #holdUntil(end: Promise<void>): Promise<void> {
    this.#holds += 1;
    this.#socket.pause();
    try {
      await end;
    } finally {
      this.#holds -= 1;
      if (this.#holds === 0) this.#socket.resume();
    }
  }
}
