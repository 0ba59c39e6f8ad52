import type { Access, Permit, Records, Runtime, Tenant } from "../core/ports.ts";
import { ApiError, modelNotFound } from "../protocol/errors.ts";
import { Allowances } from "./allowances.ts";
import { allowsModel } from "./allowed-models.ts";
import { type ApiKey, ConfiguredKeys } from "./configured-keys.ts";
import { KeyBook } from "./key-book.ts";
import type { StoredKey } from "./key-record.ts";
import { hashOf, isSecret } from "./secret.ts";
import { type WrongKey, WrongKeys } from "./wrong-keys.ts";

/** Whose everything is on a server without keys. */
export const DEFAULT_TENANT: Tenant = "default";

const NO_KEY =
  "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";

/** How long a server that has no keys believes that there are still none. */
const KEYLESS_MS = 1000;

export type KeyRingOptions = {
  /** Those of the configuration. */
  readonly configured: readonly ApiKey[];
  /** Where the others are. */
  readonly records: Records;
  readonly runtime: Pick<Runtime, "now" | "monotonic">;
  /** Whether a key is needed also while there is none. */
  readonly isClosed: boolean;
  /** Told of wrong keys, though not of each. */
  readonly onWrongKey?: (wrong: WrongKey) => void;
};

/**
 * Knows whose a key is and what it is good for: a key of the configuration for everything, one in the store for what is
 * written there. A stored key is read again for each turn, so what an operator changes counts from the next turn on, on
 * open connections and in other processes too.
 */
export class KeyRing implements Access {
  readonly #configured: ConfiguredKeys;
  readonly #book: KeyBook;
  readonly #runtime: Pick<Runtime, "now" | "monotonic">;
  readonly #allowances: Allowances;
  readonly #wrongKeys: WrongKeys;
  /** `closed` for good: when its last key is revoked a server does not open to everybody. */
  #state: { readonly kind: "closed" } | { readonly kind: "open"; readonly since: number };
  #looking: Promise<boolean> | null = null;

  constructor({ configured, records, runtime, isClosed, onWrongKey = () => undefined }: KeyRingOptions) {
    this.#configured = new ConfiguredKeys(configured);
    this.#book = new KeyBook(records);
    this.#runtime = runtime;
    this.#allowances = new Allowances(() => runtime.monotonic());
    this.#wrongKeys = new WrongKeys(() => runtime.monotonic(), onWrongKey);
    this.#state = isClosed || configured.length > 0 ? { kind: "closed" } : { kind: "open", since: -Infinity };
  }

  /** Whether there is anybody to let in. */
  async hasKeys(): Promise<boolean> {
    return this.#configured.size > 0 || this.#book.hasAny();
  }

  async needsKey(): Promise<boolean> {
    if (this.#state.kind === "closed") return true;
    if (this.#runtime.monotonic() - this.#state.since < KEYLESS_MS) return false;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async authenticate(authorization: string | undefined, address?: string): Promise<Permit> {
    if (!(await this.needsKey())) return this.#openPermit();
    const key = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
    if (key === undefined) throw new ApiError("invalid_api_key", NO_KEY);
    const hash = hashOf(key);
    const name = hash.toString("hex");
    this.#wrongKeys.check(address, name);
    try {
      const tenant = this.#configured.find(hash);
      // A configured key has no other name than its tenant's.
      const permit =
        tenant === undefined ? await this.#findStored(key, name) : unlimited(tenant, tenant, async () => undefined);
      this.#wrongKeys.right(address, name);
      return permit;
    } catch (error) {
      if (error instanceof ApiError && error.code === "invalid_api_key") this.#wrongKeys.wrong(address);
      throw error;
    }
  }

  async #findStored(key: string, hash: string): Promise<Permit> {
    if (!isSecret(key)) throw new ApiError("invalid_api_key", "Incorrect API key provided.");
    return this.#storedPermit(hash);
  }

  async #look(): Promise<boolean> {
    const since = this.#runtime.monotonic();
    const hasAny = await this.#book.hasAny();
    this.#state = hasAny ? { kind: "closed" } : { kind: "open", since };
    return hasAny;
  }

  /** Good until the first key is made. */
  #openPermit(): Permit {
    return unlimited(DEFAULT_TENANT, null, async () => {
      if (await this.needsKey()) throw new ApiError("invalid_api_key", NO_KEY);
    });
  }

  async #storedPermit(hash: string): Promise<Permit> {
    let key = await this.#read(hash);
    const allowance = () => this.#allowances.of(hash);
    return {
      tenant: key.tenant,
      keyName: key.name,
      admit: async (model) => {
        key = await this.#read(hash);
        if (!allowsModel(key.models, model)) throw modelNotFound(model);
        allowance().takeTurn(key);
      },
      charge: (tokens) => allowance().takeTokens(tokens),
      allowsModel: (model) => allowsModel(key.models, model),
      checkConnection: () => allowance().checkConnection(key),
      connect: () => allowance().takeConnection(),
    };
  }

  /** The key as it is now. @throws ApiError `invalid_api_key` */
  async #read(hash: string): Promise<StoredKey> {
    const key = await this.#book.find(hash);
    if (key === undefined) throw new ApiError("invalid_api_key", "Incorrect API key provided.");
    if (key.expiresAt !== null && key.expiresAt <= this.#runtime.now()) {
      throw new ApiError("invalid_api_key", "The API key has expired.");
    }
    return key;
  }
}

function unlimited(tenant: Tenant, keyName: string | null, admit: Permit["admit"]): Permit {
  return {
    tenant,
    keyName,
    admit,
    charge: () => undefined,
    allowsModel: () => true,
    checkConnection: () => undefined,
    connect: () => () => undefined,
  };
}
