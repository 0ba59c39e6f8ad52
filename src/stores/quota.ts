import { measure, type ResponseNode } from "../core/node.ts";
import type { Admit, JsonValue, PutOptions, Records, Store, StoredResponse, Tenant } from "../core/ports.ts";
import { ApiError } from "../protocol/errors.ts";
import type { Usage } from "./database.ts";

/** How much a store may hold. */
export type Quota = {
  /** Bytes of all tenants together. */
  readonly bytes: number;
  /** Bytes of one tenant. */
  readonly tenantBytes: number;
};

/** A store that knows how much it holds. */
export type MeteredStore = Store & { usage(tenant: Tenant): Promise<Usage> };

/** How long a measurement is taken for true, with what was put here since. Other servers may put as well. */
const FRESH_MS = 1000;

/**
 * A store with a quota: what does not fit any more is refused, and nothing that was stored is evicted for it. Reading and
 * deleting need no room.
 */
export class QuotaStore implements Store {
  readonly records: Records;
  readonly #store: MeteredStore;
  readonly #quota: Quota;
  readonly #now: () => number;
  readonly #known = new Map<Tenant, { tenant: number; all: number; readonly at: number }>();

  /** @param now milliseconds since 1970 */
  constructor(store: MeteredStore, quota: Quota, now: () => number) {
    this.#store = store;
    this.records = store.records;
    this.#quota = quota;
    this.#now = now;
  }

  async put(node: ResponseNode, options: PutOptions = {}): Promise<void> {
    const { recording } = options;
    const bytes = node.bytes + (recording === undefined ? 0 : measure(recording));
    await this.#take(node.tenant, bytes);
    await this.#store.put(node, options);
  }

  /** @throws ApiError `tenant_storage_exceeded`, `server_storage_exceeded` when the quota is used up */
  checkRoom(tenant: Tenant): Promise<void> {
    return this.#take(tenant, 1);
  }

  get(tenant: Tenant, id: string, admit?: Admit): Promise<StoredResponse | undefined> {
    return this.#store.get(tenant, id, admit);
  }

  recording(tenant: Tenant, id: string, admit?: Admit): Promise<JsonValue | undefined> {
    return this.#store.recording(tenant, id, admit);
  }

  load(tenant: Tenant, id: string, admit?: Admit): Promise<ResponseNode | undefined> {
    return this.#store.load(tenant, id, admit);
  }

  async delete(tenant: Tenant, id: string): Promise<boolean> {
    const isDeleted = await this.#store.delete(tenant, id);
    this.#known.clear();
    return isDeleted;
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** Counts bytes that are about to be put. */
  async #take(tenant: Tenant, bytes: number): Promise<void> {
    let known = this.#known.get(tenant);
    const isFresh = known !== undefined && this.#now() - known.at < FRESH_MS;
    // What seems too much is measured again: something may have been deleted since.
    if (known === undefined || !isFresh || this.#refusal(known, bytes) !== null) {
      known = { ...(await this.#store.usage(tenant)), at: this.#now() };
      this.#known.set(tenant, known);
    }
    const refusal = this.#refusal(known, bytes);
    if (refusal !== null) throw refusal;
    known.tenant += bytes;
    known.all += bytes;
  }

  #refusal(usage: Usage, bytes: number): ApiError | null {
    if (usage.tenant + bytes > this.#quota.tenantBytes) {
      const message =
        `The stored responses and conversations of this API key use all of the ${this.#quota.tenantBytes} bytes that they ` +
        "may have. Delete some of them, or use `store: false`.";
      return new ApiError("tenant_storage_exceeded", message);
    }
    if (usage.all + bytes > this.#quota.bytes) {
      const message = "The server's store is full. Use `store: false`, or try again when something has been deleted.";
      return new ApiError("server_storage_exceeded", message);
    }
    return null;
  }
}
