import { serverStopped } from "../protocol/errors.ts";
import type { Item } from "../protocol/items.ts";
import type { Response } from "../protocol/response.ts";
import { commitNode, type ResponseNode } from "./node.ts";
import type { JsonValue, Runtime, Store, StoreRecord, Tenant } from "./ports.ts";
import { decodeMoves, encodeMoves, type Move } from "./recording.ts";
import { Replay } from "./replay.ts";

/** How long a server owns a run without saying so again. Beyond it the run counts as one whose server has stopped. */
export const LEASE_MS = 15_000;
/** How often a server says so, writes down what is new, and looks whether somebody wants the run cancelled. */
export const BEAT_MS = 1000;
/** How long what is left of a run is kept, when its server has stopped and nobody asks for it. */
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;
const PARTS_AT_ONCE = 16;

const LEASE = "run";
const START = "run.start";
const PART = "run.part";

type Lease = { readonly until: number; readonly isCancelled: boolean };
type Beginning = Pick<ResponseNode, "parent" | "input" | "response">;

/**
 * What the servers that share a store know of each other's runs: who runs, since when, what came of it so far, and whether
 * it is to be cancelled. Of a run that has ended nothing is left here; its response is in the store then.
 */
export class RunRecords {
  readonly #store: Store;
  readonly #runtime: Runtime;

  constructor(store: Store, runtime: Runtime) {
    this.#store = store;
    this.#runtime = runtime;
  }

  /** Writes a run down before its model is asked. */
  async open(tenant: Tenant, id: string, { parent, input, response }: Beginning): Promise<void> {
    const value = { response, input } as unknown as JsonValue;
    const start = { ...this.#named(tenant, START, id), value };
    const { records } = this.#store;
    // The chain that it continues may have been deleted since, or never have been stored whole.
    await records.write({ ...start, node: parent?.id ?? null }, 0).catch(() => records.write(start, 0));
    await records.write({ ...this.#named(tenant, LEASE, id), value: this.#lease(false) }, 0);
  }

  /** Writes down what is new of a run. @param part counts from 0 */
  async flush(tenant: Tenant, id: string, part: number, moves: readonly Move[]): Promise<void> {
    const name = `${id}/${String(part).padStart(8, "0")}`;
    await this.#store.records.write({ ...this.#named(tenant, PART, name), value: encodeMoves(moves) }, 0);
  }

  /** Says that the run still runs; what has become of it by others' doing meanwhile. */
  async renew(tenant: Tenant, id: string): Promise<"running" | "cancelled" | "lost"> {
    const record = await this.#store.records.get({ tenant, kind: LEASE, id });
    if (record === undefined) return "lost";
    const { until, isCancelled } = record.value as Lease;
    if (isCancelled) return "cancelled";
    // One that is not written in time by this beat is by the next.
    if (until - this.#runtime.now() < LEASE_MS / 2) {
      await this.#store.records.write({ ...this.#named(tenant, LEASE, id), value: this.#lease(false) }, record.version);
    }
    return "running";
  }

  /** Removes all of it, once the response is stored or never will be. @param parts how many there are */
  async close(tenant: Tenant, id: string, parts: number): Promise<void> {
    const { records } = this.#store;
    // Whoever finds no lease looks into the store, and needs nothing of the rest.
    await records.delete({ tenant, kind: LEASE, id });
    await records.delete({ tenant, kind: START, id });
    for (let part = 0; part < parts; part++) {
      await records.delete({ tenant, kind: PART, id: `${id}/${String(part).padStart(8, "0")}` });
    }
  }

  /** Asks whoever runs it to cancel it; false when nobody does. */
  async cancel(tenant: Tenant, id: string): Promise<boolean> {
    for (;;) {
      const record = await this.#alive(tenant, id);
      if (record === undefined) return false;
      const { until } = record.value as Lease;
      const value = { until, isCancelled: true };
      const named = this.#named(tenant, LEASE, id);
      if ((await this.#store.records.write({ ...named, value }, record.version)) !== undefined) return true;
    }
  }

  /**
   * The response of a run before anything was said, while some server runs it. Of one whose server has stopped, the
   * response is stored as failed, and nothing is left here.
   */
  async running(tenant: Tenant, id: string): Promise<Response | undefined> {
    if ((await this.#alive(tenant, id)) === undefined) return undefined;
    const start = await this.#store.records.get({ tenant, kind: START, id });
    return start && startOf(start).response;
  }

  /** What was written down behind this part; empty when there is nothing new. */
  async parts(tenant: Tenant, id: string, after: string): Promise<{ readonly moves: Move[]; readonly last: string }> {
    const found = await this.#store.records.list(tenant, PART, { prefix: `${id}/`, after, limit: PARTS_AT_ONCE });
    return { moves: found.flatMap(({ value }) => decodeMoves(value)), last: found.at(-1)?.id ?? after };
  }

  async #alive(tenant: Tenant, id: string): Promise<StoreRecord | undefined> {
    const record = await this.#store.records.get({ tenant, kind: LEASE, id });
    if (record === undefined || (record.value as Lease).until > this.#runtime.now()) return record;
    // Of several that notice, one does it; to the others it is done.
    const named = this.#named(tenant, LEASE, id);
    const version = await this.#store.records.write({ ...named, value: this.#lease(true) }, record.version);
    if (version === undefined) return this.#alive(tenant, id);
    await this.#bury(tenant, id);
    return undefined;
  }

  /** Stores the response of a run whose server has stopped. */
  async #bury(tenant: Tenant, id: string): Promise<void> {
    const { records } = this.#store;
    const start = await records.get({ tenant, kind: START, id });
    let count = 0;
    if (start !== undefined) {
      const { response: first, input } = startOf(start);
      const replay = new Replay(first);
      const moves: Move[] = [];
      for (let last = ""; ; ) {
        const next = await this.parts(tenant, id, last);
        if (next.last === last) break;
        count = Number(next.last.slice(id.length + 1)) + 1;
        replay.push(next.moves);
        for (const move of next.moves) moves.push(move);
        ({ last } = next);
      }
      const response = replay.failed(serverStopped());
      const parent = (await records.chain(start)) ?? null;
      // A response that its server has stored at the last moment stays as it is.
      await this.#store.put(commitNode({ id, tenant, parent, input, response }), { recording: encodeMoves(moves) });
    }
    await this.close(tenant, id, count);
  }

  #lease(isCancelled: boolean): Lease {
    return { until: this.#runtime.now() + LEASE_MS, isCancelled };
  }

  #named(tenant: Tenant, kind: string, id: string) {
    return { tenant, kind, id, node: null, expiresAt: this.#runtime.now() + KEPT_MS };
  }
}

function startOf({ value }: StoreRecord): { readonly response: Response; readonly input: readonly Item[] } {
  return value as unknown as { readonly response: Response; readonly input: readonly Item[] };
}
