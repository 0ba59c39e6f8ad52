/** Every bound of the engine, by name. */
export type Limits = {
  /** Bytes of nodes that one session keeps. */
  readonly sessionBytes: number;
  /** Turns that run at the same time, over all transports: of one server, and of one tenant. */
  readonly turns: number;
  readonly turnsPerTenant: number;
  /** Turns of one session that run at the same time, over all its lanes. */
  readonly turnsInFlight: number;
  /** Turns of one session that may wait. */
  readonly queuedTurns: number;
  /** Lanes that one session may name, in all its life. */
  readonly laneNames: number;
  /** Steers that one response may hold. */
  readonly pendingSteers: number;
  /** Turns of one server that outlive their clients, at the same time. */
  readonly detachedRuns: number;
  /** The same, of one tenant. */
  readonly detachedRunsPerTenant: number;
  /** Tokens, and bytes, of a context beyond which it is compacted where the request allows it and names no threshold. */
  readonly compactTokens: number;
  readonly compactBytes: number;
  /** Stored responses that are loaded for the items that one input refers to. */
  readonly referencedResponses: number;
  /** How long a server holds a run or a conversation without renewing its lease, in milliseconds. */
  readonly leaseMs: number;
  /** Bytes of a turn's context: its chain, its input, and what both refer to; and days that a conversation is kept, 0 is for good. */
  readonly contextBytes: number;
  readonly conversationDays: number;
  /** Items that a conversation may have: a page, and a change of its items, costs as much as it has. */
  readonly conversationItems: number;
  /** Milliseconds that the first event of a turn waits for the backend to accept the request; 0 does not wait. */
  readonly acceptMs: number;
};

export const DEFAULT_LIMITS: Limits = {
  sessionBytes: 64 * 1024 * 1024,
  turns: 1024,
  turnsPerTenant: 256,
  turnsInFlight: 16,
  queuedTurns: 64,
  laneNames: 32,
  pendingSteers: 32,
  detachedRuns: 256,
  detachedRunsPerTenant: 64,
  compactTokens: 100_000,
  compactBytes: 16 * 1024 * 1024,
  referencedResponses: 256,
  leaseMs: 15_000,
  contextBytes: 256 * 1024 * 1024,
  conversationDays: 0,
  conversationItems: 10_000,
  acceptMs: 0,
};
