import type { Session } from "../core/session.ts";
import { ApiError } from "../protocol/errors.ts";
import type { TransportLimits } from "./limits.ts";

type AgeLimits = Pick<TransportLimits, "connectionMs" | "connectionGraceMs" | "connectionLingerMs">;

type AgeState =
  | { readonly phase: "endless" }
  | { readonly phase: "young" | "ending" | "lingering"; readonly timer: NodeJS.Timeout }
  | { readonly phase: "over" };

export type AgeOptions = {
  readonly session: Session;
  readonly limits: AgeLimits;
  /** The end has come; the client has to be told by this error if it has not been yet. */
  readonly onEnd: (error: ApiError) => void;
};

/**
 * How long a connection may live. At its limit new turns are refused; those that it has go on for a grace period; then,
 * after a moment of rest, it ends.
 */
export class Age {
  readonly #options: AgeOptions;
  readonly #error: ApiError;
  #state: AgeState = { phase: "endless" };

  constructor(options: AgeOptions) {
    this.#options = options;
    const { connectionMs } = options.limits;
    this.#error = new ApiError(
      "websocket_connection_limit_reached",
      `Responses websocket connection limit reached (${connectionMs / 60_000} minutes). Create a new websocket connection to continue.`,
    );
    if (connectionMs > 0) this.#state = { phase: "young", timer: setTimeout(() => void this.#end(), connectionMs) };
  }

  /** The connection has ended in another way. */
  stop(): void {
    if (this.#state.phase !== "endless" && this.#state.phase !== "over") clearTimeout(this.#state.timer);
    this.#state = { phase: "over" };
  }

  async #end(): Promise<void> {
    const { session, limits, onEnd } = this.#options;
    session.refuse(this.#error);
    const outOfGrace = setTimeout(() => session.stop("connection_limit"), limits.connectionGraceMs);
    this.#state = { phase: "ending", timer: outOfGrace };
    await session.idle();
    if (this.#hasStopped()) return;
    clearTimeout(outOfGrace);
    const rested = setTimeout(() => {
      this.#state = { phase: "over" };
      onEnd(this.#error);
    }, limits.connectionLingerMs);
    this.#state = { phase: "lingering", timer: rested };
  }

  #hasStopped(): boolean {
    return this.#state.phase === "over";
  }
}
