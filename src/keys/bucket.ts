const MINUTE_MS = 60_000;
/** Sums of fractions are never quite even: nobody is kept waiting for less than this. */
const CRUMB = 1e-6;

/**
 * Lets through so much a minute: a whole minute's worth at once after a rest, and then as fast as it comes in again. It may
 * be overdrawn by what is only known afterwards, and is then shut until that has come in. Times are milliseconds of a clock
 * that only goes forward.
 */
export class Bucket {
  #perMinute: number;
  #level: number;
  #at: number;

  constructor(perMinute: number, now: number) {
    this.#perMinute = perMinute;
    this.#level = perMinute;
    this.#at = now;
  }

  /** Another limit from now on; what was overdrawn stays so. */
  resize(perMinute: number, now: number): void {
    if (perMinute === this.#perMinute) return;
    this.#fill(now);
    this.#perMinute = perMinute;
    this.#level = Math.min(this.#level, perMinute);
  }

  /** Milliseconds until `amount` could be taken; 0 when it could be taken now. */
  wait(amount: number, now: number): number {
    this.#fill(now);
    const missing = amount - this.#level;
    return missing <= CRUMB ? 0 : Math.ceil((missing * MINUTE_MS) / this.#perMinute);
  }

  /** Takes it, be it there or not. */
  take(amount: number, now: number): void {
    this.#fill(now);
    this.#level -= amount;
  }

  /** Whether it is as one that was never used. */
  isFull(now: number): boolean {
    this.#fill(now);
    return this.#level >= this.#perMinute - CRUMB;
  }

  #fill(now: number): void {
    const came = ((now - this.#at) * this.#perMinute) / MINUTE_MS;
    this.#level = Math.min(this.#perMinute, this.#level + came);
    this.#at = now;
  }
}
