import { serverStopped } from "../protocol/errors.ts";
import type { Item } from "../protocol/items.ts";
import type { Response } from "../protocol/response.ts";
import { heldFromNow, isOver, Lease, type LeasePorts } from "./lease.ts";
import { commitNode } from "./node.ts";
import {
  type EnginePorts,
  type NewRecord,
  type RecordChange,
  type Records,
  type Store,
  type StoreRecord,
  type Tenant,
  NotPut,
} from "./ports.ts";
import { decodeMoves, encodeMoves, type Move } from "./recording.ts";
import { Replay } from "./replay.ts";
import { CLAIM, named, PART, RUN, type RunValue, START } from "./run-kinds.ts";
import { RunLease } from "./run-lease.ts";

/** How many times in its length a server renews a lease, writes down what is new, and looks whether to cancel. */
const BEATS = 15;
const PARTS_AT_ONCE = 16;
/** How many runs of stopped servers are stored as failed at once. */
const BURIALS = 64;

/**
 * What the servers that share a store know of each other's runs: who runs, since when, what came of it so far, and whether
 * it is to be cancelled. All of it ends in the transaction that stores the response.
 */
export class RunRecords {
  readonly #store: Store;
  readonly #records: Records;
  readonly #ports: LeasePorts;

  constructor({ store, runtime, limits }: Pick<EnginePorts, "store" | "runtime" | "limits">) {
    this.#store = store;
    this.#records = store.records;
    this.#ports = { records: store.records, runtime, leaseMs: limits.leaseMs };
  }

  /** Milliseconds between two signs of life. */
  get beatMs(): number {
    return this.#ports.leaseMs / BEATS;
  }

  /**
   * Takes the lease of a new run.
   * @param others changes that are made with it
   * @returns undefined when another came first
   */
  async open(tenant: Tenant, id: string, others: readonly RecordChange[] = []): Promise<RunLease | undefined> {
    const lease = heldFromNow(this.#ports, id);
    const value: RunValue = { lease, isCancelled: false };
    const write: NewRecord = { ...named(tenant, RUN, id, id), value, dueAt: lease.until };
    const versions = await this.#records.apply([{ write, version: 0 }, ...others]);
    const [version] = versions ?? [];
    if (version === undefined) return undefined;
    const record = { about: null, dueAt: null, ...write, version };
    return new RunLease(this.#records, new Lease(this.#ports, id, record));
  }

  /** Asks the server that runs it to cancel it; false when none does. */
  async cancel(tenant: Tenant, id: string): Promise<boolean> {
    for (;;) {
      const record = await this.alive(tenant, id);
      if (record === undefined) return false;
      const value = { ...(record.value as RunValue), isCancelled: true };
      if ((await this.#records.write({ ...record, value }, record.version)) !== undefined) return true;
    }
  }

  /**
   * The lease of a run, while some server holds it. Of one whose server has stopped, the response is stored as failed, and
   * nothing is left here.
   */
  async alive(tenant: Tenant, id: string): Promise<StoreRecord | undefined> {
    const record = await this.#records.get({ tenant, kind: RUN, id });
    if (record === undefined || !isOver(record, this.#ports.runtime.now())) return record;
    await this.#bury(record);
    // Its server may have renewed it in between.
    return this.#records.get({ tenant, kind: RUN, id });
  }

  /** Whether the run has a lease, however old. */
  async isHeld(tenant: Tenant, id: string): Promise<boolean> {
    return (await this.#records.get({ tenant, kind: RUN, id })) !== undefined;
  }

  /** The response of a run before anything was said; undefined when it has not begun. */
  async beginning(tenant: Tenant, id: string): Promise<Response | undefined> {
    const start = await this.#records.get({ tenant, kind: START, id });
    return start && startOf(start).response;
  }

  /** What was written down behind this part; empty when there is nothing new. */
  async parts(tenant: Tenant, id: string, after: string): Promise<{ readonly moves: Move[]; readonly last: string }> {
    const found = await this.#records.list(tenant, PART, { prefix: `${id}/`, after, limit: PARTS_AT_ONCE });
    return { moves: found.flatMap(({ value }) => decodeMoves(value)), last: found.at(-1)?.id ?? after };
  }

  /** Stores the responses of runs whose servers have stopped as failed, the longest stopped first, so many at a time. */
  async buryDead(): Promise<void> {
    const found = await this.#records.due(RUN, this.#ports.runtime.now(), BURIALS);
    for (const record of found) await this.#bury(record);
  }

  /** One transaction, under the lease as it was read: of several servers one does it, and none once the owner has. */
  async #bury(record: StoreRecord): Promise<void> {
    const { tenant, id } = record;
    const start = await this.#records.get({ tenant, kind: START, id });
    // The idempotency key is free again.
    const removed = { removeAbout: id, tenant, kinds: [START, PART, CLAIM] };
    const changes = [{ remove: record, version: record.version }, removed];
    if (start === undefined) {
      await this.#records.apply(changes);
      return;
    }
    const { response: first, input } = startOf(start);
    const replay = new Replay(first);
    const moves: Move[] = [];
    for (let last = ""; ; ) {
      const next = await this.parts(tenant, id, last);
      if (next.last === last) break;
      replay.push(next.moves);
      for (const move of next.moves) moves.push(move);
      ({ last } = next);
    }
    const response = replay.failed(serverStopped());
    const parent = (await this.#records.chain(start)) ?? null;
    const node = commitNode({ id, tenant, parent, input, response });
    try {
      await this.#store.put(node, { recording: encodeMoves(moves), changes });
    } catch (error) {
      if (!(error instanceof NotPut)) throw error;
      // What is stored or deleted has no lease; one that is left over all the same is removed.
      if (error.why !== "outdated") await this.#records.apply(changes);
    }
  }
}

function startOf({ value }: StoreRecord): { readonly response: Response; readonly input: readonly Item[] } {
  return value as unknown as { readonly response: Response; readonly input: readonly Item[] };
}
