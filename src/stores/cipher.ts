import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { StoreError } from "./store-error.ts";

const ALGORITHM = "aes-256-gcm";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export type StoreKey = { readonly id: string; readonly secret: KeyObject };

/**
 * Reads keys from `id:base64`, separated by commas. The first one encrypts; all of them decrypt.
 * @param source what the keys are called in errors
 * @throws StoreError that names the key at fault and never shows one
 */
export function parseStoreKeys(text: string, source = "store keys"): readonly StoreKey[] {
  const words = text.split(",").map((word) => word.trim());
  const keys = words.filter((word) => word !== "").map((word, index) => parseKey(word, index, source));
  const ids = new Set<string>();
  for (const { id } of keys) {
    if (ids.has(id)) throw new StoreError(`${source}: two keys have the id '${id}'`);
    ids.add(id);
  }
  return keys;
}

function parseKey(word: string, index: number, source: string): StoreKey {
  const [, id, base64] = /^([\w.-]{1,64}):([A-Za-z0-9+/_-]+=*)$/.exec(word) ?? [];
  const which = `number ${index + 1}`;
  if (id === undefined || base64 === undefined) {
    throw new StoreError(`${source}: ${which} is not <id>:<base64>; the id is letters, digits, '.', '_' and '-'`);
  }
  const bytes = Buffer.from(base64, "base64");
  if (bytes.byteLength !== KEY_BYTES) {
    throw new StoreError(`${source}: '${id}' has ${bytes.byteLength} bytes where ${KEY_BYTES} are needed`);
  }
  return { id, secret: createSecretKey(bytes) };
}

/** Where a content belongs. `link` is what else stands beside it in clear and is authenticated with it. */
type Place = { readonly tenant: string; readonly id: string; readonly link?: readonly (string | number | null)[] };
type Sealed<Content> = { readonly key: string | null; readonly content: Content };

/** Encrypts contents, each for its place: what is moved to another tenant or id does not open. Without keys it does nothing. */
export class Cipher {
  readonly #current: StoreKey | undefined;
  readonly #keys: ReadonlyMap<string, StoreKey>;

  readonly #trustsClear: boolean;

  /** @param trustsClear whether contents in clear are believed although there are keys */
  constructor(keys: readonly StoreKey[], trustsClear = false) {
    this.#trustsClear = trustsClear;
    this.#current = keys[0];
    this.#keys = new Map(keys.map((key) => [key.id, key]));
  }

  seal(plain: Uint8Array, place: Place): Sealed<Uint8Array> {
    if (this.#current === undefined) return { key: null, content: plain };
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#current.secret, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(placeBytes(place));
    const body = cipher.update(plain);
    const rest = cipher.final();
    // A buffer of its own: a piece of the shared pool would be copied with the whole pool around it.
    const content = new Uint8Array(NONCE_BYTES + body.byteLength + rest.byteLength + TAG_BYTES);
    content.set(nonce);
    content.set(body, NONCE_BYTES);
    content.set(rest, NONCE_BYTES + body.byteLength);
    content.set(cipher.getAuthTag(), content.byteLength - TAG_BYTES);
    return { key: this.#current.id, content };
  }

  /** @throws Error when the key is not known, or the content was not sealed for this place */
  open({ key, content }: Sealed<Uint8Array | string>, place: Place): Uint8Array | string {
    if (key === null) {
      if (this.#current === undefined || this.#trustsClear) return content;
      throw new StoreError(
        `store keys: ${place.id} is stored in clear: rows from before encryption are believed with --store-clear-rows only`,
      );
    }
    if (typeof content === "string") throw new Error(`response ${place.id} is text where it should be encrypted`);
    const known = this.#keys.get(key);
    if (known === undefined) throw new StoreError(`store keys: response ${place.id} needs the key '${key}'`);
    // Rows of earlier versions were bound to their tenant and id alone; nobody without the key can make one.
    const { tenant, id, link } = place;
    const plain = decrypt(content, known, place) ?? (link && decrypt(content, known, { tenant, id }));
    if (plain === undefined) throw new StoreError(`store: ${id} does not open with the key '${key}', or was changed`);
    return plain;
  }
}

/** Undefined when the content was not sealed with the key for this place. */
function decrypt(content: Uint8Array, { secret }: StoreKey, place: Place): Uint8Array | undefined {
  if (content.byteLength < NONCE_BYTES + TAG_BYTES) return undefined;
  const nonce = content.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv(ALGORITHM, secret, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(placeBytes(place));
  decipher.setAuthTag(content.subarray(content.byteLength - TAG_BYTES));
  const body = decipher.update(content.subarray(NONCE_BYTES, content.byteLength - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return body;
}

function placeBytes({ tenant, id, link }: Place): Uint8Array {
  return Buffer.from(JSON.stringify(link === undefined ? [tenant, id] : [tenant, id, ...link]));
}
