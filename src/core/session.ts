import { ApiError, previousResponseNotFound, toApiError } from "../protocol/errors.ts";
import type { ServerEvent } from "../protocol/events.ts";
import type { CreateRequest } from "../protocol/request.ts";
import type { SteerRequest } from "../protocol/steer.ts";
import { EVENT, type SteerErrorCode } from "../protocol/table.ts";
import { DEFAULT_LANE, type Job, Lanes } from "./lanes.ts";
import type { ResponseNode } from "./node.ts";
import type { Emit, EnginePorts, Tenant, Transport } from "./ports.ts";
import { Retention } from "./retention.ts";
import { awaitsClient, steerFailed, Steers } from "./steering.ts";
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

/** A turn that waits in its lane. */
type TurnJob = Job & { readonly previousResponseId: string | null };

/** A turn that can be named by its response's id. */
type Running = { readonly turn: Turn; readonly lane: string; readonly steers: Steers };

/** How many failed responses are remembered by their id. */
const REMEMBERED_FAILURES = 64;

/**
 * The state of one client connection: its lanes, its local cache, and the steers that wait for a continuation. An HTTP
 * request gets a session of one turn. Whatever it holds is gone when it closes.
 */
export class Session {
  readonly id: string;
  readonly tenant: Tenant;
  readonly #transport: Transport;
  readonly #ports: EnginePorts;
  readonly #onClose: () => void;
  readonly #end = new AbortController();
  readonly #cache: Retention;
  readonly #lanes: Lanes<TurnJob>;
  /** Where each node was made, and how many events told of it. */
  readonly #origins = new WeakMap<ResponseNode, { readonly lane: string; events: number }>();
  readonly #turns = new Set<Turn>();
  readonly #running = new Map<string, Running>();
  /** Steers whose response has ended, by lane: they wait for the client to continue it. */
  readonly #held = new Map<string, Steers>();
  readonly #failures = new Set<string>();
  readonly #ends = new Set<Promise<TurnEnd>>();
  #tools: { readonly json: string; readonly value: CreateRequest["tools"] } | null = null;
  #instructions: string | null = null;
  #refusal: ApiError | null = null;
  #stopped: StopReason | null = null;

  constructor(ports: EnginePorts, options: SessionOptions, onClose: () => void) {
    this.#ports = ports;
    this.id = ports.runtime.newId("session");
    this.tenant = options.tenant;
    this.#transport = options.transport;
    this.#cache = new Retention(ports.limits.sessionBytes);
    this.#lanes = new Lanes(ports.limits);
    this.#onClose = onClose;
    ports.observer.observe({ kind: "session.opened", tenant: this.tenant, session: this.id });
  }

