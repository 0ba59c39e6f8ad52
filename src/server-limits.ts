import { DEFAULT_LIMITS, type Limits } from "./core/ports.ts";
import type { Log } from "./observe.ts";
import type { Config } from "./settings.ts";
import type { Sizes } from "./sizes.ts";
import type { CutReason } from "./transports/context.ts";
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "./transports/limits.ts";

/** The limits of a configuration, as each layer takes them. */

export function engineLimits(config: Config, { contextBytes }: Sizes): Limits {
  return {
    ...DEFAULT_LIMITS,
    turns: config.maxTurns,
    turnsPerTenant: config.maxTurnsPerTenant,
    sessionBytes: config.sessionBytes,
    laneNames: config.maxLanes,
    turnsInFlight: config.maxTurnsInFlight,
    queuedTurns: config.maxQueuedTurns,
    detachedRuns: config.maxDetachedTurns,
    detachedRunsPerTenant: config.maxDetachedTurnsPerTenant,
    compactTokens: config.compactTokens,
    compactBytes: config.compactBytes,
    contextBytes,
    acceptMs: config.acceptTimeout * 1000,
  };
}

export function transportLimits(config: Config): Partial<TransportLimits> {
  return {
    maxMessageBytes: config.maxMessageBytes,
    connectionMs: config.connectionMinutes * 60_000,
    pingMs: config.pingSeconds * 1000,
    silenceMs: config.keepaliveSeconds * 1000,
    maxConnections: config.maxConnections,
    maxConnectionsPerTenant: config.maxConnectionsPerTenant,
    maxDeflateConnections: config.maxDeflateConnections,
    maxLoopDelayMs: config.maxLoopDelayMs,
    maxValues: config.maxMessageValues,
    slowClientMs: config.slowReaderSeconds * 1000,
    requestMs: config.slowMessageSeconds * 1000,
    messageMs: config.slowMessageSeconds * 1000,
    requestHeaderMs: Math.min(DEFAULT_TRANSPORT_LIMITS.requestHeaderMs, config.slowMessageSeconds * 1000),
  };
}

/** One line for each client that was cut, with how many there were for the same reason. */
export function cutLog(log: Log): (reason: CutReason) => void {
  const counts = new Map<CutReason, number>();
  return (reason) => {
    const count = (counts.get(reason) ?? 0) + 1;
    counts.set(reason, count);
    log.warn({ reason, count }, "cut a client");
  };
}
