import type { JsonValue, Tenant } from "../core/ports.ts";
import type { AllowedModels } from "./allowed-models.ts";

/** What a stored key is good for. Null is no limit. */
export type KeyTerms = {
  readonly models: AllowedModels;
  readonly turnsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  /** WebSocket connections at the same time. */
  readonly connections: number | null;
  /** Milliseconds since 1970. */
  readonly expiresAt: number | null;
};

/** A stored key; all but the key itself, of which only the end is known. */
export type StoredKey = KeyTerms & {
  readonly tenant: Tenant;
  /** What its operator calls it. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly lastFour: string;
};

/** Another form of records gets another number: a server that does not know a limit must not let in who is under it. */
const FORM = 1;

export function encodeKey(key: StoredKey): JsonValue {
  return { form: FORM, ...key };
}

/** @throws Error when another version of the program has written it */
export function decodeKey(value: JsonValue): StoredKey {
  // What is in the store was written by `encodeKey`, of this version or a later one.
  const { form, ...key } = value as { readonly form?: unknown } & StoredKey;
  if (form !== FORM) throw new Error("The API key was written by another version of Turnwire.");
  return key;
}
