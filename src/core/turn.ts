import { ApiError, toApiError } from "../protocol/errors.ts";
import type { ServerEvent, TerminalEvent } from "../protocol/events.ts";
import type { CreateRequest } from "../protocol/request.ts";
import { EVENT } from "../protocol/table.ts";
import { Assembler } from "./assembler.ts";
import { checkInput, commitNode, type ResponseNode } from "./node.ts";
import type { BackendEvent, Emit, EnginePorts, Tenant, Transport } from "./ports.ts";

/** Why a turn is stopped from outside. */
export type StopReason = "client_left" | "shutting_down";

/** Where a turn comes from, for its report. */
export type TurnOrigin = {
  readonly tenant: Tenant;
  readonly transport: Transport;
  /** Id of the session. */
  readonly session: string;
  /** Size of the request as it came. */
  readonly bytesIn: number;
  /** What has been sent of this turn so far. */
  readonly bytesOut: () => number;
};

export type TurnOptions = {
  readonly request: CreateRequest;
  readonly origin: TurnOrigin;
  readonly emit: Emit;
  /** Stands for the connection in front of the backend. */
  readonly session: object;
  /** Finds the parent. @throws ApiError `previous_response_not_found` */
  readonly resolveParent: () => Promise<ResponseNode | null>;
  /** Keeps the node in the session. */
  readonly keep: (node: ResponseNode) => void;
};

/** What a turn is at this moment; a phase holds what only it needs. */
type TurnState =
  | { readonly phase: "waiting" }
  | { readonly phase: "running"; readonly abort: AbortController }
  | { readonly phase: "stopped"; readonly reason: StopReason }
  | { readonly phase: "ended" };

/** How a turn ended that was not refused; `error` is there when it failed. */
export type TurnEnd = {
  readonly outcome: "completed" | "incomplete" | "failed" | "abandoned";
  readonly error: ApiError | null;
};

/**
 * One `response.create` until its terminal event. It is refused by a rejection before its first event, or it emits exactly
 * one terminal event, last. When the client leaves it emits nothing more.
 */
export class Turn {
  readonly #ports: EnginePorts;
  readonly #options: TurnOptions;
  #state: TurnState = { phase: "waiting" };

