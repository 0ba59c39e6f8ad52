import { ApiError } from "../protocol/errors.ts";
import { Bucket } from "./bucket.ts";
import type { KeyTerms } from "./key-record.ts";

type Limits = Pick<KeyTerms, "turnsPerMinute" | "tokensPerMinute" | "connections">;

/** Seconds after which a connection may have become free: nobody can know. */
const CONNECTION_RETRY_SECONDS = 5;
/** How many keys are remembered before those that have nothing to remember are looked for. */
const UNSWEPT = 1024;

/** What one key has left at this moment, in this process. */
export class Allowance {
  readonly #now: () => number;
  #turns: Bucket | null = null;
  #tokens: Bucket | null = null;
  #connections = 0;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Counts one turn. @throws ApiError `rate_limit_exceeded` */
  takeTurn(limits: Limits): void {
    this.#turns = this.#sized(this.#turns, limits.turnsPerMinute);
    this.#tokens = this.#sized(this.#tokens, limits.tokensPerMinute);
    const now = this.#now();
    // What a turn uses is known at its end, so it may begin as long as anything is left.
    const [forTurn, forTokens] = [this.#turns?.wait(1, now) ?? 0, this.#tokens?.wait(1, now) ?? 0];
    if (forTurn > 0 && forTurn >= forTokens) {
      throw exceeded(`This API key may begin ${limits.turnsPerMinute} turns per minute.`, forTurn);
    }
    if (forTokens > 0) {
      throw exceeded(`This API key may use ${limits.tokensPerMinute} tokens per minute.`, forTokens);
    }
    this.#turns?.take(1, now);
  }

  takeTokens(tokens: number): void {
    this.#tokens?.take(tokens, this.#now());
  }

  /** @throws ApiError `rate_limit_exceeded` */
  checkConnection({ connections }: Limits): void {
    if (connections === null || this.#connections < connections) return;
    throw exceeded(
      `This API key may have ${connections} WebSocket connections at the same time.`,
      CONNECTION_RETRY_SECONDS * 1000,
    );
  }

  /** @returns what gives the connection back */
  takeConnection(): () => void {
    this.#connections += 1;
    return () => {
      this.#connections -= 1;
    };
  }

  /** Whether it is as one that was never used. */
  get isWhole(): boolean {
    const now = this.#now();
    return this.#connections === 0 && this.#turns?.isFull(now) !== false && this.#tokens?.isFull(now) !== false;
  }

  #sized(bucket: Bucket | null, perMinute: number | null): Bucket | null {
    if (perMinute === null) return null;
    if (bucket === null) return new Bucket(perMinute, this.#now());
    bucket.resize(perMinute, this.#now());
    return bucket;
  }
}

/** The allowances of all keys that are in use; of others there is nothing to know. */
export class Allowances {
  readonly #now: () => number;
  readonly #ofKey = new Map<string, Allowance>();
  #sweepAt = UNSWEPT;

  constructor(now: () => number) {
    this.#now = now;
  }

  of(id: string): Allowance {
    const known = this.#ofKey.get(id);
    if (known !== undefined) return known;
    if (this.#ofKey.size >= this.#sweepAt) this.#sweep();
    const allowance = new Allowance(this.#now);
    this.#ofKey.set(id, allowance);
    return allowance;
  }

  get size(): number {
    return this.#ofKey.size;
  }

  #sweep(): void {
    for (const [id, allowance] of this.#ofKey) {
      if (allowance.isWhole) this.#ofKey.delete(id);
    }
    this.#sweepAt = Math.max(UNSWEPT, 2 * this.#ofKey.size);
  }
}

function exceeded(message: string, waitMs: number): ApiError {
  const seconds = Math.ceil(waitMs / 1000);
  return new ApiError("rate_limit_exceeded", `${message} Try again in ${seconds} s.`, {
    retryAfter: seconds,
  });
}
