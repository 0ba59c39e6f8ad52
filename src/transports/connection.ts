import type { Socket } from "node:net";
import { WebSocket } from "ws";
import type { Account, MemoryLease } from "../core/budget.ts";
import { DEFAULT_LANE } from "../core/lanes.ts";
import type { Session, TurnSink } from "../core/session.ts";
import { describeRefused } from "../protocol/client-event.ts";
import { encodeFrame } from "../protocol/codec.ts";
import { type Echo, type EventView, shownEvent } from "../protocol/echo.ts";
import { ApiError, errorFrame, toApiError } from "../protocol/errors.ts";
import type { CreateRequest } from "../protocol/request.ts";
import { CLOSE, type CloseReason } from "../protocol/table.ts";
import type { CutReason } from "./context.ts";
import { Age } from "./age.ts";
import { Inbox } from "./inbox.ts";
import { viewOf } from "./echo.ts";
import type { TransportLimits } from "./limits.ts";
import { Liveness } from "./liveness.ts";
import { type Load, overloaded } from "./load.ts";
import { MessageDeadline } from "./message-deadline.ts";
import { Outbox } from "./outbox.ts";
import { peerOf } from "./peer.ts";
import { Reader } from "./reader.ts";
import { type Report, reportRefusal, type Who } from "./report.ts";
import { messageBytes } from "./request-memory.ts";
import type { Rounds } from "./rounds.ts";
import { Silence } from "./silence.ts";
import { Streak } from "./streak.ts";

/** What may have arrived of a message without being accounted. */
const UNACCOUNTED_BYTES = 64 * 1024;

/** Reasons for what the library closes by itself, which knows only codes. */
const REASONS: ReadonlyMap<number, string> = new Map(
  [CLOSE.invalid_frame, CLOSE.invalid_utf8, CLOSE.message_too_big].map(({ code, reason }) => [code, reason]),
);

/** RFC 6455: a close frame without a code. */
const NO_CODE = 1005;

/** A WebSocket that gives its reason when the library closes it, and says when it begins to close, from either side. */
export class ServerSocket extends WebSocket {
  /** Called when the connection begins to close: with code and reason when the server begins it, null when the client did. */
  onClosing: (own: { readonly code: number; readonly reason: string } | null) => void = () => undefined;

  override close(code?: number, reason?: string | Buffer): void {
    // The library closes by itself when the client has begun to; only this field of its own tells.
    const { _closeFrameReceived: isAnswer } = this as unknown as { readonly _closeFrameReceived: boolean };
    const said = reason ?? REASONS.get(code ?? 0);
    this.onClosing(isAnswer ? null : { code: code ?? NO_CODE, reason: said?.toString() ?? "" });
    super.close(code, said);
  }
}

export type ConnectionOptions = {
  readonly socket: ServerSocket;
  /** What the WebSocket runs on: the frames of one batch are corked there. */
  readonly stream: Socket;
  readonly session: Session;
  /** What its client may hold. */
  readonly account: Account;
  readonly limits: TransportLimits;
  readonly load: Load;
  /** Visits all connections to see whether they live; null when nobody wants to know. */
  readonly rounds: Rounds | null;
  /** Visits all connections to see whether a message takes too long to arrive. */
  readonly messageRounds: Rounds;
  /** Whether the client needs an event in long silences. */
  readonly wantsKeepalive: boolean;
  /** What events repeat of a request. */
  readonly echo: Echo;
  /** Takes what went wrong in here and is nobody's to know outside. */
  readonly onError: (error: unknown) => void;
  /** Told when the client is cut, and why. */
  readonly onCut: (reason: CutReason) => void;
  /** Whose connection it is, and how it was opened, for reports. */
  readonly who: Who;
  readonly route: string;
  readonly report: Report;
};

