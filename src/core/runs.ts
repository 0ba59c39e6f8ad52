import { ApiError, idempotencyKeyInUse } from "../protocol/errors.ts";
import type { ServerEvent } from "../protocol/events.ts";
import type { CreateRequest } from "../protocol/request.ts";
import type { Response } from "../protocol/response.ts";
import { whyLost } from "./lost.ts";
import type { MemoryLease } from "./budget.ts";
import type { Admit, EnginePorts, RecordChange, Tenant } from "./ports.ts";
import { decodeMoves } from "./recording.ts";
import { Replay, replayed } from "./replay.ts";
import { type Followed, Run } from "./run.ts";
import type { RunLease } from "./run-lease.ts";
import { RunRecords } from "./run-records.ts";
import type { Session, SessionOptions } from "./session.ts";

export type RunOptions = {
  readonly responseId: string;
  readonly request: CreateRequest;
  readonly session: SessionOptions;
  /** Size of the request as it came, in bytes. */
  readonly bytesIn: number;
  /** What the request holds of the memory; the run holds it as well until it ends. */
  readonly lease?: MemoryLease;
  /** The lease of the run, when it was taken with its idempotency key. */
  readonly runLease?: RunLease;
};

/** A run of this server. */
type Own = {
  readonly run: Run;
  readonly session: Session;
  /** Null before the run is written down, and when it never is. */
  lease: RunLease | null;
  writing: Promise<void> | null;
};

/** The turns that outlive their clients: those of this server, and what is known of others' that share its store. */
export class Runs {
  readonly #ports: EnginePorts;
  readonly #openSession: (options: SessionOptions) => Session;
  readonly #records: RunRecords;
  readonly #own = new Map<string, Own>();
  readonly #ends = new Set<Promise<void>>();
  #stopBeat: (() => void) | null = null;
  #stopSweep: (() => void) | null = null;

  constructor(ports: EnginePorts, openSession: (options: SessionOptions) => Session) {
    this.#ports = ports;
    this.#openSession = openSession;
    this.#records = new RunRecords(ports);
  }

