import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { Seal, Tenant } from "../core/ports.ts";
import { Cipher, type StoreKey } from "./cipher.ts";

/** What the sealed text is, beside those of later versions. */
const FORM = "tw1";
/** Keeps it apart from what the same key may encrypt for a store. */
const PLACE = "sealed";
/** Beyond this a buffer is no string any more. */
const LARGEST_TEXT = 2 ** 29 - 24;

/**
 * Seals by AES-256-GCM, each text for its tenant: `tw1:<key id>:<base64url>`. Needs nothing but the key to open it, so it
 * holds on every server that has the key, whatever is stored there.
 */
export class CipherSeal implements Seal {
  readonly #keys: () => readonly StoreKey[];
  #opened: { readonly cipher: Cipher; readonly ids: ReadonlySet<string> } | null = null;

  /** @param keys asked for when there is something to seal or to open; the first one seals, all of them open */
  constructor(keys: () => readonly StoreKey[]) {
    this.#keys = keys;
  }

  seal(tenant: Tenant, text: string): string {
    const { key, content } = this.#keyring().cipher.seal(deflateRawSync(text), { tenant, id: PLACE });
    if (key === null) throw new Error("There is no key to seal with.");
    return `${FORM}:${key}:${Buffer.from(content).toString("base64url")}`;
  }

  open(tenant: Tenant, sealed: string, limit: number): string | undefined {
    const [form, key, base64, ...rest] = sealed.split(":");
    if (form !== FORM || key === undefined || base64 === undefined || rest.length > 0) return undefined;
    const { cipher, ids } = this.#keyring();
    if (!ids.has(key)) return undefined;
    let content: Uint8Array | string;
    try {
      content = cipher.open({ key, content: Buffer.from(base64, "base64url") }, { tenant, id: PLACE });
    } catch {
      return undefined;
    }
    if (limit < 1) throw new RangeError("there is no room for a sealed text");
    // Throws a RangeError at the limit. A longer limit than zlib takes is no limit.
    return inflateRawSync(content, { maxOutputLength: Math.min(Math.floor(limit), LARGEST_TEXT) }).toString();
  }

  #keyring() {
    if (this.#opened === null) {
      const keys = this.#keys();
      this.#opened = { cipher: new Cipher(keys), ids: new Set(keys.map(({ id }) => id)) };
    }
    return this.#opened;
  }
}
