import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";
import { PinoPretty } from "pino-pretty";
import type { EngineEvent, Observer, Store, TurnReport } from "./core/ports.ts";
import { ERROR } from "./protocol/table.ts";
import { describeError, describeRefusal, type ErrorLine, errorLine } from "./observe-error.ts";
import { formatLine, TURN, type TurnFields } from "./observe-pretty.ts";

/**
 * The log: one line for each turn that ended. It tells sizes, times and outcomes; content only for what is stored, and
 * only when it was asked for; keys never.
 */

export type Log = Logger;

export type LogOptions = {
  readonly level: string;
  /** For a person at a terminal; JSON lines otherwise. */
  readonly pretty?: boolean;
  readonly destination?: DestinationStream;
};

/** What a reader who has stopped reading may cost; beyond it lines are dropped. */
const BUFFER_BYTES = 16 * 1024 * 1024;
/** Lines wait for each other this long, or until there is this much of them. */
const TOGETHER_MS = 50;
const TOGETHER_BYTES = 8 * 1024;
const LONGEST_NAME = 200;
/** How long such a reader may hold up the end of the process. */
const FLUSH_MS = 1000;

/** Wherever a key could get into a line, should an object that carries one be logged. */
const SECRETS = ["authorization", "cookie", "key", "apiKey", "apiKeys", "backendKey"].flatMap((name) =>
  ["", "*.", "*.*."].map((depth) => `${depth}${name}`),
);

export function createLog(options: LogOptions): Log {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // pino's own would print whatever an error carries, such as the body of a request.
      serializers: { err: errorLine },
      redact: { paths: SECRETS, censor: "[hidden]" },
    },
    options.pretty ? prettyStream(options.destination) : escaping(options.destination ?? stdout()),
  );
}

/** Resolves when all lines have been handed to the operating system, or nobody has taken them for a while. */
export function flushLog(log: Log): Promise<void> {
  return new Promise((resolve) => {
    const patience = setTimeout(resolve, FLUSH_MS);
    log.flush(() => {
      clearTimeout(patience);
      resolve();
    });
  });
}

/** Beyond what JSON escapes: characters that steer terminals and viewers, or that some readers take for the end of a line. */
const STEERING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Lines in which no character is anything but text. */
function escaping(destination: DestinationStream): DestinationStream {
  return {
    write(line) {
      // pino escapes line feeds within a line; the one at its end is its end.
      const text = line.endsWith("\n") ? line.slice(0, -1) : line;
      destination.write(`${/[^\x20-\x7e]/.test(text) ? text.replaceAll(STEERING, escapeSequence) : text}\n`);
    },
    flush: (done: (error?: Error) => void) => {
      const { flush } = destination as { flush?: (done: (error?: Error) => void) => void };
      if (flush === undefined) done();
      else flush.call(destination, done);
    },
  } as DestinationStream;
}

function escapeSequence(character: string): string {
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

/**
 * Not synchronous: a pipe that nobody empties must not stop the server. Lines are handed over together, since each time
 * wakes a thread; a reader sees them a moment later, and all of them when the process ends.
 */
function stdout(): DestinationStream {
  const lines = pino.destination({ dest: 1, sync: false, minLength: TOGETHER_BYTES, maxLength: BUFFER_BYTES });
  let timer: NodeJS.Timeout | null = null;
  const handOver = (): void => {
    // While lines are being written, a flush does nothing: what has come since then would wait for many more.
    const { _writing: isWriting } = lines as unknown as { readonly _writing: boolean };
    timer = isWriting ? setTimeout(handOver, TOGETHER_MS).unref() : null;
    if (timer === null) lines.flush();
  };
  return {
    write(line) {
      lines.write(line);
      timer ??= setTimeout(handOver, TOGETHER_MS).unref();
    },
    flush: (done: (error?: Error) => void) => lines.flush(done),
  } as DestinationStream;
}

function prettyStream(destination: DestinationStream | undefined): DestinationStream {
  return PinoPretty({
    sync: true,
    ...(destination !== undefined && { destination }),
    // The line is written by formatLine; what is left for pino-pretty is the time and the level.
    hideObject: true,
    translateTime: "SYS:HH:MM:ss",
    customColors: "message:reset",
    messageFormat: (line) => formatLine(line),
  });
}

/** Writes the engine's events to a log. */
export class LogObserver implements Observer {
  readonly #log: Log;
  /** For lines of our own plain fields, which looking for secrets would make twice as dear. */
  readonly #plain: Log;

  constructor(log: Log) {
    this.#log = log;
    this.#plain = log.child({}, { redact: { paths: [] } });
  }

  observe(event: EngineEvent): void {
    switch (event.kind) {
      case "session.opened":
      case "session.closed":
        this.#log.debug({ tenant: event.tenant, session: event.session }, event.kind);
        break;
      case "turn.started":
        this.#log.debug({ tenant: event.tenant, responseId: event.responseId }, event.kind);
        break;
      case "turn.ended":
        this.#turn(event);
        break;
      default:
        event satisfies never;
    }
  }

  #turn(report: TurnReport): void {
    const level = levelOf(report);
    const err = report.cause === undefined ? undefined : causeOf(report.cause, level);
    if (err === undefined) this.#plain[level](turnFields(report), TURN);
    else this.#log[level]({ ...turnFields(report), err }, TURN);
  }
}