  constructor(ports: EnginePorts, options: TurnOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  /** Ends the turn wherever it is; its backend call is aborted. A turn that has ended is left alone. */
  stop(reason: StopReason): void {
    const state = this.#state;
    if (state.phase === "ended" || this.#isAbandoned()) return;
    this.#state = { phase: "stopped", reason };
    if (state.phase === "running") state.abort.abort();
  }

  /** Runs the turn to its end. @throws ApiError when it is refused: no event was emitted then, and none will be */
  async run(): Promise<TurnEnd> {
    const { runtime, observer } = this.#ports;
    const { request, origin } = this.#options;
    const startedAt = runtime.monotonic();
    const assembler = new Assembler(request, runtime);
    const meter: Meter = { firstOutputAt: null, error: null, output: [] };
    let outcome: TurnEnd["outcome"] | "refused" = "refused";
    observer.observe({ kind: "turn.started", tenant: origin.tenant, responseId: assembler.id });
    try {
      const { parent, batches } = await this.#begin();
      const terminal = await this.#generate(assembler, parent, batches, meter);
      outcome = terminal === null || this.#isAbandoned() ? "abandoned" : OUTCOME[terminal.type];
      if (terminal !== null) {
        meter.output = terminal.response.output;
        await this.#emit([terminal]);
      }
      return { outcome, error: meter.error };
    } catch (thrown) {
      if (this.#isAbandoned()) return { outcome: (outcome = "abandoned"), error: null };
      meter.error = this.#explain(thrown);
      throw meter.error;
    } finally {
      this.#state = { phase: "ended" };
      observer.observe({
        kind: "turn.ended",
        tenant: origin.tenant,
        transport: origin.transport,
        session: origin.session,
        responseId: assembler.id,
        previousResponseId: request.previous_response_id,
        model: request.model,
        outcome,
        errorCode: meter.error?.code ?? null,
        cause: meter.error?.cause,
        itemsIn: request.input.length,
        bytesIn: origin.bytesIn,
        bytesOut: origin.bytesOut(),
        usage: assembler.usage,
        timeToFirstOutput: meter.firstOutputAt === null ? null : meter.firstOutputAt - startedAt,
        duration: runtime.monotonic() - startedAt,
        content: { input: request.input, output: meter.output },
      });
    }
  }

  /** All that can refuse the turn: its parent, its input, its model, its backend. */
  async #begin() {
    this.#assertWanted();
    const abort = new AbortController();
    this.#state = { phase: "running", abort };
    const { request, session, resolveParent } = this.#options;
    const parent = await resolveParent();
    this.#assertWanted();
    checkInput(parent, request.input);
    const { backend, model } = this.#ports.models.resolve(request.model);
    const { input } = request;
    const batches = backend.stream({ model, parent, input, settings: request, session }, abort.signal);
    return { parent, batches };
  }

  /** From the first event to the terminal one, which is returned; null when nobody is left to hear it. */
  async #generate(
    assembler: Assembler,
    parent: ResponseNode | null,
    batches: AsyncIterable<readonly BackendEvent[]>,
    meter: Meter,
  ): Promise<TerminalEvent | null> {
    const { request } = this.#options;
    const iterator = batches[Symbol.asyncIterator]();
    try {
      // The backend is asked before the client is told, so that the telling costs no time.
      let batch = pull(iterator);
      await this.#emit(assembler.start());
      for (;;) {
        const { done, value } = await batch;
        this.#assertWanted();
        if (done) break;
        const events = assembler.push(value);
        if (events.length > 0) {
          meter.firstOutputAt ??= this.#ports.runtime.monotonic();
          const full = this.#emit(events);
          if (full !== undefined) await full;
        }
        batch = pull(iterator);
      }
      const { events, response } = assembler.finish();
      await this.#emit(events);
      if (this.#isAbandoned()) return null;
      await this.#commit(parent, request, response);
      return assembler.terminal(response);
    } catch (thrown) {
      if (this.#isAbandoned()) return null;
      meter.error = this.#explain(thrown);
      return assembler.fail(meter.error);
    } finally {
      // Ends a backend that was left in the middle; what it says to that concerns nobody any more.
      leave(iterator).catch(() => undefined);
    }
  }

  /** The node is kept, and durable if it is stored, before the client hears that the response is complete. */
  async #commit(
    parent: ResponseNode | null,
    request: CreateRequest,
    response: ResponseNode["response"],
  ): Promise<void> {
    const node = commitNode({
      id: response.id,
      tenant: this.#options.origin.tenant,
      parent,
      input: request.input,
      response,
    });
    if (request.store) await this.#ports.store.put(node);
    this.#options.keep(node);
  }

  /** Nothing is said to a client that has left. */
  #emit(events: readonly ServerEvent[]): void | Promise<void> {
    if (!this.#isAbandoned()) return this.#options.emit(events);
  }

  #isAbandoned(): boolean {
    return this.#state.phase === "stopped" && this.#state.reason === "client_left";
  }

  #assertWanted(): void {
    if (this.#state.phase === "stopped") throw new ApiError("server_shutting_down", "The turn was stopped.");
  }

  /** What the client is told: a stop says its own reason, whatever it made others throw. */
  #explain(thrown: unknown): ApiError {
    if (this.#state.phase !== "stopped") return toApiError(thrown);
    const message = "The server is shutting down. Send this request again, to another server or in a moment.";
    return new ApiError("server_shutting_down", message, { retryAfter: 1 });
  }
}

const OUTCOME = {
  [EVENT.completed]: "completed",
  [EVENT.incomplete]: "incomplete",
  [EVENT.failed]: "failed",
} as const satisfies Record<TerminalEvent["type"], TurnEnd["outcome"]>;

type Meter = { firstOutputAt: number | null; error: ApiError | null; output: readonly unknown[] };

async function leave(iterator: AsyncIterator<unknown>): Promise<void> {
  await iterator.return?.();
}

/** The next batch. It may fail before anybody waits for it, which is no failure of its own. */
function pull<T>(iterator: AsyncIterator<T>): Promise<IteratorResult<T>> {
  const next = iterator.next();
  next.catch(() => undefined);
  return next;
}
