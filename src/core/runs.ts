import { ApiError } from "../protocol/errors.ts";
import type { ServerEvent } from "../protocol/events.ts";
import type { CreateRequest } from "../protocol/request.ts";
import type { Response } from "../protocol/response.ts";
import type { Admit, EnginePorts, Tenant } from "./ports.ts";
import { decodeMoves } from "./recording.ts";
import { Replay, replayed } from "./replay.ts";
import { type Followed, Run } from "./run.ts";
import type { Lease } from "./budget.ts";
import { BEAT_MS, RunRecords } from "./run-records.ts";
import type { Session, SessionOptions } from "./session.ts";

export type RunOptions = {
  readonly responseId: string;
  readonly request: CreateRequest;
  readonly session: SessionOptions;
  /** Size of the request as it came, in bytes. */
  readonly bytesIn: number;
  /** What the request holds; the run holds it as well until it ends. */
  readonly lease?: Lease;
};

/** A run of this server, and how much of it is written down. */
type Own = {
  readonly run: Run;
  readonly session: Session;
  parts: number;
  written: number;
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

  constructor(ports: EnginePorts, openSession: (options: SessionOptions) => Session) {
    this.#ports = ports;
    this.#openSession = openSession;
    this.#records = new RunRecords(ports.store, ports.runtime);
  }

  /** Starts a run; it goes on whoever leaves. @throws ApiError `too_many_runs` */
  start({ responseId, request, session: options, bytesIn, lease }: RunOptions): Run {
    const { tenant } = options;
    this.#checkLimits(tenant);
    const run = new Run(responseId, tenant, request.background);
    const session = this.#openSession(options);
    const own: Own = { run, session, parts: 0, written: 0, writing: null };
    this.#own.set(responseId, own);
    const held = lease?.share();
    const ended = this.#run(own, request, bytesIn).finally(() => held?.release());
    this.#ends.add(ended);
    void ended.finally(() => this.#ends.delete(ended));
    return run;
  }

  /** The response in whatever state it is; undefined when nobody knows it. */
  async retrieve(tenant: Tenant, id: string, admit?: Admit): Promise<Response | undefined> {
    const own = this.#find(tenant, id)?.run.snapshot;
    if (own !== undefined && own !== null) return own;
    const stored = await this.#ports.store.get(tenant, id, admit);
    if (stored !== undefined) return stored.response;
    const first = await this.#records.running(tenant, id);
    // It may have ended in between.
    if (first === undefined) return (await this.#ports.store.get(tenant, id, admit))?.response;
    const replay = new Replay(first);
    for await (const { moves } of this.#written(tenant, id)) replay.push(moves);
    return replay.snapshot;
  }

  /** The events of the response, from the first on, as far as they are and as they come; undefined when nobody knows it. */
  async follow(tenant: Tenant, id: string, admit?: Admit): Promise<Followed | undefined> {
    const own = this.#find(tenant, id);
    if (own !== undefined) return own.run;
    const stored = await this.#stored(tenant, id, admit);
    if (stored !== undefined) return stored;
    const first = await this.#records.running(tenant, id);
    if (first === undefined) return this.#stored(tenant, id, admit);
    return { responseId: id, final: null, events: () => this.#elsewhere(tenant, id, first) };
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

  /** Resolves when no run is left. */
  async idle(): Promise<void> {
    while (this.#ends.size > 0) await Promise.all(this.#ends);
  }

  #find(tenant: Tenant, id: string): Own | undefined {
    const own = this.#own.get(id);
    return own?.run.tenant === tenant ? own : undefined;
  }

  #checkLimits(tenant: Tenant): void {
    const { detachedRuns, detachedRunsPerTenant } = this.#ports.limits;
    const ofTenant = [...this.#own.values()].filter(({ run }) => run.tenant === tenant).length;
    if (this.#own.size < detachedRuns && ofTenant < detachedRunsPerTenant) return;
    const message = "Too many responses run in the background, or with an idempotency key. Send this one again later.";
    throw new ApiError("too_many_runs", message, { retryAfter: 1 });
  }

  async #run(own: Own, request: CreateRequest, bytesIn: number): Promise<void> {
    const { run, session } = own;
    const { tenant, responseId, moves } = run;
    let isWritten = false;
    const end = await session.create(request, {
      bytesIn,
      bytesOut: () => 0,
      emit: (events) => run.emit(events),
      detached: {
        responseId,
        moves,
        admit: async (beginning) => {
          if (!request.store) return;
          isWritten = true;
          await this.#records.open(tenant, responseId, beginning);
          this.#stopBeat ??= this.#ports.runtime.every(BEAT_MS, () => this.#beat());
        },
      },
    });
    session.close();
    this.#own.delete(responseId);
    run.finish(end, new ApiError("server_shutting_down", "The turn was stopped."));
    if (this.#own.size === 0) {
      this.#stopBeat?.();
      this.#stopBeat = null;
    }
    await own.writing;
    // What cannot be removed now is over with its lease.
    if (isWritten) await this.#records.close(tenant, responseId, own.parts).catch(() => undefined);
  }

  #beat(): void {
    for (const own of this.#own.values()) {
      if (own.writing !== null || !own.run.hasBegun) continue;
      // A store that fails now may not the next time; if it goes on so, the lease ends.
      own.writing = this.#write(own)
        .catch(() => undefined)
        .finally(() => {
          own.writing = null;
        });
    }
  }

  async #write(own: Own): Promise<void> {
    const { run, session } = own;
    const { tenant, responseId } = run;
    const moves = run.moves.slice(own.written);
    if (moves.length > 0) {
      await this.#records.flush(tenant, responseId, own.parts, moves);
      own.parts += 1;
      own.written += moves.length;
    }
    const state = await this.#records.renew(tenant, responseId);
    if (state === "running" || !this.#own.has(responseId)) return;
    session.stop(state === "cancelled" ? "cancelled" : "shutting_down");
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
    const { store, runtime } = this.#ports;
    const replay = new Replay(first);
    yield replay.start();
    let heard = 0;
    for (let last = ""; ; ) {
      const isRunning = (await this.#records.running(tenant, id)) !== undefined;
      const next = await this.#records.parts(tenant, id, last);
      if (!isRunning) break;
      ({ last } = next);
      heard += next.moves.length;
      if (next.moves.length > 0) yield replay.push(next.moves);
      else await wait(runtime.every.bind(runtime), BEAT_MS);
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
