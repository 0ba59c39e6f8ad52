/** Every bound of the transports, by name. */
export type TransportLimits = {
  /** Bytes of one WebSocket message or of one HTTP body. */
  readonly maxMessageBytes: number;
  /** Bytes of messages that may wait on one connection for their turn; beyond that nothing more is read from it. */
  readonly queuedBytes: number;
  /** Bytes on their way to one client at which its backend is no longer pulled … */
  readonly outboxHighWater: number;
  /** … until only so many are left. */
  readonly outboxLowWater: number;
  /** Milliseconds that a client may take to come down from the high to the low water mark. */
  readonly slowClientMs: number;
  /** Milliseconds that a client may take to end a connection that the server has ended; then it is cut. */
  readonly closeMs: number;
  /** Milliseconds in which the head of an HTTP request must have arrived. */
  readonly requestHeaderMs: number;
  /** Milliseconds in which a whole HTTP request must have arrived, body included. */
  readonly requestMs: number;
  /** Milliseconds that an HTTP connection may idle between requests; longer than the 60 s of most load balancers. */
  readonly keepAliveMs: number;
  /** Milliseconds that the page waits for the names of the models. */
  readonly pageMs: number;
};

export const DEFAULT_TRANSPORT_LIMITS: TransportLimits = {
  maxMessageBytes: 64 * 1024 * 1024,
  queuedBytes: 64 * 1024 * 1024,
  outboxHighWater: 1024 * 1024,
  outboxLowWater: 256 * 1024,
  slowClientMs: 60_000,
  closeMs: 5000,
  requestHeaderMs: 30_000,
  requestMs: 300_000,
  keepAliveMs: 75_000,
  pageMs: 2000,
};