/** One WebSocket client and its session: frames in, in the order of their arrival, and events out. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: ServerSocket;
  readonly #session: Session;
  readonly #account: Account;
  /** What has arrived of a message that is not complete. */
  readonly #arriving: MemoryLease;
  #arrived = 0;
  readonly #load: Load;
  readonly #limits: TransportLimits;
  readonly #echo: Echo;
  readonly #onError: (error: unknown) => void;
  readonly #onCut: (reason: CutReason) => void;
  readonly #reader: Reader;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #age: Age;
  readonly #silence: Silence;
  readonly #liveness: Liveness | null;
  readonly #deadline: MessageDeadline;
  /** Messages that were wrong by themselves, and turns that were refused for load. */
  readonly #wrong: Streak;
  readonly #shed: Streak;
  /** Whether the client has heard that the connection has reached its limit. */
  #knowsLimit = false;
  /** `ending`: what the client sends from now on is left unread, and it gets only what it is owed. */
  #state: "open" | "ending" | "over" = "open";

  constructor(options: ConnectionOptions) {
    const { socket, stream, session, account, limits, load, rounds, wantsKeepalive, echo, onError } = options;
    this.#options = options;
    this.#socket = socket;
    this.#session = session;
    this.#account = account;
    this.#arriving = account.open();
    this.#load = load;
    this.#limits = limits;
    this.#echo = echo;
    this.#onError = onError;
    this.#onCut = options.onCut;
    this.#reader = new Reader(limits);
    this.#inbox = new Inbox(socket, limits);
    const compressFrom = echo !== "minimal" ? limits.deflateThreshold : limits.minimalDeflateThreshold;
    this.#outbox = new Outbox(
      {
        // Without a threshold of our own the library would compress every delta: it has none while windows last.
        send: (frame, sent) => socket.send(frame, { compress: frame.length >= compressFrom }, sent),
        get buffered(): number {
          return socket.bufferedAmount;
        },
        cork: () => stream.cork(),
        uncork: () => stream.uncork(),
        giveUp: () => this.#cut("slow_reader"),
      },
      limits,
      account.open(),
    );
    this.#age = new Age({ session, limits, onEnd: (error) => this.#endOfAge(error) });
    this.#silence = new Silence(wantsKeepalive ? limits.silenceMs : 0, () => session.keepAlive());
    const ends = { giveUp: () => this.close("dead_peer"), cut: () => this.#cut("slow_message") };
    const watched = peerOf(stream, socket, this.#inbox, ends);
    this.#liveness = rounds && new Liveness(watched, rounds, limits);
    this.#deadline = new MessageDeadline(watched, options.messageRounds);
    this.#wrong = new Streak(limits.errorsInARow);
    this.#shed = new Streak(limits.shedTurnsInARow);
    socket.onClosing = (own) => {
      if (own !== null && this.#state !== "over") options.report({ kind: "closed", ...own, ...options.who });
      this.#leave();
    };
    socket.on("close", () => this.#leave());
    // What the peer did wrong, or that it is gone; the library closes the socket by itself, with the right code.
    socket.on("error", () => this.#leave());
    socket.on("message", (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.on("ping", (data) => this.#deadline.control(data.length));
    socket.on("pong", (data) => this.#deadline.control(data.length));
    // Before the library takes the bytes, which may complete a message.
    stream.prependListener("data", (piece: Buffer) => this.#arrive(piece.length));
  }

  #cut(reason: "slow_reader" | "slow_message"): void {
    this.#onCut(reason);
    this.close(reason === "slow_reader" ? "slow_client" : "slow_message");
  }

  close(reason: CloseReason): void {
    this.#socket.close(CLOSE[reason].code, CLOSE[reason].reason);
  }

  /** Runs once, when either side begins to close: nothing that happens later reaches the client. */
  #leave(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#age.stop();
    this.#silence.rest();
    this.#liveness?.end();
    this.#deadline.end();
    this.#outbox.close();
    this.#arriving.release();
    this.#session.close();
    // The other side's part of the closing is still to be read.
    this.#socket.resume();
  }

  #endOfAge(error: ApiError): void {
    if (!this.#knowsLimit) void this.#write([encodeFrame(errorFrame(error), null)]);
    this.close("connection_limit");
  }

  /** The key is good for nothing any more, and the client has heard so; what runs comes to its end. */
  #endOfKey(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    void this.#session.idle().then(() => this.close("key_not_valid"));
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#deadline.message();
    if (this.#state !== "open") return;
    if (isBinary) {
      this.close("binary_message");
      return;
    }
    this.#arrived = 0;
    this.#arriving.resize(0);
    const lease = this.#account.open();
    const ended = this.#admit(data, lease).finally(() => lease.release());
    this.#inbox.take(data.length, ended).catch((error: unknown) => this.#fail(error));
  }

  /** Accounts what the library holds of a message until it is complete. */
  #arrive(bytes: number): void {
    this.#arrived += bytes;
    if (this.#arrived <= UNACCOUNTED_BYTES || this.#state === "over") return;
    if (!this.#arriving.tryResize(this.#arrived)) this.close("memory_exceeded");
  }

  /** A message that there is no room for is refused unread: where it belongs is not known then. */
  async #admit(data: Buffer, lease: MemoryLease): Promise<void> {
    try {
      lease.grow(messageBytes(data));
    } catch (thrown) {
      await this.#session.reject(toApiError(thrown), this.#sink(data.length, null));
      return;
    }
    await this.#begin(data, lease);
  }

  /** Something in here does not work; what the state of the connection is then nobody can tell. */
  #fail(error: unknown): void {
    this.#onError(error);
    this.close("internal_error");
  }

  /** Resolves when what the frame began has ended. What became of it the client hears, and the observer, elsewhere. */
  async #begin(data: Buffer, lease: MemoryLease): Promise<void> {
    const pending = this.#reader.read(data);
    const reading = pending instanceof Promise ? await pending : pending;
    if (this.#state !== "open") return;
    if ("thrown" in reading) {
      await this.#refuseMessage(reading.thrown, reading.value, data.length);
      return;
    }
    const { event } = reading;
    this.#wrong.end();
    switch (event.type) {
      case "create":
        await this.#create(event.request, data.length, event.streamId, lease);
        return;
      case "steer":
        this.#session.steer(event.steer, (answer, lane) => {
          void this.#write([encodeFrame(answer, lane === DEFAULT_LANE ? null : lane)]);
        });
        // Its answer repeats what it says, and nobody waits for it.
        this.#heed(this.#outbox.full);
        return;
      case "inject":
        this.#session.inject(event, (answer, lane) => {
          void this.#write([encodeFrame(answer, lane === DEFAULT_LANE ? null : lane)]);
        });
        this.#heed(this.#outbox.full);
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

  async #create(request: CreateRequest, bytes: number, streamId: string | null, lease: MemoryLease): Promise<void> {
    const sink = { ...this.#sink(bytes, streamId, viewOf(request, this.#echo)), lease };
    const lane = streamId ?? DEFAULT_LANE;
    if (this.#load.isOverloaded) {
      const answered = this.#session.reject(overloaded(this.#limits), sink, lane);
      if (this.#shed.add(answered)) await this.#endAfter(this.#shed, "overloaded");
      await answered;
      return;
    }
    this.#shed.end();
    const ended = this.#session.create(request, sink, lane);
    this.#watchSilence();
    await ended;
  }

  /** A request for a turn fails in that turn's place; anything else where no reader of a lane would take it for its own. */
  async #refuseMessage(thrown: unknown, value: unknown, bytes: number): Promise<void> {
    const { isCreate, streamId } = describeRefused(value);
    const lane = isCreate ? streamId : null;
    const sink = this.#sink(bytes, lane);
    const answered = this.#session.reject(toApiError(thrown), sink, lane ?? DEFAULT_LANE);
    if (this.#wrong.add(answered)) await this.#endAfter(this.#wrong, "too_many_errors");
    await answered;
  }

  /** Closes the connection once the client has been told all that was wrong. */
  async #endAfter(streak: Streak, reason: CloseReason): Promise<void> {
    this.#state = "ending";
    await streak.answered();
    this.close(reason);
  }

  /** Until no turn runs any more, those included that a steer begins. */
  #watchSilence(): void {
    if (this.#silence.listen()) void this.#session.idle().then(() => this.#silence.rest());
  }

  #sink(bytesIn: number, streamId: string | null, view: EventView = { echo: this.#echo, padding: null }): TurnSink {
    let bytesOut = 0;
    const write = (frames: readonly string[]): void | Promise<void> => {
      const before = this.#outbox.written;
      const full = this.#write(frames);
      bytesOut += this.#outbox.written - before;
      return full;
    };
    return {
      bytesIn,
      bytesOut: () => bytesOut,
      emit: (events) => write(events.map((event) => encodeFrame(shownEvent(event, view), streamId))),
      refuse: (error) => {
        const isOfConnection = error.code === "websocket_connection_limit_reached";
        this.#knowsLimit ||= isOfConnection;
        const { report, who, route } = this.#options;
        reportRefusal(report, error, { what: "frame", route, ...who });
        this.#heed(write([encodeFrame(errorFrame(error), isOfConnection ? null : streamId)]));
        if (error.code === "invalid_api_key") this.#endOfKey();
      },
    };
  }

  #write(frames: readonly string[]): void | Promise<void> {
    this.#silence.broken();
    return this.#outbox.write(frames);
  }

  /** No backend waits for an error frame: a client that sends nonsense and reads no answers is not listened to. */
  #heed(full: void | Promise<void>): void {
    if (full !== undefined) this.#inbox.holdUntil(full).catch((error: unknown) => this.#fail(error));
  }
}
