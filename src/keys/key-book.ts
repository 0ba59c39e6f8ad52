import type { Records, StoreRecord, Tenant } from "../core/ports.ts";
import { decodeKey, encodeKey, type KeyTerms, type StoredKey } from "./key-record.ts";
import { hashOf, isSecret, newSecret } from "./secret.ts";

/** Whose the records of the server itself are. No tenant of a client can be called so. */
const SERVER: Tenant = "(server)";
const KIND = "key";
/** Keys that are read at a time. */
const PAGE = 1000;
/** Characters of its hash that name a key: enough that no two are alike. */
const ID_LENGTH = 12;

/** A key as its operator sees it. */
export type ListedKey = StoredKey & { readonly id: string };

/** The keys in the store: under the hash of each, what it is good for. Whoever shares the store has the same keys. */
export class KeyBook {
  readonly #records: Records;
  readonly #page: number;

  constructor(records: Records, { page = PAGE }: { readonly page?: number } = {}) {
    this.#records = records;
    this.#page = page;
  }

  /** Whether there is any key, be it good or not. */
  async hasAny(): Promise<boolean> {
    return (await this.#records.list(SERVER, KIND, { limit: 1 })).length > 0;
  }

  /** @param hash as `keyHash` gives it */
  async find(hash: string): Promise<StoredKey | undefined> {
    const record = await this.#records.get(nameOf(hash));
    return record && decodeKey(record.value);
  }

  /** Makes a key. It is told here and never again. */
  async add(key: Pick<StoredKey, "tenant" | "name" | "createdAt"> & KeyTerms): Promise<ListedKey & { secret: string }> {
    const secret = newSecret();
    const hash = hashOf(secret).toString("hex");
    const stored = { ...key, lastFour: secret.slice(-4) };
    const version = await this.#records.write(
      { ...nameOf(hash), value: encodeKey(stored), node: null, expiresAt: null },
      0,
    );
    if (version === undefined) throw new Error("The new API key is there already.");
    return { ...stored, id: idOf(hash), secret };
  }

  /** All keys, in the order in which they were made. */
  async list(): Promise<readonly ListedKey[]> {
    const keys: ListedKey[] = [];
    for await (const record of this.#all("")) keys.push({ ...decodeKey(record.value), id: idOf(record.id) });
    return keys.toSorted((one, other) => one.createdAt - other.createdAt || (one.id < other.id ? -1 : 1));
  }

  /** The keys that the operator may mean: by id, by name, or by the key itself. */
  async match(text: string): Promise<readonly ListedKey[]> {
    if (isSecret(text)) {
      const hash = hashOf(text).toString("hex");
      const key = await this.find(hash);
      return key === undefined ? [] : [{ ...key, id: idOf(hash) }];
    }
    const keys = await this.list();
    const byId = keys.filter(({ id }) => id === text);
    return byId.length > 0 ? byId : keys.filter(({ name }) => name === text);
  }

  /** Gives a key other terms. @returns undefined when it was not there any more */
  async change(id: string, terms: Partial<KeyTerms>): Promise<ListedKey | undefined> {
    for (;;) {
      const [record] = await this.#records.list(SERVER, KIND, { prefix: id.slice(ID_PREFIX.length), limit: 1 });
      if (record === undefined) return undefined;
      const key = { ...decodeKey(record.value), ...terms };
      // Whoever has changed it meanwhile may have changed something else.
      if ((await this.#records.write({ ...record, value: encodeKey(key) }, record.version)) === undefined) continue;
      return { ...key, id };
    }
  }

  /** @returns false when it was not there any more */
  async revoke(id: string): Promise<boolean> {
    let isGone = false;
    for await (const { id: hash } of this.#all(id.slice(ID_PREFIX.length))) {
      isGone = (await this.#records.delete(nameOf(hash))) || isGone;
    }
    return isGone;
  }

  async *#all(prefix: string): AsyncGenerator<StoreRecord> {
    let after = "";
    for (;;) {
      const page = await this.#records.list(SERVER, KIND, { prefix, after, limit: this.#page });
      yield* page;
      const last = page.at(-1);
      if (last === undefined || page.length < this.#page) return;
      after = last.id;
    }
  }
}

const ID_PREFIX = "key_";

function idOf(hash: string): string {
  return ID_PREFIX + hash.slice(0, ID_LENGTH);
}

function nameOf(hash: string) {
  return { tenant: SERVER, kind: KIND, id: hash };
}