  /** Starts a run; it goes on whoever leaves. @throws ApiError `too_many_runs` */
  start({ responseId, request, session: options, bytesIn, lease, runLease }: RunOptions): Run {
    const { tenant } = options;
    this.checkLimits(tenant);
    const run = new Run(responseId, tenant, request.background);
    const session = this.#openSession(options);
    const own: Own = { run, session, lease: runLease ?? null, writing: null };
    this.#own.set(responseId, own);
    const held = lease?.share();
    const ended = this.#run(own, request, bytesIn).finally(() => held?.release());
    this.#ends.add(ended);
    void ended.finally(() => this.#ends.delete(ended));
    return run;
  }

  /** The response in whatever state it is; undefined when nobody knows it. */
  async retrieve(tenant: Tenant, id: string, admit?: Admit): Promise<Response | undefined> {
    const snapshot = (await this.#mine(tenant, id))?.run.snapshot;
    if (snapshot !== undefined && snapshot !== null) return snapshot;
    const stored = await this.#ports.store.get(tenant, id, admit);
    if (stored !== undefined) return stored.response;
    const first = await this.#running(tenant, id);
    // It may have ended in between.
    if (first === undefined) return (await this.#ports.store.get(tenant, id, admit))?.response;
    const replay = new Replay(first);
    for await (const { moves } of this.#written(tenant, id)) replay.push(moves);
    return replay.snapshot;
  }

  /** The events of the response, from the first on, as far as they are and as they come; undefined when nobody knows it. */
  async follow(tenant: Tenant, id: string, admit?: Admit): Promise<Followed | undefined> {
    const own = await this.#mine(tenant, id);
    if (own !== undefined) return own.run;
    const stored = await this.#stored(tenant, id, admit);
    if (stored !== undefined) return stored;
    const first = await this.#running(tenant, id);
    if (first === undefined) return this.#stored(tenant, id, admit);
    return { responseId: id, final: null, events: () => this.#elsewhere(tenant, id, first) };
  }

  /**
   * As `follow`, for a request that comes again: what another server runs counts from its next sign of life on, so that a
   * run whose server has stopped is never joined. Without a sign this takes as long as a lease.
   * @throws ApiError `idempotency_key_in_use` when it has not begun yet
   */
  async join(tenant: Tenant, id: string, admit?: Admit): Promise<Followed | undefined> {
    const own = await this.#mine(tenant, id);
    if (own !== undefined) return own.run;
    const stored = await this.#stored(tenant, id, admit);
    if (stored !== undefined) return stored;
    const seen = await this.#records.alive(tenant, id);
    for (let now = seen; now !== undefined; now = await this.#records.alive(tenant, id)) {
      if (now.version !== seen?.version) {
        const first = await this.#records.beginning(tenant, id);
        if (first === undefined) throw idempotencyKeyInUse();
        return { responseId: id, final: null, events: () => this.#elsewhere(tenant, id, first) };
      }
      await this.#beatTime();
    }
    return this.#stored(tenant, id, admit);
  }

  /** Takes the lease of a run that is to start, with the changes that go with it; undefined when another came first. */
  reserve(tenant: Tenant, id: string, changes: readonly RecordChange[]): Promise<RunLease | undefined> {
    return this.#records.open(tenant, id, changes);
  }

  /** Stores the responses of runs whose servers have stopped as failed. */
  sweep(): Promise<void> {
    return this.#records.buryDead();
  }

  /** The same, as often as leases end, until `idle`. */
  sweepRegularly(onError: (error: unknown) => void): void {
    const { runtime, limits } = this.#ports;
    this.#stopSweep = runtime.every(limits.leaseMs, () => void this.sweep().catch(onError));
  }

  /** Cancels a run of this server, if it is one, and waits for its end. */
  async stop(tenant: Tenant, id: string): Promise<void> {
    const own = this.#find(tenant, id);
    own?.session.stop("cancelled");
    await own?.run.ended;
  }

  /** Cancels a background response, wherever it runs, and waits for its end. Undefined when nobody knows it. */
  async cancel(tenant: Tenant, id: string): Promise<Response | undefined> {
    const known = await this.retrieve(tenant, id);
    if (known?.background !== true || (known.status !== "queued" && known.status !== "in_progress")) return known;
    const own = this.#find(tenant, id);
    if (own !== undefined) own.session.stop("cancelled");
    else await this.#records.cancel(tenant, id);
    const followed = await this.follow(tenant, id);
    if (followed !== undefined) for await (const _ of followed.events());
    return this.retrieve(tenant, id);
  }

  /** Resolves when no run is left; nothing is swept from then on. */
  async idle(): Promise<void> {
    while (this.#ends.size > 0) await Promise.all(this.#ends);
    this.#stopSweep?.();
  }

  /** A run of this server that has not ended here or by the doing of others: then the store knows better. */
  async #mine(tenant: Tenant, id: string): Promise<Own | undefined> {
    const own = this.#find(tenant, id);
    if (own === undefined || own.run.final !== null) return undefined;
    return own.lease === null || (await this.#records.isHeld(tenant, id)) ? own : undefined;
  }

  #find(tenant: Tenant, id: string): Own | undefined {
    const own = this.#own.get(id);
    return own?.run.tenant === tenant ? own : undefined;
  }

  /** @throws ApiError `too_many_runs` */
  checkLimits(tenant: Tenant): void {
    const { detachedRuns, detachedRunsPerTenant } = this.#ports.limits;
    const ofTenant = [...this.#own.values()].filter(({ run }) => run.tenant === tenant).length;
    if (this.#own.size < detachedRuns && ofTenant < detachedRunsPerTenant) return;
    const message = "Too many responses run in the background, or with an idempotency key. Send this one again later.";
    throw new ApiError("too_many_runs", message, { retryAfter: 1 });
  }

  async #run(own: Own, request: CreateRequest, bytesIn: number): Promise<void> {
    const { run, session } = own;
    const { tenant, responseId, moves } = run;
    if (own.lease !== null) this.#keepBeating();
    const end = await session.create(request, {
      bytesIn,
      bytesOut: () => 0,
      emit: (events) => run.emit(events),
      detached: {
        responseId,
        moves,
        admit: async (beginning) => {
          if (!request.store) return;
          own.lease ??= (await this.#records.open(tenant, responseId)) ?? null;
          if (own.lease === null) throw new Error(`The new id ${responseId} is there already.`);
          this.#keepBeating();
          await own.lease.begin(beginning).catch(async (error: unknown) => {
            throw (await whyLost(this.#ports.store, { tenant, id: responseId }, error)) ?? error;
          });
        },
        ending: () => own.lease?.ending() ?? null,
        release: async () => own.lease?.drop(),
      },
    });
    session.close();
    await own.lease?.drop();
    this.#own.delete(responseId);
    run.finish(end, new ApiError("server_shutting_down", "The turn was stopped."));
    if (this.#own.size === 0) {
      this.#stopBeat?.();
      this.#stopBeat = null;
    }
    await own.writing;
  }

  #keepBeating(): void {
    this.#stopBeat ??= this.#ports.runtime.every(this.#records.beatMs, () => this.#beat());
  }

  #beat(): void {
    for (const own of this.#own.values()) {
      if (own.writing !== null || own.lease === null) continue;
      // A store that fails now may not the next time; if it goes on so, the lease ends.
      own.writing = this.#write(own, own.lease)
        .catch(() => undefined)
        .finally(() => {
          own.writing = null;
        });
    }
  }

  async #write({ run, session }: Own, lease: RunLease): Promise<void> {
    try {
      await lease.beat(run.moves);
      if (lease.isCancelled) session.stop("cancelled");
    } catch (error) {
      const { tenant, responseId: id } = run;
      const why = await whyLost(this.#ports.store, { tenant, id }, error);
      // A deletion cancels what runs.
      if (why !== null) session.stop(why.code === "not_found" ? "cancelled" : "lease_lost");
    }
  }

  /** The response of a run before anything was said, while some server runs it. */
  async #running(tenant: Tenant, id: string): Promise<Response | undefined> {
    if ((await this.#records.alive(tenant, id)) === undefined) return undefined;
    return this.#records.beginning(tenant, id);
  }

  #beatTime(): Promise<void> {
    const { runtime } = this.#ports;
    return wait(runtime.every.bind(runtime), this.#records.beatMs);
  }

  async #stored(tenant: Tenant, id: string, admit?: Admit): Promise<Followed | undefined> {
    const { store } = this.#ports;
    const stored = await store.get(tenant, id, admit);
    if (stored === undefined) return undefined;
    return {
      responseId: id,
      final: stored.response,
      async *events() {
        // Read when the events are asked for, and made into them slice by slice.
        yield* replayed(stored.response, (await store.recording(tenant, id, admit)) ?? null);
      },
    };
  }

  /** What another server has written down so far of its run. */
  async *#written(tenant: Tenant, id: string): AsyncGenerator<Awaited<ReturnType<RunRecords["parts"]>>> {
    for (let last = ""; ; ) {
      const next = await this.#records.parts(tenant, id, last);
      if (next.last === last) return;
      yield next;
      ({ last } = next);
    }
  }

  /** Follows the run of another server: what it writes down while it runs, and the rest when the response is stored. */
  async *#elsewhere(tenant: Tenant, id: string, first: Response): AsyncGenerator<readonly ServerEvent[]> {
    const { store } = this.#ports;
    const replay = new Replay(first);
    yield replay.start();
    let heard = 0;
    for (let last = ""; ; ) {
      const isRunning = (await this.#records.alive(tenant, id)) !== undefined;
      const next = await this.#records.parts(tenant, id, last);
      if (!isRunning) break;
      ({ last } = next);
      heard += next.moves.length;
      if (next.moves.length > 0) yield replay.push(next.moves);
      else await this.#beatTime();
    }
    const [stored, recording] = await Promise.all([store.get(tenant, id), store.recording(tenant, id)]);
    if (stored === undefined) return;
    const rest = decodeMoves(recording ?? []).slice(heard);
    if (rest.length > 0) yield replay.push(rest);
    yield replay.end(stored.response);
  }
}

function wait(every: EnginePorts["runtime"]["every"], milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const stop = every(milliseconds, () => {
      stop();
      resolve();
    });
  });
}
