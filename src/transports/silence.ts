import type { IncomingHttpHeaders } from "node:http";
import type { TransportPolicy } from "./policy.ts";

type SilenceState = { readonly phase: "resting" } | { readonly phase: "listening"; readonly timer: NodeJS.Timeout };

/** Notices when nothing has been said for too long while something should be, and again each time it lasts as long. */
export class Silence {
  readonly #limitMs: number;
  readonly #onSilence: () => void;
  #state: SilenceState = { phase: "resting" };

  /** @param limitMs 0 never notices anything */
  constructor(limitMs: number, onSilence: () => void) {
    this.#limitMs = limitMs;
    this.#onSilence = onSilence;
  }

  /** @returns whether it listens only from now on */
  listen(): boolean {
    if (this.#state.phase === "listening" || this.#limitMs === 0) return false;
    this.#state = { phase: "listening", timer: setInterval(this.#onSilence, this.#limitMs) };
    return true;
  }

  /** Something was said. */
  broken(): void {
    if (this.#state.phase === "listening") this.#state.timer.refresh();
  }

  rest(): void {
    if (this.#state.phase === "listening") clearInterval(this.#state.timer);
    this.#state = { phase: "resting" };
  }
}

/** Clients whose watchdog counts JSON messages only: neither a ping nor an SSE comment keeps them from giving up. */
const WATCHFUL = /^(codex|opencode|pi\b)/i;

/**
 * Whether a client gets keepalive events in long silences. By itself that is Codex with its SDK and editors, opencode and
 * pi, known by `originator` or `user-agent`, and whoever speaks their WebSocket dialect in `openai-beta`. Others get none:
 * the event is none of the official ones, and some SDK helpers throw on those.
 */
export function wantsKeepalive(policy: Pick<TransportPolicy, "keepalive">, headers: IncomingHttpHeaders): boolean {
  if (policy.keepalive !== "auto") return policy.keepalive === "on";
  const { originator = "", "user-agent": agent = "", "openai-beta": beta = "" } = headers;
  return WATCHFUL.test(String(originator)) || WATCHFUL.test(agent) || String(beta).includes("responses_websockets=");
}
