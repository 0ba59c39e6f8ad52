import { type Ending, endLeases, type Lease } from "./lease.ts";
import type { RecordChange, Records, Tenant } from "./ports.ts";
import { encodeMoves, type Move } from "./recording.ts";
import { type Beginning, CLAIM, named, PART, type RunValue, START, startValue } from "./run-kinds.ts";

/** The lease that a server has of its own run, and what it writes down of the run under it. */
export class RunLease {
  readonly #records: Records;
  readonly #lease: Lease;
  #parts = 0;
  #written = 0;
  /** How many moves the part holds that is being written: its answer may be lost, and then it is not written twice. */
  #pending = 0;

  constructor(records: Records, lease: Lease) {
    this.#records = records;
    this.#lease = lease;
  }

  /** Whether the run is to be cancelled, as of the last sign of life. */
  get isCancelled(): boolean {
    return (this.#lease.record.value as RunValue).isCancelled;
  }

  /** Writes the run down before its model is asked. @throws LeaseLost */
  async begin(beginning: Beginning): Promise<void> {
    const { tenant, id } = this.#name;
    const start = { ...named(tenant, START, id, id), value: startValue(beginning) };
    const node = beginning.parent?.id ?? null;
    const write = (stands: string | null) =>
      this.#lease.renew(() => [{ write: { ...start, node: stands }, version: 0 }]);
    // The chain that it continues may have been deleted since, or never have been stored whole.
    await write(node).catch((error: unknown) => {
      if (node === null) throw error;
      return write(null);
    });
  }

  /** Gives a sign of life, and writes down what is new. @param moves all of the run @throws LeaseLost */
  async beat(moves: readonly Move[]): Promise<void> {
    if (this.#pending === 0) this.#pending = moves.length - this.#written;
    const { tenant, id } = this.#name;
    const part = named(tenant, PART, `${id}/${String(this.#parts).padStart(8, "0")}`, id);
    let tries = 0;
    await this.#lease.renew(async () => {
      tries += 1;
      if (this.#pending === 0) return [];
      // What is outdated may be so by an earlier try of this very part.
      if (tries > 1 && (await this.#records.get(part)) !== undefined) return [];
      const value = encodeMoves(moves.slice(this.#written, this.#written + this.#pending));
      return [{ write: { ...part, value }, version: 0 }];
    });
    if (this.#pending > 0) this.#parts += 1;
    this.#written += this.#pending;
    this.#pending = 0;
  }

  /** Ends it in the transaction that puts the response; null when it has ended. */
  ending(): Ending | null {
    return this.#lease.isEnded ? null : this.#end([START, PART]);
  }

  /** Ends it for a run that is not put; its idempotency key is free again. */
  async drop(): Promise<void> {
    if (this.#lease.isEnded) return;
    // What cannot be removed now is over with its time.
    await endLeases([this.#end([START, PART, CLAIM])], async (changes) => {
      return (await this.#records.apply(changes)) !== undefined;
    }).catch(() => undefined);
  }

  #end(kinds: readonly string[]): Ending {
    const { tenant, id } = this.#name;
    const change = (record: Lease["record"]): readonly RecordChange[] => [
      { remove: record, version: record.version },
      { removeAbout: id, tenant, kinds },
    ];
    return { lease: this.#lease, change };
  }

  get #name(): { readonly tenant: Tenant; readonly id: string } {
    return this.#lease.record;
  }
}
