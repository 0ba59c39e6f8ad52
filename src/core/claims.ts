import { idempotencyKeyReused } from "../protocol/errors.ts";
import { measure } from "./node.ts";
import type { RecordChange, Records, Runtime, StoreRecord, Tenant } from "./ports.ts";
import { type Followed, Run } from "./run.ts";
import { CLAIM } from "./run-kinds.ts";
import type { RunLease } from "./run-lease.ts";

export type ClaimOptions = {
  readonly tenant: Tenant;
  readonly key: string;
  /** Tells requests apart. */
  readonly fingerprint: string;
  /** Whether anything of it may be kept beyond memory. */
  readonly isStored: boolean;
  /** Whether the client waits for the end alone, so that the request may still run again meanwhile. */
  readonly isForEnd: boolean;
};

/** What claims need of the runs. */
type Runner = {
  /** @throws ApiError `too_many_runs` */
  readonly check: () => void;
  readonly reserve: (responseId: string, changes: readonly RecordChange[]) => Promise<RunLease | undefined>;
  readonly start: (responseId: string, lease?: RunLease) => Run;
  readonly join: (responseId: string) => Promise<Followed | undefined>;
};

type Claim = { readonly fingerprint: string; readonly responseId: string };
type Known = {
  readonly tenant: Tenant;
  readonly fingerprint: string;
  readonly run: Promise<Followed>;
  readonly at: number;
  /** What is kept of it; 0 while it runs. */
  bytes: number;
};

/** How long a key stands for its request. */
const KEPT_MS = 24 * 60 * 60 * 1000;
/** How many unstored responses are kept for requests that may come again, and their bytes. */
const KEPT_RUNS = 256;
const KEPT_BYTES = 16 * 1024 * 1024;

/**
 * Requests by their idempotency keys: one that comes again gets the answer of the first, whether that is done, runs here or
 * runs elsewhere. A request that was refused, or has failed in the foreground, leaves no claim, so it may be tried again.
 */
export class Claims {
  readonly #records: Records;
  readonly #runtime: Runtime;
  readonly #known = new Map<string, Known>();

  constructor(records: Records, runtime: Runtime) {
    this.#records = records;
    this.#runtime = runtime;
  }

  /** @throws ApiError `idempotency_key_reused`, `idempotency_key_in_use`, and why the request was refused */
  async claim(options: ClaimOptions, runner: Runner): Promise<Followed> {
    const name = JSON.stringify([options.tenant, options.key]);
    const known = this.#known.get(name);
    if (known !== undefined && known.at + KEPT_MS > this.#runtime.now()) {
      if (known.fingerprint !== options.fingerprint) throw idempotencyKeyReused();
      return known.run;
    }
    this.#forget(name);
    // Before anything is waited for, so that of two requests at once the second finds the first.
    const run = this.#begin(options, runner, name);
    const { tenant, fingerprint } = options;
    this.#known.set(name, { tenant, fingerprint, run, at: this.#runtime.now(), bytes: 0 });
    run.catch(() => this.#forget(name));
    return run;
  }

  async #begin(options: ClaimOptions, runner: Runner, name: string): Promise<Followed> {
    if (!options.isStored) return this.#start(this.#runtime.newId("response"), options, runner, name);
    for (;;) {
      const record = await this.#records.get(this.#named(options));
      const found = record === undefined ? undefined : await this.#existing(record, options, runner);
      if (found !== undefined) {
        this.#forget(name);
        return found;
      }
      runner.check();
      const responseId = this.#runtime.newId("response");
      const value: Claim = { fingerprint: options.fingerprint, responseId };
      const expiresAt = this.#runtime.now() + KEPT_MS;
      const write = { ...this.#named(options), value, node: null, expiresAt, about: responseId };
      // The key and the lease of its run are one: neither is there without the other.
      const lease = await runner.reserve(responseId, [{ write, version: record?.version ?? 0 }]);
      if (lease !== undefined) return this.#start(responseId, options, runner, name, lease);
    }
  }

  /** What became of the first request; undefined when its server has stopped before the end, so that it may run again. */
  async #existing(record: StoreRecord, options: ClaimOptions, runner: Runner): Promise<Followed | undefined> {
    const { fingerprint, responseId } = record.value as Claim;
    if (fingerprint !== options.fingerprint) throw idempotencyKeyReused();
    let followed = await runner.join(responseId);
    if (followed?.final === null && options.isForEnd && !(followed instanceof Run)) {
      for await (const _ of followed.events());
      followed = await runner.join(responseId);
    }
    const final = followed?.final;
    // Failed in the foreground, or by the end of its server, which frees the key in either case.
    if (final?.status === "failed" && (await this.#records.get(record))?.version !== record.version) return undefined;
    return final?.status === "failed" && !final.background ? undefined : followed;
  }

  async #start(
    responseId: string,
    options: ClaimOptions,
    runner: Runner,
    name: string,
    lease?: RunLease,
  ): Promise<Followed> {
    try {
      const run = runner.start(responseId, lease);
      void run.ended.then(() => this.#settle(run, options, name));
      await run.begun;
      return run;
    } catch (error) {
      await lease?.drop();
      throw error;
    }
  }

  /** The run has ended: what is stored is found there, and what is not is kept here for a while. */
  #settle(run: Run, options: ClaimOptions, name: string): void {
    const response = run.snapshot;
    if (response === null || (run.error !== null && !run.isBackground)) {
      this.#forget(name);
    } else if (options.isStored) {
      this.#forget(name);
    } else {
      this.#keep(name, measure(response) + measure(run.moves));
    }
  }

  #keep(name: string, bytes: number): void {
    const known = this.#known.get(name);
    if (known === undefined) return;
    known.bytes = bytes;
    for (let oldest = this.#surplus(); oldest !== undefined; oldest = this.#surplus()) this.#forget(oldest);
  }

  /**
   * What is to be forgotten next, if too much is kept: the oldest of the tenant that has most, so that no tenant takes
   * what is kept for another. What still runs is bounded by the number of runs.
   */
  #surplus(): string | undefined {
    const held = new Map<Tenant, { oldest: string; share: number }>();
    let [bytes, runs] = [0, 0];
    for (const [name, known] of this.#known) {
      if (known.bytes === 0) continue;
      bytes += known.bytes;
      runs += 1;
      const share = known.bytes / KEPT_BYTES + 1 / KEPT_RUNS;
      const own = held.get(known.tenant);
      if (own === undefined) held.set(known.tenant, { oldest: name, share });
      else own.share += share;
    }
    if (bytes <= KEPT_BYTES && runs <= KEPT_RUNS) return undefined;
    return [...held.values()].reduce((most, each) => (each.share > most.share ? each : most)).oldest;
  }

  #forget(name: string): void {
    this.#known.delete(name);
  }

  #named({ tenant, key }: ClaimOptions) {
    return { tenant, kind: CLAIM, id: key };
  }
}
