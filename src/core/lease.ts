import type { ResponseNode } from "./node.ts";
import {
  type JsonValue,
  type NewRecord,
  type PutOptions,
  type RecordChange,
  type RecordName,
  type Records,
  type Runtime,
  type Store,
  type StoreRecord,
  NotPut,
} from "./ports.ts";

/**
 * A lease is the right of one holder among all servers that share the store. It is kept in a record, and the record's
 * version is its fencing token: what the holder does under the lease is one transaction with a change of that record, so a
 * holder that stood still for too long and lost its lease changes nothing any more. Time only says when others may try.
 */

/** What the record of a lease holds, beside what it is the lease of. */
export type Held = { readonly holder: string; readonly until: number };

export type Leased = { readonly lease: Held | null };

export type LeasePorts = {
  readonly records: Records;
  readonly runtime: Runtime;
  /** How long the lease lasts that nobody renews. */
  readonly leaseMs: number;
};

/** The lease has passed to another holder, or is gone with its record. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
  readonly of: RecordName;
  /** What is there in its place. */
  readonly found: StoreRecord | undefined;

  constructor(name: RecordName, found: StoreRecord | undefined) {
    super(`The lease of ${name.kind} ${name.id} was lost.`);
    this.of = name;
    this.found = found;
  }
}

/** How often a change is tried that others come before. They are few: requests to cancel, and changes of metadata. */
const TRIES = 32;

export class Lease {
  readonly #ports: LeasePorts;
  readonly #holder: string;
  #record: StoreRecord;
  #isEnded = false;
  /** Changes of one server follow each other. */
  #busy: Promise<unknown> = Promise.resolve();

  constructor(ports: LeasePorts, holder: string, record: StoreRecord) {
    this.#ports = ports;
    this.#holder = holder;
    this.#record = record;
  }

  /** The record as it was seen last. */
  get record(): StoreRecord {
    return this.#record;
  }

  /** Whether it is over by this server's own clock: others may have taken it. */
  get isOver(): boolean {
    return isOver(this.#record, this.#ports.runtime.now());
  }

  /** Whether nothing is left to be done under it. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /**
   * Prolongs the lease, with other changes in the same transaction; does nothing once it has ended.
   * @throws LeaseLost
   */
  renew(others: () => readonly RecordChange[] | Promise<readonly RecordChange[]> = () => []): Promise<void> {
    return this.alone(() =>
      repeatedly([this], async () => {
        if (this.#isEnded) return true;
        const write = withLease(this.#record, heldFromNow(this.#ports, this.#holder));
        const { version } = this.#record;
        const versions = await this.#ports.records.apply([{ write, version }, ...(await others())]);
        const [next] = versions ?? [];
        if (next !== undefined) this.#record = { ...this.#record, ...write, version: next };
        return next !== undefined;
      }),
    );
  }

  /** What is to be done in one piece, without a renewal in between. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(work, work);
    this.#busy = done.catch(() => undefined);
    return done;
  }

  /** Reads the record again, which has changed. @throws LeaseLost unless the holder still has it */
  async reread(): Promise<void> {
    const found = await this.#ports.records.get(this.#record);
    if (found === undefined || leaseOf(found)?.holder !== this.#holder) throw new LeaseLost(this.#record, found);
    this.#record = found;
  }

  /** It has ended, together with what was done under it. */
  ended(): void {
    this.#isEnded = true;
  }
}

/** Does something until it is not outdated any more, and reads the records of the leases again in between. */
async function repeatedly(leases: readonly Lease[], work: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    if (await work()) return;
    for (const lease of leases) await lease.reread();
  }
  throw new Error("Others have always come first.");
}

/** What becomes of the record of a lease that ends. */
export type Ending = { readonly lease: Lease; readonly change: (record: StoreRecord) => readonly RecordChange[] };

/**
 * Ends leases in one transaction with what was done under them. One that is over by this server's clock is renewed first,
 * which only its holder can.
 * @param commit makes the changes; false when a record has changed since it was read, and then it is called again
 * @throws LeaseLost
 */
export async function endLeases(
  endings: readonly Ending[],
  commit: (changes: readonly RecordChange[]) => Promise<boolean>,
): Promise<void> {
  const leases = endings.map(({ lease }) => lease);
  for (const lease of leases) if (lease.isOver) await lease.renew();
  const work = async (): Promise<void> => {
    await repeatedly(leases, () => commit(endings.flatMap(({ lease, change }) => change(lease.record))));
    for (const lease of leases) lease.ended();
  };
  await leases.reduce((inner, lease) => () => lease.alone(inner), work)();
}

/** The lease that a record holds; null when nobody has it. */
function leaseOf(record: StoreRecord): Held | null {
  return (record.value as Partial<Leased>).lease ?? null;
}

/** Whether others may take it. */
export function isOver(record: StoreRecord, now: number): boolean {
  const lease = leaseOf(record);
  return lease === null || lease.until <= now;
}

export function heldFromNow({ runtime, leaseMs }: Pick<LeasePorts, "runtime" | "leaseMs">, holder: string): Held {
  return { holder, until: runtime.now() + leaseMs };
}

/** The record with another lease; `due` finds a lease that is over, where records of its kind are looked for. */
export function withLease<T extends NewRecord>(record: T, lease: Held | null): T {
  const value = { ...(record.value as Leased), lease } as JsonValue;
  return { ...record, value, dueAt: typeof record.dueAt === "number" ? (lease?.until ?? null) : null };
}

/**
 * Puts a node under leases, which end with it.
 * @throws LeaseLost, NotPut
 */
export function putUnder(
  store: Pick<Store, "put">,
  node: ResponseNode,
  options: Omit<PutOptions, "changes">,
  endings: readonly Ending[],
): Promise<void> {
  return endLeases(endings, async (changes) => {
    try {
      await store.put(node, { ...options, changes });
      return true;
    } catch (error) {
      if (error instanceof NotPut && error.why === "outdated") return false;
      throw error;
    }
  });
}