/** Of a client's mistake only what another server says of it: the rest the client is told. */
function causeOf(cause: unknown, level: "info" | "warn" | "error"): ErrorLine | undefined {
  return level === "error" ? describeError(cause) : describeRefusal(cause);
}

/** A client's mistake is worth a warning; what only the operator can mend is an error; a stop is neither. */
function levelOf(report: TurnReport): "info" | "warn" | "error" {
  if (report.errorCode === null || report.errorCode === "server_shutting_down") return "info";
  return ERROR[report.errorCode].status < 500 ? "warn" : "error";
}

function turnFields(report: TurnReport): TurnFields {
  const { usage } = report;
  return {
    responseId: report.responseId,
    previousResponseId: report.previousResponseId === null ? null : idOf(report.previousResponseId),
    tenant: report.tenant,
    keyName: report.keyName,
    session: report.session,
    requestId: report.requestId,
    transport: report.transport,
    model: named(report.model),
    outcome: report.outcome,
    errorCode: report.errorCode,
    itemsIn: report.itemsIn,
    bytesIn: report.bytesIn,
    bytesOut: report.bytesOut,
    inputTokens: usage?.input_tokens ?? null,
    cachedTokens: usage?.input_tokens_details.cached_tokens ?? null,
    outputTokens: usage?.output_tokens ?? null,
    reasoningTokens: usage?.output_tokens_details.reasoning_tokens ?? null,
    compacted: report.compacted,
    firstOutputMs: report.timeToFirstOutput === null ? null : rounded(report.timeToFirstOutput),
    durationMs: rounded(report.duration),
  };
}

/** A name that a client made up, as much of it as any real one has. */
function named(text: string): string {
  return text.length > LONGEST_NAME ? `${text.slice(0, LONGEST_NAME)}…` : text;
}

/** An id that a server may have made; anything else in its place is a client's own text. */
function idOf(text: string): string {
  return /^resp_[0-9a-f]{1,64}$/.test(text) ? text : "(not an id)";
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}

/**
 * A store whose nodes are also logged. Content is logged here and nowhere else: what `store: false` keeps from the store
 * cannot get into the log either.
 */
export function withContentLog(store: Store, log: Log): Store {
  return {
    records: store.records,
    async put(node, options) {
      await store.put(node, options);
      log.info(
        { responseId: node.id, tenant: node.tenant, input: node.input, output: node.response.output },
        "content",
      );
    },
    checkRoom: async (tenant) => store.checkRoom?.(tenant),
    get: (tenant, id, admit) => store.get(tenant, id, admit),
    recording: (tenant, id, admit) => store.recording(tenant, id, admit),
    load: (tenant, id, admit) => store.load(tenant, id, admit),
    delete: (tenant, id) => store.delete(tenant, id),
    close: () => store.close(),
  };
}

/** The log and an embedder's observer: a mistake in the latter does not reach the turn that it observes. */
export function observers(first: Observer, second: Observer | undefined, log: Log): Observer {
  if (second === undefined) return first;
  return {
    observe(event) {
      first.observe(event);
      try {
        second.observe(event);
      } catch (error) {
        log.error({ err: error }, "the observer failed");
      }
    },
  };
}
