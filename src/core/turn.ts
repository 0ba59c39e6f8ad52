import { ApiError, toApiError } from "../protocol/errors.ts";
import type { ServerEvent, TerminalEvent } from "../protocol/events.ts";
import type { Item } from "../protocol/items.ts";
import type { CreateRequest } from "../protocol/request.ts";
import type { Response } from "../protocol/response.ts";
import { EVENT } from "../protocol/table.ts";
import { Assembler } from "./assembler.ts";
import { responseFrame } from "./response-frame.ts";
import { accepted, type Batch, type Batches, leave, pull } from "./batches.ts";
import { beginGeneration, type Generation } from "./generation.ts";
import { commitUnder, releaseLeases } from "./commit.ts";
import { outputBytes } from "./context-memory.ts";
import { commitNode, isContinuable, type ResponseNode } from "./node.ts";
import { admitted, tokensOf } from "./permit.ts";
import type { EnginePorts } from "./ports.ts";
import { encodeMoves, type Move } from "./recording.ts";
import { cutBy, type CutReason, errorOfStop, type StopReason } from "./stop-reason.ts";
import { readInput } from "./turn-input.ts";
import type { TurnOptions } from "./turn-options.ts";
import { ReasoningSealer } from "./sealed-reasoning.ts";

/** What a turn is at this moment; a phase holds what only it needs. */
type TurnState =
  | { readonly phase: "waiting" }
  | { readonly phase: "running"; readonly abort: AbortController }
  | { readonly phase: "stopped"; readonly reason: StopReason }
  | { readonly phase: "ended" };

/** How a turn ended. `error` is there when it was refused or failed. */
export type TurnEnd = {
  readonly outcome: "completed" | "incomplete" | "failed" | "refused" | "abandoned";
  readonly error: ApiError | null;
  /** What was kept of it. */
  readonly node?: ResponseNode;
};

/**
 * Whether the response that a turn continues is forgotten after it, so that the client brings its full input: the turn
 * broke in the middle, or the client takes the chain for another one, since it answers a call that is not there. A
 * request that is refused for anything else can be mended and sent again.
 */
export function forgetsParent({ outcome, error }: TurnEnd): boolean {
  return outcome === "failed" || (outcome === "refused" && error?.code === "tool_call_not_found");
}

/**
 * One `response.create` until its terminal event. It is refused before its first event, or it emits exactly one terminal
 * event, last. When the client leaves it emits nothing more.
 */
export class Turn {
  readonly #ports: EnginePorts;
  readonly #options: TurnOptions;
  readonly #assembler: Assembler;
  /** What a stored response's events are made from; null for one that is not stored. */
  readonly #moves: Move[] | null;
  readonly #sealer: ReasoningSealer | null;
  #state: TurnState = { phase: "waiting" };
  #parent: ResponseNode | null = null;
  #firstOutputAt: number | null = null;
  #error: ApiError | null = null;
  #terminal: TerminalEvent | null = null;
  #node: ResponseNode | null = null;

  constructor(ports: EnginePorts, options: TurnOptions) {
    this.#ports = ports;
    this.#options = options;
    const { request, detached } = options;
    this.#moves = detached?.moves ?? (request.store ? [] : null);
    this.#sealer = request.sealedReasoning ? new ReasoningSealer(ports.seal, options.origin.tenant) : null;
    const frame = responseFrame(request, ports.runtime, detached?.responseId);
    this.#assembler = new Assembler(frame, ports.runtime, this.#moves);
  }

  get responseId(): string {
    return this.#assembler.id;
  }

  get request(): CreateRequest {
    return this.#options.request;
  }

  /** The numbers of what is said of this response, also when the turn is long over. */
  get numbers(): Assembler["numbers"] {
    return this.#assembler.numbers;
  }

  /** The last event; null before it, and for a turn that had none. */
  get terminal(): TerminalEvent | null {
    return this.#terminal;
  }

