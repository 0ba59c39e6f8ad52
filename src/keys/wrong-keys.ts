import { isIPv6 } from "node:net";
import { ApiError } from "../protocol/errors.ts";
import { Bucket } from "./bucket.ts";

/** Wrong keys of one address, for the log. */
export type WrongKey = {
  readonly address: string;
  /** How many came since the address was last unknown here. */
  readonly count: number;
  /** Whether the address is slowed from now on. */
  readonly isSlowed: boolean;
};

type Guesser = { readonly bucket: Bucket; count: number; isSlowed: boolean };

/** Wrong keys that one address may send at once, and then in each minute. */
const PER_MINUTE = 10;
/** Addresses, and right keys, that are remembered; of more the oldest are forgotten. */
const REMEMBERED = 10_000;

/**
 * Slows those who guess keys. An address that has sent many wrong ones is refused unheard until its bucket fills again, so
 * that it learns nothing from a guess; a key that was right from there before is let in all the same, since others may share
 * the address.
 */
export class WrongKeys {
  readonly #now: () => number;
  readonly #onWrong: (wrong: WrongKey) => void;
  readonly #guessers = new Map<string, Guesser>();
  /** Addresses with the hashes of the keys that were right. */
  readonly #right = new Map<string, true>();

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number, onWrong: (wrong: WrongKey) => void) {
    this.#now = now;
    this.#onWrong = onWrong;
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#guessers.size;
  }

  /** Before a key is looked up. @throws ApiError `rate_limit_exceeded` */
  check(address: string | undefined, hash: string): void {
    const from = groupOf(address);
    const wait = this.#guessers.get(from)?.bucket.wait(1, this.#now()) ?? 0;
    if (wait === 0 || this.#right.has(`${from} ${hash}`)) return;
    const retryAfter = Math.ceil(wait / 1000);
    const message = `Too many wrong API keys came from your address. Try again in ${retryAfter} s.`;
    throw new ApiError("rate_limit_exceeded", message, { retryAfter });
  }

  right(address: string | undefined, hash: string): void {
    remember(this.#right, `${groupOf(address)} ${hash}`, true);
  }

  wrong(address: string | undefined): void {
    const from = groupOf(address);
    const now = this.#now();
    let guesser = this.#guessers.get(from);
    if (guesser === undefined || guesser.bucket.isFull(now)) {
      guesser = { bucket: new Bucket(PER_MINUTE, now), count: 0, isSlowed: false };
    }
    guesser.bucket.take(1, now);
    guesser.count += 1;
    const becomesSlow = !guesser.isSlowed && guesser.bucket.wait(1, now) > 0;
    guesser.isSlowed ||= becomesSlow;
    remember(this.#guessers, from, guesser);
    // Two lines for each that goes on: a log that grows with every guess would be another thing to attack.
    if (guesser.count === 1 || becomesSlow) {
      this.#onWrong({ address: from, count: guesser.count, isSlowed: becomesSlow });
    }
  }
}

/** Puts a value at the end of what is remembered, and forgets the oldest beyond the limit. */
function remember<Value>(all: Map<string, Value>, name: string, value: Value): void {
  all.delete(name);
  all.set(name, value);
  if (all.size <= REMEMBERED) return;
  const [oldest] = all.keys();
  if (oldest !== undefined) all.delete(oldest);
}

/** Who sends from it: an IPv4 address, or the network of an IPv6 address, of which one customer has all. */
function groupOf(address = "unknown"): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, "");
  if (!isIPv6(plain)) return plain;
  const [head = ""] = plain.split("%");
  const [left = "", right] = head.split("::");
  const start = left === "" ? [] : left.split(":");
  const end = right === undefined || right === "" ? [] : right.split(":");
  const zeros = right === undefined ? 0 : 8 - start.length - end.length;
  const groups = [...start, ...Array.from({ length: Math.max(0, zeros) }, () => "0"), ...end];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}
