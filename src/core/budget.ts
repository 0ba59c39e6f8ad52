import { ApiError } from "../protocol/errors.ts";
import type { Tenant } from "./node.ts";

/**
 * Live bytes, accounted before they are allocated: one account for the server and one for each tenant. Sizes are estimates
 * of what a value takes in memory, and err on the high side.
 */

export type MemoryLimits = {
  /** Bytes that all tenants may hold together. */
  readonly serverBytes: number;
  /** Bytes that one tenant may hold. */
  readonly tenantBytes: number;
};

/** When a refused client should try again: leases end with the turns and answers that hold them. */
const RETRY_SECONDS = 2;

/** The account of the server, and those of its tenants. */
export class Memory {
  readonly #limits: MemoryLimits;
  readonly #accounts = new Map<Tenant, Account>();
  #used = 0;

  constructor(limits: MemoryLimits = { serverBytes: Infinity, tenantBytes: Infinity }) {
    this.#limits = limits;
  }

  /** Bytes that all leases hold. */
  get used(): number {
    return this.#used;
  }

  of(tenant: Tenant): Account {
    let account = this.#accounts.get(tenant);
    if (account === undefined) {
      const move = (bytes: number): void => {
        this.#used += bytes;
      };
      account = new Account(this.#limits, () => this.#used, move);
      this.#accounts.set(tenant, account);
    }
    return account;
  }
}

/** The bytes of one tenant. */
export class Account {
  readonly #limits: MemoryLimits;
  readonly #usedByAll: () => number;
  readonly #moveAll: (bytes: number) => void;
  #used = 0;

  constructor(limits: MemoryLimits, usedByAll: () => number, moveAll: (bytes: number) => void) {
    this.#limits = limits;
    this.#usedByAll = usedByAll;
    this.#moveAll = moveAll;
  }

  /** Bytes that the tenant's leases hold. */
  get used(): number {
    return this.#used;
  }

  /** Bytes that a lease can still take. */
  get free(): number {
    return Math.max(0, Math.min(this.#limits.tenantBytes - this.#used, this.#limits.serverBytes - this.#usedByAll()));
  }

  open(): MemoryLease {
    return new MemoryLease(this);
  }

  /** @internal Only leases move bytes. */
  move(bytes: number): void {
    this.#used += bytes;
    this.#moveAll(bytes);
  }

  /** Why a lease that holds `held` bytes cannot take `bytes` more. */
  refusal(held: number, bytes: number): ApiError {
    const { serverBytes, tenantBytes } = this.#limits;
    const limit = Math.min(serverBytes, tenantBytes);
    if (held + bytes > limit) {
      const message =
        `This request needs about ${mebibytes(held + bytes)} of memory, and one request can have ${mebibytes(limit)} ` +
        "on this server. Send less at once, or shorten the context.";
      return new ApiError("request_memory_exceeded", message);
    }
    const options = { retryAfter: RETRY_SECONDS };
    if (this.#used + bytes > tenantBytes) {
      const message =
        `The requests, connections and unread answers of this API key use all of the ${mebibytes(tenantBytes)} of memory ` +
        "that they may have. Read the answers, close connections, or try again later.";
      return new ApiError("tenant_memory_exceeded", message, options);
    }
    const message = "The requests of all clients use all of the server's memory budget. Try again later.";
    return new ApiError("server_memory_exceeded", message, options);
  }
}

/** Bytes that something holds, until it is released. */
export class MemoryLease {
  readonly #account: Account;
  #bytes = 0;
  #holders = 1;

  constructor(account: Account) {
    this.#account = account;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes by which it can still grow. */
  get free(): number {
    return this.#account.free;
  }

  /** @throws ApiError `request_memory_exceeded`, `tenant_memory_exceeded`, `server_memory_exceeded`; it then stays as it was */
  grow(bytes: number): void {
    if (this.#holders === 0 || bytes <= 0) return;
    if (bytes > this.#account.free) throw this.#account.refusal(this.#bytes, bytes);
    this.#move(bytes);
  }

  /** Changes what it holds; becoming smaller is never refused. @throws ApiError as `grow` */
  resize(bytes: number): void {
    if (bytes > this.#bytes) this.grow(bytes - this.#bytes);
    else if (this.#holders > 0) this.#move(bytes - this.#bytes);
  }

  /** The same as `resize`; false where that throws. */
  tryResize(bytes: number): boolean {
    if (bytes - this.#bytes > this.#account.free) return false;
    this.resize(bytes);
    return true;
  }

  /** Another lease of the same tenant. */
  another(): MemoryLease {
    return this.#account.open();
  }

  /** Adds a holder: the bytes are given back when the last one has released them. */
  share(): this {
    if (this.#holders > 0) this.#holders += 1;
    return this;
  }

  /** Gives everything back; from then on it holds nothing, and does not grow. */
  release(): void {
    if (this.#holders === 0) return;
    this.#holders -= 1;
    if (this.#holders === 0) this.#move(-this.#bytes);
  }

  #move(bytes: number): void {
    this.#bytes += bytes;
    this.#account.move(bytes);
  }
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
}
