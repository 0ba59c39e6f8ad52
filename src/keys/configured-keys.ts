import { timingSafeEqual } from "node:crypto";
import type { Tenant } from "../core/ports.ts";
import { hashOf } from "./secret.ts";

export type ApiKey = { readonly tenant: Tenant; readonly key: string };

/** The keys of the configuration. It keeps hashes only, and its time says nothing about how close a guess came. */
export class ConfiguredKeys {
  readonly #keys: readonly { readonly tenant: Tenant; readonly hash: Buffer }[];

  constructor(keys: readonly ApiKey[]) {
    this.#keys = keys.map(({ tenant, key }) => ({ tenant, hash: hashOf(key) }));
  }

  get size(): number {
    return this.#keys.length;
  }

  /** Whose key it is; undefined when it is nobody's. */
  find(hash: Buffer): Tenant | undefined {
    let tenant: Tenant | undefined;
    for (const known of this.#keys) {
      // No early exit: every key takes part in every comparison.
      if (timingSafeEqual(known.hash, hash)) tenant = known.tenant;
    }
    return tenant;
  }
}
