/** Every bound of the transports, by name. */
export type TransportLimits = {
  /** Bytes of one WebSocket message or of one HTTP body. */
  readonly maxMessageBytes: number;
  /** Levels of nesting in the JSON of a message or body. */
  readonly maxDepth: number;
  /** Arrays, objects and members in it: they take far more memory than their text. */
  readonly maxValues: number;
  /** Bytes of messages that may wait on one connection for their turn; beyond that nothing more is read from it. */
  readonly queuedBytes: number;
  /** Bytes on their way to one client at which its backend is no longer pulled … */
  readonly outboxHighWater: number;
  /** … until only so many are left. */
  readonly outboxLowWater: number;
  /** Bytes that may come on top of that from writers who do not wait, such as acknowledgements; then the client is given up. */
  readonly outboxExcess: number;
  /** Milliseconds that a client may take to come down from the high to the low water mark. */
  readonly slowClientMs: number;
  /** Milliseconds that a client may take to end a connection that the server has ended; then it is cut. */
  readonly closeMs: number;
  /** Milliseconds in which the head of an HTTP request must have arrived. */
  readonly requestHeaderMs: number;
  /** Milliseconds in which a whole HTTP request must have arrived, body included. */
  readonly requestMs: number;
  /** Milliseconds in which a WebSocket message must have arrived, from its first byte on. */
  readonly messageMs: number;
  /** Milliseconds that an HTTP connection may idle between requests; longer than the 60 s of most load balancers. */
  readonly keepAliveMs: number;
  /** Bytes of the head of an HTTP request, headers and URL together. */
  readonly maxHeaderBytes: number;
  /** Characters of a URL, query included. */
  readonly maxUrlLength: number;
  /** WebSocket connections at the same time; 0 is no limit. */
  readonly maxConnections: number;
  /** WebSocket connections of one tenant at the same time; 0 is no limit. */
  readonly maxConnectionsPerTenant: number;
  /** Connections that may compress, since each then holds the windows of zlib. */
  readonly maxDeflateConnections: number;
  /** Bytes from which on a message to the client is worth compressing. */
  readonly deflateThreshold: number;
  /** The same for a client that does not get its instructions and tools back, whose snapshots are small for that. */
  readonly minimalDeflateThreshold: number;
  /** Milliseconds after which a WebSocket connection takes no new turns; 0 is no limit … */
  readonly connectionMs: number;
  /** … that the turns it has may still take … */
  readonly connectionGraceMs: number;
  /** … and between the last of them and the closing: clients take a close right behind an answer for a failure. */
  readonly connectionLingerMs: number;
  /** Milliseconds between two pings of a WebSocket connection; 0 is none. */
  readonly pingMs: number;
  /** Pings that a client may leave unanswered, without saying anything else, before it is taken for dead. */
  readonly unansweredPings: number;
  /** Milliseconds that a running turn may be silent before something is said to keep the client patient; 0 is for ever. */
  readonly silenceMs: number;
  /** Messages in a row that are wrong by themselves, after which the connection is closed. */
  readonly errorsInARow: number;
  /** Turns in a row that a client may ask for in vain while the server is overloaded. */
  readonly shedTurnsInARow: number;
  /** Milliseconds by which the event loop may be late before new work is refused; 0 is for ever. */
  readonly maxLoopDelayMs: number;
  /** Seconds after which a client that was refused for load may come back. */
  readonly retryAfterSeconds: number;
  /** Milliseconds that the page waits for the names of the models. */
  readonly pageMs: number;
};

export const DEFAULT_TRANSPORT_LIMITS: TransportLimits = {
  maxMessageBytes: 64 * 1024 * 1024,
  maxDepth: 512,
  maxValues: 1_000_000,
  queuedBytes: 64 * 1024 * 1024,
  outboxHighWater: 1024 * 1024,
  outboxLowWater: 256 * 1024,
  outboxExcess: 64 * 1024 * 1024,
  slowClientMs: 60_000,
  closeMs: 5000,
  requestHeaderMs: 30_000,
  requestMs: 300_000,
  messageMs: 300_000,
  keepAliveMs: 75_000,
  maxHeaderBytes: 32 * 1024,
  maxUrlLength: 8 * 1024,
  maxConnections: 10_000,
  maxConnectionsPerTenant: 2000,
  maxDeflateConnections: 1000,
  deflateThreshold: 4 * 1024,
  minimalDeflateThreshold: 512,
  connectionMs: 60 * 60_000,
  connectionGraceMs: 5 * 60_000,
  connectionLingerMs: 5000,
  pingMs: 25_000,
  unansweredPings: 3,
  silenceMs: 30_000,
  errorsInARow: 16,
  shedTurnsInARow: 16,
  maxLoopDelayMs: 500,
  retryAfterSeconds: 2,
  pageMs: 2000,
};
