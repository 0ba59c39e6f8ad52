import { type EngineEvent, startServer } from "../../src/index.ts";

/** A server in a process of its own, for `soak-child.ts`: it says what it holds whenever its parent asks. */

/** What the server holds at one moment, after a collection of all garbage. */
export type Holding = {
  readonly heapUsed: number;
  readonly openSessions: number;
  /** Turns, so far, that lost their client. */
  readonly abandoned: number;
  /** What keeps the process alive, sorted: sockets, timers, the listener. */
  readonly resources: readonly string[];
};

const BUDGET_BYTES = 1024 * 1024;

let openSessions = 0;
let abandoned = 0;
const observer = {
  observe(event: EngineEvent): void {
    if (event.kind === "session.opened") openSessions += 1;
    if (event.kind === "session.closed") openSessions -= 1;
    if (event.kind === "turn.ended" && event.outcome === "abandoned") abandoned += 1;
  },
};

function holding(): Holding {
  globalThis.gc?.();
  const { heapUsed } = process.memoryUsage();
  return { heapUsed, openSessions, abandoned, resources: process.getActiveResourcesInfo().toSorted() };
}

// A turn of one token takes no time at this rate, and one of many words lasts until its client has left.
const server = await startServer(
  {
    port: 0,
    logLevel: "silent",
    store: "memory:",
    simRate: 100,
    sessionBytes: BUDGET_BYTES,
    storeBytes: BUDGET_BYTES,
    // However slow the machine is, nobody is to be refused.
    maxLoopDelayMs: 0,
  },
  { observer },
);
process.on("message", () => process.send?.(holding()));
process.on("disconnect", () => {
  void server.close();
});
process.send?.(server.url);
