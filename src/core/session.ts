import { ApiError, previousResponseEvicted, previousResponseNotFound, toApiError } from "../protocol/errors.ts";
import type { ServerEvent } from "../protocol/events.ts";
import type { CreateRequest } from "../protocol/request.ts";
import type { SteerRequest } from "../protocol/steer.ts";
import { EVENT, type SteerErrorCode } from "../protocol/table.ts";
import { type Account, Memory } from "./budget.ts";
import { ContextMemory } from "./context-memory.ts";
import { ConversationTurn } from "./conversation-turn.ts";
import { Conversations } from "./conversations.ts";
import { type Inject, injectFailed } from "./inject.ts";
import { type ItemSource, storedItems } from "./item-references.ts";
import { DEFAULT_LANE, Lanes } from "./lanes.ts";
import { LocalCache } from "./local-cache.ts";
import { isContinuable, type ResponseNode } from "./node.ts";
import type { EnginePorts, Permit, Tenant, Transport } from "./ports.ts";
import { RepeatedSettings } from "./repeated-settings.ts";
import { markReported } from "./reported.ts";
import type { Conduct, Entry, Running, TurnJob, TurnSink } from "./session-turns.ts";
import { awaitsClient, steerFailed, Steers, whyOver } from "./steering.ts";
import type { RunningTurns } from "./running-turns.ts";
import { withModel } from "./sole-model.ts";
import type { StopReason } from "./stop-reason.ts";
import { forgetsParent, Turn, type TurnEnd } from "./turn.ts";

export type { TurnSink } from "./session-turns.ts";

export type SessionOptions = {
  readonly tenant: Tenant;
  readonly transport: Transport;
  /** Asked before each turn; without one, everything is allowed. */
  readonly permit?: Permit;
  /** Id of the HTTP request or of the upgrade, for the reports of its turns. */
  readonly requestId?: string;
  /** How often a backend may send a request of this client again; undefined leaves it to the backend. */
  readonly retries?: number | undefined;
};

/** The state of one client connection: lanes, local cache, and steers that wait. An HTTP request has one of one turn. */
export class Session {
  readonly id: string;
  readonly tenant: Tenant;
  readonly #options: SessionOptions;
  readonly #ports: EnginePorts;
  readonly #onClose: () => void;
  readonly #end = new AbortController();
  readonly #account: Account;
  readonly #cache: LocalCache;
  readonly #lanes: Lanes<TurnJob>;
  readonly #allTurns: RunningTurns;
  readonly #turns = new Set<Turn>();
  readonly #running = new Map<string, Running>();
  /** Steers whose response has ended, by lane: they wait for the client to continue it, or its continuation to begin. */
  readonly #held = new Map<string, Steers>();
  readonly #ends = new Set<Promise<TurnEnd>>();
  readonly #repeated = new RepeatedSettings();
  readonly #items: ItemSource;
  #refusal: ApiError | null = null;
  #stopped: StopReason | null = null;

  constructor(ports: EnginePorts, allTurns: RunningTurns, options: SessionOptions, onClose: () => void) {
    this.#ports = ports;
    this.#allTurns = allTurns;
    this.id = ports.runtime.newId("session");
    this.tenant = options.tenant;
    this.#options = options;
    this.#account = (ports.memory ?? new Memory()).of(this.tenant);
    // Over HTTP no turn comes behind this one.
    const isLasting = options.transport === "websocket";
    this.#cache = new LocalCache(isLasting ? ports.limits.sessionBytes : 0, this.#account.open());
    this.#lanes = new Lanes(ports.limits);
    this.#onClose = onClose;
    const stored = storedItems(ports.store, this.tenant, ports.limits.referencedResponses);
    this.#items = { ...stored, known: (id) => this.#cache.get(id) };
    ports.observer.observe({ kind: "session.opened", tenant: this.tenant, session: this.id });
  }