  /** Runs one turn in its lane, after all earlier ones there. Never rejects: a refusal is an end like others. */
  create(request: CreateRequest, sink: TurnSink, lane: string = DEFAULT_LANE): Promise<TurnEnd> {
    const id = request.previous_response_id;
    if (this.#refusal !== null) return this.reject(this.#refusal, null, sink, lane);
    // A fork keeps hold of its parent while it waits: what becomes of the other lane is none of its concern.
    const known = id === null ? undefined : this.#cache.get(id);
    const pinned = known !== undefined && this.#origins.get(known)?.lane !== lane ? known : null;
    return this.#enqueue(lane, id, sink, async () => this.#runTurn(this.#share(request), pinned, sink, lane));
  }

  /** Takes the place of a turn that is refused for what the transport knows; it forgets the response that it names. */
  reject(
    error: ApiError,
    previousResponseId: string | null,
    sink: TurnSink,
    lane: string = DEFAULT_LANE,
  ): Promise<TurnEnd> {
    return this.#enqueue(lane, previousResponseId, sink, async () => ({ outcome: "refused", error }), "addRefusal");
  }

  /** Takes new words for a running response, or says why not. `emit` is for a response that is not running. */
  steer(request: SteerRequest, emit: (event: ServerEvent, lane: string) => void): void {
    const running = this.#running.get(request.previous_response_id);
    const code = this.#whyNotSteer(request, running);
    const { previous_response_id, input } = request;
    if (running === undefined || code === "response_not_found") {
      const node = this.#cache.get(previous_response_id);
      const origin = node === undefined ? undefined : this.#origins.get(node);
      const number = origin === undefined ? 0 : origin.events++;
      const event = steerFailed(number, { previous_response_id, input }, code ?? "response_not_found");
      emit(event, origin?.lane ?? DEFAULT_LANE);
    } else if (code !== null || request.items === null) {
      running.turn.aside((number) => steerFailed(number, { previous_response_id, input }, code ?? "invalid_input"));
    } else {
      running.steers.accept(this.#ports.runtime.newId("steer"), request, request.items);
      running.turn.steer();
    }
  }

  /**
   * Interrupts a response; without an id, the one that runs on the default lane. One that is not running is left alone and
   * nothing is said: an answer would meet the client's next turn.
   */
  interrupt(responseId: string | null, mode: string | null): void {
    const onDefault = (): Running | undefined => [...this.#running.values()].find(({ lane }) => lane === DEFAULT_LANE);
    const running = responseId === null ? onDefault() : this.#running.get(responseId);
    if (running === undefined) return;
    if (mode === null || mode === "discard_partial_items") {
      running.turn.interrupt();
      return;
    }
    const error = { code: "interrupt_not_supported", message: `The mode '${mode}' is not supported.` } as const;
    const response_id = running.turn.responseId;
    running.turn.aside((sequence_number) => ({ type: EVENT.interruptFailed, sequence_number, response_id, error }));
  }

  /** Says something for every running response, for clients that take silence for death. */
  keepAlive(): void {
    for (const { turn } of this.#running.values()) {
      if (turn.terminal === null)
        turn.aside((sequence_number): ServerEvent => ({ type: EVENT.keepalive, sequence_number }));
    }
  }

  /** Refuses new turns with this error; those that wait or run go on. */
  refuse(error: ApiError): void {
    this.#refusal = error;
    for (const steers of this.#held.values()) steers.giveBack();
    this.#held.clear();
  }

  /** Ends the turns that wait or run. */
  stop(reason: "client_left" | "shutting_down" | "connection_limit"): void {
    this.#stopped = reason;
    for (const turn of this.#turns) turn.stop(reason);
  }

  /** Resolves when no turn waits or runs. */
  async idle(): Promise<void> {
    while (this.#ends.size > 0) await Promise.all(this.#ends);
  }

  /** The client is gone: its turns end at once and its state is let go. */
  close(): void {
    this.stop("client_left");
    this.#refusal ??= new ApiError("server_shutting_down", "The connection is closed.");
    this.#end.abort();
    this.#held.clear();
    this.#cache.clear();
    this.#ports.observer.observe({ kind: "session.closed", tenant: this.tenant, session: this.id });
    this.#onClose();
  }

  /** What follows from a failure happens before the next turn of the lane begins, so that turn already sees it. */
  #enqueue(
    lane: string,
    previousResponseId: string | null,
    sink: TurnSink,
    task: () => Promise<TurnEnd>,
    place: "add" | "addNext" | "addRefusal" = "add",
  ): Promise<TurnEnd> {
    const { promise, resolve } = Promise.withResolvers<TurnEnd>();
    const run = async (): Promise<void> => {
      // Whatever else goes wrong, such as a value that is nested too deeply to be written, is an end as well.
      const end = await task().catch((thrown: unknown): TurnEnd => ({ outcome: "refused", error: toApiError(thrown) }));
      if (end.outcome === "failed" || end.outcome === "refused") this.#forget(previousResponseId, lane);
      if (end.outcome === "refused" && end.error !== null) sink.refuse?.(end.error);
      resolve(end);
    };
    try {
      this.#lanes[place](lane, { previousResponseId, run });
    } catch (error) {
      // A full lane has tried nothing, and turns that wait in it may continue from the same response.
      if (!(error instanceof ApiError)) throw error;
      sink.refuse?.(error);
      return Promise.resolve({ outcome: "refused", error });
    }
    this.#ends.add(promise);
    void promise.finally(() => this.#ends.delete(promise));
    return promise;
  }

  async #runTurn(request: CreateRequest, pinned: ResponseNode | null, sink: TurnSink, lane: string): Promise<TurnEnd> {
    const claimed = this.#claim(request.previous_response_id, lane);
    const turn = new Turn(this.#ports, {
      request: claimed === null ? request : { ...request, input: [...claimed.items, ...request.input] },
      origin: {
        tenant: this.tenant,
        transport: this.#transport,
        session: this.id,
        bytesIn: sink.bytesIn,
        bytesOut: sink.bytesOut,
      },
      emit: sink.emit,
      session: this,
      sessionEnd: this.#end.signal,
      resolveParent: async () => pinned ?? (await this.#resolve(request.previous_response_id)),
      keep: (node) => {
        // The terminal event is still to come.
        this.#origins.set(node, { lane, events: turn.eventCount + 1 });
        this.#cache.add(node);
      },
      begun: () => this.#running.set(turn.responseId, { turn, lane, steers: new Steers(turn) }),
    });
    this.#turns.add(turn);
    if (this.#stopped !== null) turn.stop(this.#stopped);
    const end = await turn.run();
    this.#turns.delete(turn);
    if (end.outcome === "refused") claimed?.giveBack();
    this.#settleSteers(turn, end, sink, lane);
    return end;
  }

  /** The steers that this continuation applies. */
  #claim(previousResponseId: string | null, lane: string): Steers | null {
    const held = this.#held.get(lane);
    if (held === undefined || held.target.responseId !== previousResponseId) return null;
    this.#held.delete(lane);
    return held;
  }

  /** The response has ended: its steers start its successor, wait for the client, or are given back. */
  #settleSteers(turn: Turn, end: TurnEnd, sink: TurnSink, lane: string): void {
    const id = turn.responseId;
    const steers = this.#running.get(id)?.steers;
    this.#running.delete(id);
    if (end.outcome === "failed") this.#rememberFailure(id);
    if (steers === undefined || steers.count === 0 || end.outcome === "abandoned") return;
    const response = turn.terminal?.response;
    const isOver =
      response === undefined || end.outcome === "failed" || response.incomplete_details?.reason === "interrupted";
    if (isOver || this.#refusal !== null) {
      steers.giveBack();
    } else if (this.#lanes.findWaiting(lane, (job) => job.previousResponseId === id) !== undefined) {
      this.#hold(steers, lane);
    } else if (awaitsClient(response.output)) {
      this.#hold(steers, lane);
      steers.announcePending();
    } else {
      this.#hold(steers, lane);
      const successor = { ...turn.request, previous_response_id: id, input: [] };
      const quiet = { ...sink, refuse: () => undefined };
      void this.#enqueue(lane, null, quiet, () => this.#runTurn(successor, null, sink, lane), "addNext");
    }
  }

  /** A lane holds the steers of one response; those that it held before can no longer be applied. */
  #hold(steers: Steers, lane: string): void {
    this.#held.get(lane)?.giveBack();
    this.#held.set(lane, steers);
  }

  #rememberFailure(id: string): void {
    this.#failures.add(id);
    const [oldest] = this.#failures;
    if (this.#failures.size > REMEMBERED_FAILURES && oldest !== undefined) this.#failures.delete(oldest);
  }

  #whyNotSteer(request: SteerRequest, running: Running | undefined): SteerErrorCode | null {
    if (running !== undefined) {
      if (request.items === null) return "invalid_input";
      if (running.turn.terminal !== null) return "response_already_completed";
      if (running.turn.request.compacts) return "steering_not_supported";
      if (running.steers.count >= this.#ports.limits.pendingSteers) return "too_many_pending_steers";
      return running.turn.isSteerable ? null : "response_not_active";
    }
    if (this.#failures.has(request.previous_response_id)) return "response_not_active";
    const node = this.#cache.get(request.previous_response_id);
    if (node === undefined) return "response_not_found";
    if (request.items === null) return "invalid_input";
    return node.response.status === "completed" ? "response_already_completed" : "response_not_active";
  }

  /** A failed continuation forgets its parent, so that the client knows where it stands and sends the full input. */
  #forget(id: string | null, lane: string): void {
    const node = id === null ? undefined : this.#cache.get(id);
    // Another lane's response was only borrowed.
    if (node !== undefined && this.#origins.get(node)?.lane === lane) this.#cache.delete(node.id);
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