  /** Ends the turn wherever it is; its backend call is aborted. A turn that has ended is left alone. */
  stop(reason: StopReason): void {
    const state = this.#state;
    // A turn that is on its way to a good end may still lose its client, and nothing else.
    if (state.phase === "ended" || this.#isAbandoned()) return;
    if (state.phase === "stopped" && reason !== "client_left") return;
    this.#state = { phase: "stopped", reason };
    if (state.phase === "running") state.abort.abort();
  }

  /** Drops what is open and ends the response there; a response that is ending anyway is left alone. */
  interrupt(): void {
    if (this.#state.phase !== "running" || this.#assembler.isFinished) return;
    const events = this.#assembler.interrupt();
    this.stop("interrupted");
    this.#say(events);
  }

  /** Whether new words can still change what comes. */
  get isSteerable(): boolean {
    return this.#state.phase === "running" || this.#cutReason() === "steered";
  }

  /** Ends the response at the end of the item that is open, or at once when there is none. */
  steer(): void {
    if (this.#assembler.isFinished) return;
    if (this.#assembler.isIdle) this.stop("steered");
    else this.#assembler.stopAtBoundary();
  }

  /** Emits events beside the output, which nobody waits for: they are few and small. */
  #say(events: readonly ServerEvent[]): void {
    void this.#emit(events);
  }

  /** Says something about this response, also after its end, with the next of its numbers. */
  aside(make: (sequenceNumber: number) => ServerEvent): void {
    this.#say([this.#assembler.aside(make)]);
  }

  /** Runs the turn to its end; never rejects. */
  async run(): Promise<TurnEnd> {
    const startedAt = this.#ports.runtime.monotonic();
    const { origin, permit } = this.#options;
    this.#ports.observer.observe({ kind: "turn.started", tenant: origin.tenant, responseId: this.responseId });
    const outcome = await this.#run();
    this.#state = { phase: "ended" };
    permit?.charge(tokensOf(this.#assembler, this.#parent, origin.bytesIn));
    this.#report(outcome, startedAt);
    return { outcome, error: this.#error, ...(this.#node !== null && { node: this.#node }) };
  }

  async #run(): Promise<TurnEnd["outcome"]> {
    const { runtime, limits } = this.#ports;
    let started: Started;
    let first: Batch | null;
    try {
      started = await this.#begin();
      await this.#options.detached?.admit({ ...started, response: this.#assembler.snapshot("queued") });
      first = started.batches && pull(started.batches);
      if (first !== null) await accepted(first, runtime, this.request.background ? 0 : limits.acceptMs);
    } catch (thrown) {
      await releaseLeases(this.#options);
      if (this.#isAbandoned()) return "abandoned";
      this.#error = this.#explain(thrown);
      return "refused";
    }
    this.#options.begun();
    const last = await this.#generate(started, first);
    if (last === null || this.#isAbandoned()) {
      await releaseLeases(this.#options);
      return "abandoned";
    }
    // Numbered and sent in one go, so that nothing can be said in between; and whoever steers or interrupts from here on
    // hears that it is over.
    const response = last instanceof ApiError ? this.#assembler.failed(last) : last;
    if (last instanceof ApiError) this.#error = last;
    // Its client may ask later. If this fails too, the lease ends, and the run is stored as failed.
    if (last instanceof ApiError && this.request.background)
      await this.#put(this.#nodeOf({ ...started, response })).catch(() => undefined);
    await releaseLeases(this.#options);
    const terminal = this.#assembler.terminal(response);
    this.#terminal = terminal;
    this.#state = { phase: "ended" };
    try {
      await this.#options.emit([terminal]);
      return OUTCOME[terminal.type];
    } catch (thrown) {
      // What cannot be written now could not be written before either: the client has heard of no response.
      this.#error = toApiError(thrown);
      return "refused";
    }
  }

  /** All that can refuse the turn: its parent, its input, its model, its backend. */
  async #begin(): Promise<Started> {
    this.#assertWanted();
    const abort = new AbortController();
    this.#state = { phase: "running", abort };
    const { session, sessionEnd, retries, permit, conversation, resolveParent, items, memory } = this.#options;
    const found = conversation?.parent(this.responseId) ?? resolveParent();
    const parent = await admitted(permit, this.request.model, found);
    this.#parent = parent;
    const { tenant, bytesIn } = this.#options.origin;
    const { seal } = this.#ports;
    const input = await readInput(this.request.input, { parent, items, memory, seal, tenant, bytesIn });
    this.#assertWanted();
    const request = { ...this.request, input };
    const { backend, model } = await this.#ports.models.resolve(request.model);
    this.#assertWanted();
    const subject = { request, parent, tenant, memory, responseId: this.responseId, session, sessionEnd, retries };
    return { parent, input, ...beginGeneration(this.#ports, { ...subject, backend, model }, abort.signal) };
  }

  /** From the first event to the last before the terminal one: the response, or why it failed; null when nobody is left. */
  async #generate(
    { parent, input, batches, calls, rootOf, made }: Started,
    first: Batch | null,
  ): Promise<Response | ApiError | null> {
    const assembler = this.#assembler;
    try {
      if (batches === null || first === null) await this.#emit(assembler.start());
      else await this.#consume(batches, first, calls);
      const cut = this.#cutReason();
      const isWarmUp = batches === null;
      const ended = cut !== null ? assembler.cut(cut) : isWarmUp ? assembler.finishWarmUp() : assembler.finish();
      await this.#emit(ended.events);
      if (this.#isAbandoned()) return null;
      const { response } = ended;
      await this.#commit({ response, ...rootOf({ parent, input, response }) }, made);
      return ended.response;
    } catch (thrown) {
      return this.#isAbandoned() ? null : this.#explain(thrown);
    }
  }

  /** Takes in what the backend says, until it ends or is stopped on purpose. */
  async #consume(batches: Batches, first: Batch, calls: Generation["calls"]): Promise<void> {
    try {
      await this.#emit(this.#assembler.start());
      for (let batch = first; this.#isRunning(); ) {
        const { done, value } = await batch;
        if (done || this.#wasStopped()) break;
        this.#options.memory.output(outputBytes(value));
        const heard = calls?.apply(value) ?? value;
        const events = this.#assembler.push(this.#sealer?.apply(heard) ?? heard);
        if (events.length > 0) {
          this.#firstOutputAt ??= this.#ports.runtime.monotonic();
          const full = this.#emit(events);
          if (full !== undefined) await full;
        }
        if (this.#assembler.isAtBoundary) this.stop("steered");
        if (this.#isRunning()) batch = batches.next();
      }
    } catch (thrown) {
      // A stop makes the backend throw; one that ends the turn in good order is no failure.
      if (this.#cutReason() === null) throw thrown;
    } finally {
      // Ends a backend that was left in the middle; what it says to that concerns nobody any more.
      leave(batches).catch(() => undefined);
    }
    if (this.#cutReason() === null) this.#assertWanted();
  }

  /** The node is kept, and durable if it is stored, before the client hears that the response has ended. */
  async #commit(content: Pick<ResponseNode, "parent" | "input" | "response">, made: Generation["made"]): Promise<void> {
    const node = this.#nodeOf(content);
    await this.#put(node);
    // A response that was cancelled is there to be looked at, and not to be continued.
    if (!isContinuable(node)) return;
    this.#node = node;
    made?.(node);
    // What the session keeps takes the place of what the turn has held.
    this.#options.memory.release();
    if (!this.#isAbandoned()) this.#options.keep(node);
  }

  #nodeOf({ parent, input, response }: Pick<ResponseNode, "parent" | "input" | "response">): ResponseNode {
    return commitNode({ id: response.id, tenant: this.#options.origin.tenant, parent, input, response });
  }

  /** Stores the node if it is to be stored, and ends all leases that the turn has. */
  async #put(node: ResponseNode): Promise<void> {
    if (!this.request.store) return;
    const recording = encodeMoves(this.#moves ?? []);
    await commitUnder(this.#ports.store, node, recording, this.#options, this.#cutReason() === "cancelled");
  }

  /** Nothing is said to a client that has left. */
  #emit(events: readonly ServerEvent[]): void | Promise<void> {
    if (events.length > 0 && !this.#isAbandoned()) return this.#options.emit(events);
  }

  #isAbandoned(): boolean {
    return this.#state.phase === "stopped" && this.#state.reason === "client_left";
  }

  #isRunning(): boolean {
    return this.#state.phase === "running";
  }

  #wasStopped(): boolean {
    return this.#state.phase === "stopped";
  }

  /** Why the response is cut short in good order; null when it is not. */
  #cutReason(): CutReason | null {
    return this.#state.phase === "stopped" ? cutBy(this.#state.reason) : null;
  }

  #assertWanted(): void {
    if (this.#state.phase === "stopped") throw new ApiError("server_shutting_down", "The turn was stopped.");
  }

  /** What the client is told: a stop says its own reason, whatever it made others throw. */
  #explain(thrown: unknown): ApiError {
    const stopped = this.#state.phase === "stopped" ? errorOfStop(this.#state.reason) : null;
    return stopped ?? toApiError(thrown);
  }

  #report(outcome: TurnEnd["outcome"], startedAt: number): void {
    const { runtime, observer } = this.#ports;
    const { request, permit } = this.#options;
    const { bytesOut, ...origin } = this.#options.origin;
    observer.observe({
      kind: "turn.ended",
      ...origin,
      keyName: permit?.keyName ?? null,
      responseId: this.responseId,
      previousResponseId: request.previous_response_id,
      model: request.model,
      outcome,
      errorCode: this.#error?.code ?? null,
      cause: this.#error?.cause,
      itemsIn: request.input.length,
      bytesOut: bytesOut(),
      usage: this.#assembler.usage,
      compacted: this.#terminal?.response.output.some((item) => item.type === "compaction") ?? false,
      timeToFirstOutput: this.#firstOutputAt === null ? null : this.#firstOutputAt - startedAt,
      duration: runtime.monotonic() - startedAt,
      store: request.store,
    });
  }
}

type Started = Generation & {
  readonly parent: ResponseNode | null;
  /** What was sent, with the items themselves where it referred to them. */
  readonly input: readonly Item[];
};

const OUTCOME = {
  [EVENT.completed]: "completed",
  [EVENT.incomplete]: "incomplete",
  [EVENT.failed]: "failed",
} as const satisfies Record<TerminalEvent["type"], TurnEnd["outcome"]>;
