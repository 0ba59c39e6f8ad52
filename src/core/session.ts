import { ApiError, previousResponseNotFound, toApiError } from "../protocol/errors.ts";
import type { CreateRequest } from "../protocol/request.ts";
import { Lane } from "./lane.ts";
import type { ResponseNode } from "./node.ts";
import type { Emit, EnginePorts, Tenant, Transport } from "./ports.ts";
import { Retention } from "./retention.ts";
import { type StopReason, Turn, type TurnEnd } from "./turn.ts";

export type SessionOptions = { readonly tenant: Tenant; readonly transport: Transport };

/** One turn as its transport sees it. */
export type TurnSink = {
  readonly emit: Emit;
  /** Told of a refusal in the turn's place in its lane: after what earlier turns say and before a later one speaks. */
  readonly refuse?: (error: ApiError) => void;
  /** Size of the request as it came, in bytes. */
  readonly bytesIn: number;
  /** Bytes sent of this turn so far. */
  readonly bytesOut: () => number;
};

/**
 * The state of one client connection: its lane and its local cache. An HTTP request gets a session of one turn. Whatever
 * it holds is gone when it closes.
 */
export class Session {
  readonly id: string;
  readonly tenant: Tenant;
  readonly #transport: Transport;
  readonly #ports: EnginePorts;
  readonly #cache: Retention;
  readonly #lane: Lane;
  /** Turns that wait or run, with the promise of their end. */
  readonly #turns = new Map<Turn, Promise<TurnEnd>>();
  readonly #onClose: () => void;
  #tools: { readonly json: string; readonly value: CreateRequest["tools"] } | null = null;
  #instructions: string | null = null;
  #refusesTurns = false;

  constructor(ports: EnginePorts, options: SessionOptions, onClose: () => void) {
    this.#ports = ports;
    this.id = ports.runtime.newId("session");
    this.tenant = options.tenant;
    this.#transport = options.transport;
    this.#cache = new Retention(ports.limits.sessionBytes);
    this.#lane = new Lane(ports.limits.queuedTurns);
    this.#onClose = onClose;
    ports.observer.observe({ kind: "session.opened", tenant: this.tenant, session: this.id });
  }

  /**
   * Runs one turn, after all earlier ones of its lane.
   * @throws ApiError when it is refused, before any event
   */
  async create(request: CreateRequest, sink: TurnSink): Promise<TurnEnd> {
    if (this.#refusesTurns) {
      const error = new ApiError("server_shutting_down", "The server is shutting down.", { retryAfter: 1 });
      return this.reject(error, request.previous_response_id, sink);
    }
    const turn = new Turn(this.#ports, {
      request: this.#share(request),
      origin: {
        tenant: this.tenant,
        transport: this.#transport,
        session: this.id,
        bytesIn: sink.bytesIn,
        bytesOut: sink.bytesOut,
      },
      emit: sink.emit,
      session: this,
      resolveParent: () => this.#resolve(request.previous_response_id),
      keep: (node) => this.#cache.add(node),
    });
    const end = this.#inLane(() => turn.run(), request.previous_response_id, sink);
    this.#turns.set(turn, end);
    try {
      return await end;
    } finally {
      this.#turns.delete(turn);
    }
  }

  /**
   * Takes the place of a turn whose request could not be read.
   * @throws ApiError that very error, when all earlier turns of the lane have ended
   */
  async reject(error: ApiError, previousResponseId: string | null, sink: TurnSink): Promise<TurnEnd> {
    const refuse = async (): Promise<never> => {
      throw error;
    };
    return this.#inLane(refuse, previousResponseId, sink);
  }

  /** A failed continuation forgets its parent, so the client knows where it stands and sends the full input. */
  forget(id: string | null): void {
    if (id !== null) this.#cache.delete(id);
  }

  /** Refuses new turns; those that wait or run go on. */
  refuse(): void {
    this.#refusesTurns = true;
  }

  /** Ends the turns that wait or run. */
  stop(reason: StopReason): void {
    for (const turn of this.#turns.keys()) turn.stop(reason);
  }

  /** Resolves when no turn waits or runs. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#turns.values());
  }

  /** The client is gone: its turns end at once and its state is let go. */
  close(): void {
    this.refuse();
    this.stop("client_left");
    this.#cache.clear();
    this.#ports.observer.observe({ kind: "session.closed", tenant: this.tenant, session: this.id });
    this.#onClose();
  }

  /** What follows from a failure happens before the next turn of the lane begins, so that turn already sees it. */
  async #inLane(run: () => Promise<TurnEnd>, previousResponseId: string | null, sink: TurnSink): Promise<TurnEnd> {
    let hadItsTurn = false;
    const inOrder = async (): Promise<TurnEnd> => {
      hadItsTurn = true;
      try {
        const end = await run();
        if (end.outcome === "failed") this.forget(previousResponseId);
        return end;
      } catch (error) {
        this.forget(previousResponseId);
        sink.refuse?.(toApiError(error));
        throw error;
      }
    };
    try {
      return await this.#lane.run(inOrder);
    } catch (error) {
      // A full lane has tried nothing, and turns that wait in it may continue from the same response.
      if (!hadItsTurn) sink.refuse?.(toApiError(error));
      throw error;
    }
  }

  async #resolve(id: string | null): Promise<ResponseNode | null> {
    if (id === null) return null;
    const node = this.#cache.get(id) ?? (await this.#ports.store.load(this.tenant, id));
    if (node === undefined) throw previousResponseNotFound(id);
    return node;
  }

  /** Clients send the same instructions and tools every turn: one copy serves them all, and whatever is derived from it. */
  #share(request: CreateRequest): CreateRequest {
    const json = JSON.stringify(request.tools);
    if (this.#tools?.json !== json) this.#tools = { json, value: Object.freeze(request.tools) };
    if (this.#instructions !== request.instructions) this.#instructions = request.instructions;
    return { ...request, tools: this.#tools.value, instructions: this.#instructions };
  }
}
