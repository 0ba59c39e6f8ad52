import { ApiError, previousResponseNotFound } from "../protocol/errors.ts";
import type { CreateRequest } from "../protocol/request.ts";
import { type MemoryLease, Memory } from "./budget.ts";
import { ContextMemory } from "./context-memory.ts";
import { Conversations } from "./conversations.ts";
import { type ChainItem, inputItems, ownInput } from "./input-items.ts";
import { resolveReferences, storedItems } from "./item-references.ts";
import { isContinuable, type ResponseNode } from "./node.ts";
import { checkItemIds } from "./pairing.ts";
import type { EnginePorts, Tenant, Permit } from "./ports.ts";
import { Claims } from "./claims.ts";
import { Compactions } from "./compacted.ts";
import type { Followed } from "./run.ts";
import { type RunOptions, Runs } from "./runs.ts";
import { RunningTurns } from "./running-turns.ts";
import { withModel } from "./sole-model.ts";
import { settingsInForce } from "./standing.ts";
import { Session, type SessionOptions } from "./session.ts";
import { openReasoning } from "./sealed-reasoning.ts";

function shuttingDown(): ApiError {
  return new ApiError("server_shutting_down", "The server is shutting down.", { retryAfter: 1 });
}

/** Holds the ports, opens sessions, and ends them all when the server goes. */
export class Engine {
  /** The budgets of live bytes. */
  readonly memory: Memory;
  readonly #ports: EnginePorts;
  readonly #sessions = new Set<Session>();
  readonly #runs: Runs;
  readonly #claims: Claims;
  readonly #turns: RunningTurns;
  #draining = false;

  constructor(given: EnginePorts) {
    this.memory = given.memory ?? new Memory();
    const ports = { ...given, memory: this.memory };
    this.#ports = ports;
    this.#turns = new RunningTurns(ports.limits);
    this.#runs = new Runs(ports, (options) => this.openSession(options));
    this.#claims = new Claims(ports.store.records, ports.runtime);
  }

  /** Whether new turns are welcome; false from the start of a drain on. */
  get ready(): boolean {
    return !this.#draining;
  }

  /** Sessions that are open now. */
  get openSessions(): number {
    return this.#sessions.size;
  }

  /** Opens the session of one connection, or of one HTTP request. Whoever opens it closes it. */
  openSession(options: SessionOptions): Session {
    const session: Session = new Session(this.#ports, this.#turns, options, () => this.#sessions.delete(session));
    if (this.#draining) session.refuse(shuttingDown());
    this.#sessions.add(session);
    return session;
  }

  /** Refuses early what would be refused later: before a body is read. @throws ApiError `too_many_turns` */
  checkRoom(tenant: Tenant): void {
    this.#turns.check(tenant);
  }

  /** The request with the model that it leaves out. @throws ApiError `missing_required_parameter` */
  named(request: CreateRequest, permit: Permit): Promise<CreateRequest> {
    return withModel(request, this.#ports.models, permit);
  }

  /** The names of the models that are served. */
  models(): Promise<readonly string[]> {
    return this.#ports.models.list();
  }

  /** The conversations of a tenant. @param lease takes what is loaded of them */
  conversations(tenant: Tenant, lease: MemoryLease): Conversations {
    return new Conversations(this.#ports, tenant, new ContextMemory(lease));
  }

  /** The turns that outlive their clients, and the responses that are stored. */
  get runs(): Runs {
    return this.#runs;
  }

  /** Starts a turn that goes on whoever leaves. @throws ApiError why it was refused */
  async detach(options: Omit<RunOptions, "responseId">): Promise<Followed> {
    const run = this.#runs.start({ ...options, responseId: this.#ports.runtime.newId("response") });
    await run.begun;
    return run;
  }

  /**
   * The same for a request that may come again: a second one with its key gets the answer of the first.
   * @throws ApiError `idempotency_key_reused`, `idempotency_key_in_use`, and why it was refused
   */
  claim(key: string, fingerprint: string, options: Omit<RunOptions, "responseId">): Promise<Followed> {
    const { tenant } = options.session;
    const { store, stream, background } = options.request;
    const admit = options.lease && new ContextMemory(options.lease).chain;
    return this.#claims.claim(
      { tenant, key, fingerprint, isStored: store, isForEnd: !stream && !background },
      {
        check: () => this.#runs.checkLimits(tenant),
        reserve: (responseId, changes) => this.#runs.reserve(tenant, responseId, changes),
        start: (responseId, runLease) => this.#runs.start({ ...options, responseId, ...(runLease && { runLease }) }),
        join: (responseId) => this.#runs.join(tenant, responseId, admit),
      },
    );
  }

  /**
   * What a stored response was made from, oldest first. Where the responses before it were not all stored, that is its own
   * input only.
   */
  async inputItems(tenant: Tenant, id: string, lease: MemoryLease): Promise<readonly ChainItem[] | undefined> {
    const { chain: admit } = new ContextMemory(lease);
    const chain = await this.#ports.store.load(tenant, id, admit);
    if (chain !== undefined) return inputItems(chain);
    const stored = await this.#ports.store.get(tenant, id, admit);
    return stored && ownInput(stored);
  }

  /** Makes a response unknown, in the store and on all open connections; what continues it goes on. False when it was. */
  async delete(tenant: Tenant, id: string): Promise<boolean> {
    // What runs elsewhere loses its lease with the deletion, and its server stops it.
    await this.#runs.stop(tenant, id);
    if (!(await this.#ports.store.delete(tenant, id))) return false;
    for (const session of this.#sessions) if (session.tenant === tenant) session.delete(id);
    return true;
  }

  /**
   * How many tokens the model would read of this request.
   * @throws ApiError `previous_response_not_found`, `model_not_found`
   */
  async countTokens(tenant: Tenant, request: CreateRequest, lease: MemoryLease, signal: AbortSignal): Promise<number> {
    const { models, store, limits, seal } = this.#ports;
    const memory = new ContextMemory(lease, limits.contextBytes);
    const { backend, model } = await models.resolve(request.model);
    const parent = await this.#parentOf(tenant, request, memory);
    const items = storedItems(store, tenant, limits.referencedResponses);
    checkItemIds(parent, request.input);
    const named = await resolveReferences(request.input, items, memory);
    const input = openReasoning(named, seal, tenant, memory);
    const settings = settingsInForce({ ...request, input }, parent);
    const compactions = new Compactions(seal, tenant, memory);
    compactions.check(input);
    return backend.count({ model, parent, input, settings, session: this, open: compactions.open }, signal);
  }

  /** What a request would continue, of what is stored. */
  async #parentOf(tenant: Tenant, request: CreateRequest, memory: ContextMemory): Promise<ResponseNode | null> {
    const { previous_response_id: id, conversation } = request;
    if (conversation !== null) return new Conversations(this.#ports, tenant, memory).chain(conversation);
    const parent = id === null ? null : await this.#ports.store.load(tenant, id, memory.chain);
    if (parent === undefined || (parent !== null && !isContinuable(parent))) throw previousResponseNotFound(id ?? "");
    return parent;
  }

  /** Refuses new turns and resolves when all others have ended; those that have not by the deadline are failed. */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#draining = true;
    const sessions = [...this.#sessions];
    for (const session of sessions) session.refuse(shuttingDown());
    const failAll = (): void => {
      for (const session of sessions) session.stop("shutting_down");
    };
    if (deadline.aborted) failAll();
    deadline.addEventListener("abort", failAll, { once: true });
    await Promise.all(sessions.map((session) => session.idle()));
    await this.#runs.idle();
    deadline.removeEventListener("abort", failAll);
  }
}
