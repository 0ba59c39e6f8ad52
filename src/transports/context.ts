import type { Engine } from "../core/engine.ts";
import type { Access, Runtime } from "../core/ports.ts";
import type { TransportLimits } from "./limits.ts";
import type { Door } from "./door.ts";
import type { Load } from "./load.ts";
import type { Report } from "./report.ts";
import type { TransportPolicy } from "./policy.ts";

/**
 * Why a client was cut: it does not read (`slow_reader`), or its message (`slow_message`) or request (`slow_request`) does not
 * come to an end.
 */
export type CutReason = "slow_reader" | "slow_message" | "slow_request";

/** What the transports of one server share. */
export type TransportContext = {
  readonly engine: Engine;
  readonly runtime: Runtime;
  readonly access: Access;
  readonly limits: TransportLimits;
  readonly policy: TransportPolicy;
  readonly load: Load;
  readonly door: Door;
  /** What the page calls this server's version. */
  readonly version: string;
  readonly isTemporary: boolean;
  /** Rejects while the store cannot be used. */
  readonly probe: () => Promise<unknown>;
  /** Whether new work is to be refused. */
  readonly isDraining: () => boolean;
  /** Told of each client that was cut, and why. */
  readonly onCut: (reason: CutReason) => void;
  /** Takes unexpected errors that refuse nothing, whose text no client sees. */
  readonly onError: (error: unknown, requestId: string) => void;
  /** Takes what was refused and closed, for the log. */
  readonly report: Report;
};
