import { ApiError } from "../protocol/errors.ts";
import { brokenStream } from "./chat-errors.ts";

/**
 * Watches over one call of a model server: it ends the call when the client is gone, and when the server lets the time
 * pass in which something should have come. It only counts while somebody waits, so a slow client is no silent server.
 */
export class Watchdog {
  readonly #client: AbortSignal;
  /** Started once and put off each time: most calls expect the same thing many times. */
  #timer: { readonly timeout: NodeJS.Timeout; readonly milliseconds: number } | null = null;
  /** What is expected, as the complaint about its absence; null when nobody waits. */
  #complaint: string | null = null;
  #verdict: ApiError | null = null;
  #guarded: (() => void) | null = null;

  constructor(client: AbortSignal) {
    this.#client = client;
    if (!client.aborted) client.addEventListener("abort", this.#end, { once: true });
  }

  /** Takes what is to be ended, in place of what it had before. Ends it at once when it is too late already. */
  guard(end: () => void): void {
    this.#guarded = end;
    if (this.#client.aborted || this.#verdict !== null) end();
  }

  /** From now on something must come within this time, or the call ends with "The model server `complaint`." */
  expect(milliseconds: number, complaint: string): void {
    this.#complaint = complaint;
    if (this.#timer?.milliseconds === milliseconds) {
      this.#timer.timeout.refresh();
      return;
    }
    clearTimeout(this.#timer?.timeout);
    this.#timer = { timeout: setTimeout(this.#onSilence, milliseconds), milliseconds };
  }

  /** It has come. */
  relax(): void {
    this.#complaint = null;
  }

  /** What the watchdog has to say of an error; null when it was not the one to end the call. */
  explain(error: unknown): ApiError | null {
    if (this.#verdict !== null) return this.#verdict;
    if (!this.#client.aborted) return null;
    return new ApiError("server_error", "The client has left.", { cause: error });
  }

  /** Resolves after this time. @throws when the client is gone */
  async wait(milliseconds: number): Promise<void> {
    this.relax();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    this.guard(resolve);
    await promise;
    clearTimeout(timer);
    if (this.#client.aborted) throw new ApiError("server_error", "The client has left.");
  }

  /** Ends the watch; nothing of it remains. */
  stop(): void {
    clearTimeout(this.#timer?.timeout);
    this.#guarded = null;
    this.#client.removeEventListener("abort", this.#end);
  }

  readonly #onSilence = (): void => {
    if (this.#complaint === null) return;
    this.#verdict = brokenStream(this.#complaint);
    this.#end();
  };

  readonly #end = (): void => this.#guarded?.();
}