  /** Runs one turn in its lane, after all earlier ones there. Never rejects: a refusal is an end like others. */
  create(request: CreateRequest, sink: TurnSink, lane: string = DEFAULT_LANE): Promise<TurnEnd> {
    const id = request.previous_response_id;
    if (this.#refusal !== null) return this.reject(this.#refusal, sink, lane);
    // A fork keeps hold of its parent while it waits: what becomes of the other lane is none of its concern.
    const known = id === null ? undefined : this.#cache.get(id);
    const pinned = known !== undefined && this.#cache.originOf(known.id)?.lane !== lane ? known : null;
    const run = async (): Promise<TurnEnd> => {
      const isNamed = request.model !== "";
      const named = isNamed ? request : await withModel(request, this.#ports.models, this.#options.permit);
      return this.#runTurn(this.#repeated.share(named), { lane, sink, pinned, steers: this.#claim(id, lane) });
    };
    return this.#enqueue({ lane, continues: id, forgets: id, refuse: sink.refuse, run });
  }

  /** Takes the place of a turn that is refused for what the transport knows. */
  reject(error: ApiError, sink: TurnSink, lane: string = DEFAULT_LANE): Promise<TurnEnd> {
    const run = async (): Promise<TurnEnd> => ({ outcome: "refused", error });
    return this.#enqueue({ lane, continues: null, forgets: null, refuse: sink.refuse, run }, "addRefusal");
  }

  /** Takes new words for a running response, or says why not. `emit` is for a response that is not running. */
  steer(request: SteerRequest, emit: (event: ServerEvent, lane: string) => void): void {
    if (this.#isClosed) return;
    const { previous_response_id, input } = request;
    const running = this.#running.get(previous_response_id);
    const code = this.#whyNotSteer(request, running);
    const steer = { previous_response_id, input };
    if (running === undefined) {
      const origin = this.#cache.originOf(previous_response_id);
      const event = steerFailed(origin?.numbers.next() ?? 0, steer, code ?? "response_not_found");
      emit(event, origin?.lane ?? DEFAULT_LANE);
    } else if (code !== null || request.items === null) {
      running.turn.aside((number) => steerFailed(number, steer, code ?? "invalid_input"));
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
    if (running === undefined || running.turn.terminal !== null) return;
    if (mode === null || mode === "discard_partial_items") {
      running.turn.interrupt();
      return;
    }
    const error = { code: "interrupt_not_supported", message: `The mode '${mode}' is not supported.` } as const;
    const response_id = running.turn.responseId;
    running.turn.aside((sequence_number) => ({ type: EVENT.interruptFailed, sequence_number, response_id, error }));
  }

  /** Gives back input for a running response, and says why. `emit` is for a response that is not running. */
  inject(inject: Inject, emit: (event: ServerEvent, lane: string) => void): void {
    if (this.#isClosed) return;
    const { responseId } = inject;
    const running = this.#running.get(responseId);
    if (running !== undefined) {
      const code = running.turn.terminal === null ? "invalid_input" : "response_already_completed";
      return running.turn.aside((number) => injectFailed(number, inject, code));
    }
    const origin = this.#cache.originOf(responseId);
    const code = this.#cache.get(responseId) === undefined ? "response_not_found" : "response_already_completed";
    emit(injectFailed(origin?.numbers.next() ?? 0, inject, code), origin?.lane ?? DEFAULT_LANE);
  }

  /** Says something for every running response, for clients that take silence for death. */
  keepAlive(): void {
    for (const { turn } of this.#running.values()) {
      if (turn.terminal === null)
        turn.aside((sequence_number): ServerEvent => ({ type: EVENT.keepalive, sequence_number }));
    }
  }

  /** A response was deleted: its id resolves here no more, and what stands on it goes on. */
  delete(id: string): void {
    this.#cache.delete(id);
  }

  /** Refuses new turns with this error; those that wait or run go on, and apply the steers that they would have. */
  refuse(error: ApiError): void {
    this.#refusal = error;
    for (const [lane, steers] of this.#held) {
      if (this.#isContinued(steers.target, lane)) continue;
      this.#held.delete(lane);
      steers.giveBack();
    }
  }

  /** Ends the turns that wait or run. */
  stop(reason: Exclude<StopReason, "interrupted" | "steered">): void {
    if (this.#isClosed) return;
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

  get #isClosed(): boolean {
    return this.#stopped === "client_left";
  }

  /** What follows from a failure happens before the next turn of the lane begins, so that turn already sees it. */
  #enqueue(entry: Entry, place: "add" | "addNext" | "addRefusal" = "add"): Promise<TurnEnd> {
    const { lane, continues, run: task } = entry;
    const refuse = (error: ApiError): void => (this.#isClosed ? undefined : entry.refuse?.(error));
    const { promise, resolve } = Promise.withResolvers<TurnEnd>();
    const run = async (): Promise<void> => {
      // Whatever else goes wrong, such as a value that is nested too deeply to be written, is an end as well.
      const end = await task().catch((thrown: unknown): TurnEnd => ({ outcome: "refused", error: toApiError(thrown) }));
      if (forgetsParent(end)) this.#cache.forget(entry.forgets, lane);
      if (end.outcome === "refused") this.#claim(continues, lane)?.giveBack();
      if (end.outcome === "refused" && end.error !== null) refuse(end.error);
      resolve(end);
    };
    try {
      this.#lanes[place](lane, { continues, run });
    } catch (error) {
      // A full lane has tried nothing, and turns that wait in it may continue from the same response.
      if (!(error instanceof ApiError)) throw error;
      refuse(error);
      return Promise.resolve({ outcome: "refused", error });
    }
    this.#ends.add(promise);
    void promise.finally(() => this.#ends.delete(promise));
    return promise;
  }

  async #runTurn(request: CreateRequest, { lane, sink, pinned, steers }: Conduct): Promise<TurnEnd> {
    const leave = this.#allTurns.enter(this.tenant, () => steers?.giveBack());
    const memory = new ContextMemory(this.#account.open(), this.#ports.limits.contextBytes);
    const turn = new Turn(this.#ports, {
      request: steers === null ? request : { ...request, input: [...steers.items, ...request.input] },
      origin: {
        tenant: this.tenant,
        transport: this.#options.transport,
        session: this.id,
        requestId: this.#options.requestId ?? null,
        bytesIn: sink.bytesIn,
        bytesOut: sink.bytesOut,
      },
      // Steers of a turn that has ended may come back when the client has left.
      emit: (events) => (this.#isClosed ? undefined : sink.emit(events)),
      detached: sink.detached,
      session: this,
      permit: this.#options.permit,
      sessionEnd: this.#end.signal,
      retries: this.#options.retries,
      memory,
      conversation: this.#conversation(request, memory),
      resolveParent: async () => {
        if (request.store) await this.#ports.store.checkRoom?.(this.tenant);
        return pinned ?? (await this.#resolve(request.previous_response_id, memory));
      },
      items: this.#items,
      keep: (node) => {
        // The response holds what its request has held.
        sink.lease?.release();
        this.#cache.keep(node, { lane, numbers: turn.numbers });
      },
      begun: () => this.#running.set(turn.responseId, { turn, lane, steers: new Steers(turn) }),
    });
    this.#turns.add(turn);
    if (this.#stopped !== null) turn.stop(this.#stopped);
    const end = await turn.run();
    leave();
    memory.release();
    this.#turns.delete(turn);
    if (end.outcome === "refused") steers?.giveBack();
    if (end.outcome === "refused" && end.error !== null) markReported(end.error);
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
    if (end.outcome === "failed") this.#cache.remember(id, { lane, numbers: turn.numbers }, "response_not_active");
    if (steers === undefined || steers.count === 0 || end.outcome === "abandoned") return;
    const { error, incomplete_details, output } = turn.terminal?.response ?? {};
    const isOver = error !== null || incomplete_details?.reason === "interrupted";
    if (!isOver && this.#isContinued(turn, lane)) {
      this.#hold(steers, lane);
    } else if (isOver || this.#refusal !== null) {
      steers.giveBack();
    } else if (awaitsClient(output ?? [])) {
      this.#hold(steers, lane);
      steers.announcePending();
    } else {
      this.#succeed(turn, steers, sink, lane);
    }
  }

  /** Goes on from the response with its steers as input, and all of its settings. */
  #succeed(turn: Turn, steers: Steers, sink: TurnSink, lane: string): void {
    const id = turn.responseId;
    const request = { ...turn.request, previous_response_id: id, input: [] };
    const sent = sink.bytesOut();
    // It came with no request, so nobody waits for a refusal: its steers come back instead.
    const own = { emit: sink.emit, bytesIn: 0, bytesOut: () => sink.bytesOut() - sent };
    const pinned = this.#cache.get(id) ?? null;
    const run = (): Promise<TurnEnd> => this.#runTurn(request, { lane, sink: own, pinned, steers });
    void this.#enqueue({ lane, continues: null, forgets: null, refuse: null, run }, "addNext");
  }

  /** Whether the client's own continuation of the response waits in the lane. */
  #isContinued({ responseId }: Turn, lane: string): boolean {
    return this.#lanes.findWaiting(lane, ({ continues }) => continues === responseId) !== undefined;
  }

  /** A lane holds the steers of one response; those that it held before can no longer be applied. */
  #hold(steers: Steers, lane: string): void {
    this.#held.get(lane)?.giveBack();
    this.#held.set(lane, steers);
  }

  #whyNotSteer(request: SteerRequest, running: Running | undefined): SteerErrorCode | null {
    if (running !== undefined) {
      if (request.items === null) return "invalid_input";
      const code = running.steers.whyNot(this.#ports.limits.pendingSteers);
      // Nothing will follow the response: it would be cut short for words that could only be given back.
      return code === null && this.#refusal !== null ? "response_not_active" : code;
    }
    const node = this.#cache.get(request.previous_response_id);
    if (node === undefined) return this.#cache.whyGone(request.previous_response_id);
    if (request.items === null) return "invalid_input";
    return whyOver(node.response);
  }

  #conversation({ conversation, store }: CreateRequest, memory: ContextMemory): ConversationTurn | null {
    if (conversation === null) return null;
    return new ConversationTurn(new Conversations(this.#ports, this.tenant, memory), conversation, { store });
  }

  async #resolve(id: string | null, memory: ContextMemory): Promise<ResponseNode | null> {
    if (id === null) return null;
    const node = this.#cache.get(id) ?? (await this.#ports.store.load(this.tenant, id, memory.chain));
    if (node === undefined && this.#cache.wasEvicted(id)) throw previousResponseEvicted(id);
    // A failed or cancelled background response is stored to be looked at.
    if (node === undefined || !isContinuable(node)) throw previousResponseNotFound(id);
    return node;
  }
}
