import { idempotencyKeyInUse, idempotencyKeyReused } from "../protocol/errors.ts";
import { measure } from "./node.ts";
import type { Records, Runtime, StoreRecord, Tenant } from "./ports.ts";
import type { Followed, Run } from "./run.ts";
import { LEASE_MS } from "./run-records.ts";

export type ClaimOptions = {
  readonly tenant: Tenant;
  readonly key: string;
  /** Tells requests apart. */
  readonly fingerprint: string;
  /** Whether anything of it may be kept beyond memory. */
  readonly isStored: boolean;
};

/** What claims need of whoever runs turns. */
type Runner = {
  readonly start: (responseId: string) => Run;
  readonly follow: (tenant: Tenant, responseId: string) => Promise<Followed | undefined>;
};

type Claim = { readonly fingerprint: string; readonly responseId: string; readonly until: number };
type Known = { readonly fingerprint: string; readonly run: Promise<Followed>; readonly at: number; bytes: number };

const KIND = "claim";
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
  #bytes = 0;

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
    this.#known.set(name, { fingerprint: options.fingerprint, run, at: this.#runtime.now(), bytes: 0 });
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
      const responseId = this.#runtime.newId("response");
      const until = this.#runtime.now() + LEASE_MS;
      const value: Claim = { fingerprint: options.fingerprint, responseId, until };
      const claim = { ...this.#named(options), value, node: null, expiresAt: this.#runtime.now() + KEPT_MS };
      const version = await this.#records.write(claim, record?.version ?? 0);
      if (version !== undefined) return this.#start(responseId, options, runner, name);
    }
  }

  /** What became of the first request; undefined when its server has stopped before the end, so that it may run again. */
  async #existing(record: StoreRecord, options: ClaimOptions, runner: Runner): Promise<Followed | undefined> {
    const { fingerprint, responseId, until } = record.value as Claim;
    if (fingerprint !== options.fingerprint) throw idempotencyKeyReused();
    const followed = await runner.follow(options.tenant, responseId);
    const { final } = followed ?? {};
    if (final?.status === "failed" && !final.background) return undefined;
    if (followed === undefined && until > this.#runtime.now()) throw idempotencyKeyInUse();
    return followed;
  }

  async #start(responseId: string, options: ClaimOptions, runner: Runner, name: string): Promise<Followed> {
    try {
      const run = runner.start(responseId);
      void run.ended.then(() => this.#settle(run, options, name));
      await run.begun;
      return run;
    } catch (error) {
      await this.#release(options);
      throw error;
    }
  }

  /** The run has ended: what is stored is found there, and what is not is kept here for a while. */
  async #settle(run: Run, options: ClaimOptions, name: string): Promise<void> {
    const response = run.snapshot;
    if (response === null || (run.error !== null && !run.isBackground)) {
      this.#forget(name);
      await this.#release(options);
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
    this.#bytes += bytes;
    for (const [oldest, { bytes: size }] of this.#known) {
      if (this.#bytes <= KEPT_BYTES && this.#known.size <= KEPT_RUNS) return;
      // What still runs has no size yet, and is bounded by the number of runs.
      if (size > 0) this.#forget(oldest);
    }
  }

  #forget(name: string): void {
    this.#bytes -= this.#known.get(name)?.bytes ?? 0;
    this.#known.delete(name);
  }

  async #release(options: ClaimOptions): Promise<void> {
    // One that stays stands for nothing once its time is over.
    if (options.isStored) await this.#records.delete(this.#named(options)).catch(() => undefined);
  }

  #named({ tenant, key }: ClaimOptions) {
    return { tenant, kind: KIND, id: key };
  }
}
