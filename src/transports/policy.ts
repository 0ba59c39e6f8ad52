import type { Echo } from "../protocol/echo.ts";

/** What an operator decides about the transports, apart from their limits. */
export type TransportPolicy = {
  /** Without it upgrades are answered with 426, and clients stay with HTTP. */
  readonly webSocket: boolean;
  /**
   * Hosts by which a server without keys may be addressed, besides those of loopback: `name`, `*.name` or `*`; null when any
   * host is taken.
   */
  readonly allowedHosts: readonly string[] | null;
  /** Origins of web pages that may connect, besides those of this server itself; `*` stands for all. */
  readonly allowedOrigins: readonly string[];
  /** Who gets keepalive events in long silences; `auto`: clients that are known to give up without them. */
  readonly keepalive: "auto" | "on" | "off";
  /** What events repeat of instructions and tools; `auto`: nothing for clients that are known not to look at them. */
  readonly echo: "auto" | Echo;
  /** Whether messages may be compressed; `auto`: unless the client is on this machine. */
  readonly deflate: "auto" | "on" | "off";
};

export const DEFAULT_TRANSPORT_POLICY: TransportPolicy = {
  webSocket: true,
  allowedHosts: [],
  allowedOrigins: [],
  keepalive: "auto",
  echo: "auto",
  deflate: "auto",
};
