import { createHash, randomInt } from "node:crypto";

/** The text of a key. It is as long as a hash and all chance, so a plain hash of it gives nothing away. */

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** 62^43 is a little more than 2^256. */
const LENGTH = 43;
const SHAPE = /^tw_[0-9A-Za-z]{43}$/;

/** A key that nobody has yet. */
export function newSecret(): string {
  return `tw_${Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join("")}`;
}

/** Whether the text could be one of ours; anything else need not be looked up. */
export function isSecret(text: string): boolean {
  return SHAPE.test(text);
}

/** What is kept of a key, and compared. */
export function hashOf(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
