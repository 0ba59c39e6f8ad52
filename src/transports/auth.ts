import { createHash, timingSafeEqual } from "node:crypto";
import type { Tenant } from "../core/ports.ts";
import { ApiError } from "../protocol/errors.ts";

export type ApiKey = { readonly tenant: Tenant; readonly key: string };

/** Whose everything is on a server without keys. */
export const DEFAULT_TENANT: Tenant = "default";

const NO_KEY =
  "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";

/** Knows which tenant a key belongs to. It keeps hashes only, and its time says nothing about how close a guess came. */
export class Authenticator {
  readonly #keys: readonly { readonly tenant: Tenant; readonly hash: Buffer }[];

  constructor(keys: readonly ApiKey[]) {
    this.#keys = keys.map(({ tenant, key }) => ({ tenant, hash: hashOf(key) }));
  }

  /** Whether a request needs a key at all. */
  get needsKey(): boolean {
    return this.#keys.length > 0;
  }

  /** The tenant of a request. @throws ApiError `invalid_api_key` */
  authenticate(authorization: string | undefined): Tenant {
    if (this.#keys.length === 0) return DEFAULT_TENANT;
    const key = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
    if (key === undefined) throw new ApiError("invalid_api_key", NO_KEY);
    const hash = hashOf(key);
    let tenant: Tenant | undefined;
    for (const known of this.#keys) {
      // No early exit: every key takes part in every comparison.
      if (timingSafeEqual(known.hash, hash)) tenant = known.tenant;
    }
    if (tenant === undefined) throw new ApiError("invalid_api_key", "Incorrect API key provided.");
    return tenant;
  }
}

function hashOf(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
