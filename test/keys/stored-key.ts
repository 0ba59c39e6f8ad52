import type { Records } from "../../src/core/ports.ts";
import { KeyBook } from "../../src/keys/key-book.ts";
import type { StoredKey } from "../../src/keys/key-record.ts";

/** Makes a key as an operator would: without limits, where none are given. */
export function addKey(records: Records, terms: Partial<StoredKey> = {}): ReturnType<KeyBook["add"]> {
  return new KeyBook(records).add({
    tenant: "acme",
    name: "laptop",
    createdAt: 1_800_000_000_000,
    models: null,
    turnsPerMinute: null,
    tokensPerMinute: null,
    connections: null,
    expiresAt: null,
    ...terms,
  });
}
