import { ApiError } from "../protocol/errors.ts";
import type { Limits, Tenant } from "./ports.ts";

/**
 * Counts the turns that run, of each tenant and in all, over every transport. A turn beyond the limit is refused at once and
 * not queued: what waits costs memory, and clients know how to come back after `retry-after`.
 */
export class RunningTurns {
  readonly #limits: Pick<Limits, "turns" | "turnsPerTenant">;
  readonly #ofTenant = new Map<Tenant, number>();
  #all = 0;

  constructor(limits: Pick<Limits, "turns" | "turnsPerTenant">) {
    this.#limits = limits;
  }

  /** @throws ApiError `too_many_turns` when no further turn of the tenant may run now */
  check(tenant: Tenant): void {
    const { turns, turnsPerTenant } = this.#limits;
    const own = this.#ofTenant.get(tenant) ?? 0;
    if (own >= turnsPerTenant) throw refusal(`${own} turns of this API key's tenant are running.`);
    if (this.#all >= turns) throw refusal("The server runs as many turns as it may.");
  }

  /**
   * Counts a turn in.
   * @param refused told before it throws
   * @returns what counts it out again
   * @throws ApiError `too_many_turns`
   */
  enter(tenant: Tenant, refused?: () => void): () => void {
    try {
      this.check(tenant);
    } catch (error) {
      refused?.();
      throw error;
    }
    this.#all += 1;
    this.#ofTenant.set(tenant, (this.#ofTenant.get(tenant) ?? 0) + 1);
    return () => {
      this.#all -= 1;
      const rest = (this.#ofTenant.get(tenant) ?? 1) - 1;
      if (rest === 0) this.#ofTenant.delete(tenant);
      else this.#ofTenant.set(tenant, rest);
    };
  }
}

function refusal(what: string): ApiError {
  return new ApiError("too_many_turns", `${what} Send this one again later.`, { retryAfter: 1 });
}
