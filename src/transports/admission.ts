import type { Tenant } from "../core/ports.ts";
import { ApiError } from "../protocol/errors.ts";
import type { TransportLimits } from "./limits.ts";
import type { Load } from "./load.ts";

type AdmissionLimits = Pick<TransportLimits, "maxConnections" | "maxConnectionsPerTenant" | "retryAfterSeconds">;

/** Counts the WebSocket connections, and lets in no more than there may be. */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #load: Load;
  readonly #ofTenant = new Map<Tenant, number>();
  #all = 0;

  constructor(limits: AdmissionLimits, load: Load) {
    this.#limits = limits;
    this.#load = load;
  }

  /** @throws ApiError `too_many_connections` */
  check(tenant: Tenant): void {
    const { maxConnections, maxConnectionsPerTenant } = this.#limits;
    if (this.#load.isOverloaded) throw this.#refusal("The server is overloaded and takes no new connections.");
    if (maxConnections > 0 && this.#all >= maxConnections) {
      throw this.#refusal(`The server already has ${this.#all} WebSocket connections.`);
    }
    const own = this.#ofTenant.get(tenant) ?? 0;
    if (maxConnectionsPerTenant > 0 && own >= maxConnectionsPerTenant) {
      throw this.#refusal(`You already have ${own} WebSocket connections.`);
    }
  }

  /** @returns what counts the connection out again */
  enter(tenant: Tenant): () => void {
    this.#all += 1;
    this.#ofTenant.set(tenant, (this.#ofTenant.get(tenant) ?? 0) + 1);
    return () => {
      this.#all -= 1;
      const rest = (this.#ofTenant.get(tenant) ?? 1) - 1;
      if (rest === 0) this.#ofTenant.delete(tenant);
      else this.#ofTenant.set(tenant, rest);
    };
  }

  #refusal(message: string): ApiError {
    return new ApiError("too_many_connections", message, { retryAfter: this.#limits.retryAfterSeconds });
  }
}
