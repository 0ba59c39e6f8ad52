import type { Ending } from "./lease.ts";
import type { Move } from "./recording.ts";
import type { ResponseNode } from "./node.ts";

/** What a turn has that outlives its client. */
export type Detached = {
  readonly responseId: string;
  /** Takes what the events are made from, for whoever comes later. */
  readonly moves: Move[];
  /**
   * Waited for once nothing refuses the turn any more, and before its model is asked; what it throws refuses the turn.
   * @param beginning the turn's place in its chain, and its response before anything was said
   */
  readonly admit: (beginning: Pick<ResponseNode, "parent" | "input" | "response">) => Promise<void>;
  /** What ends the lease of the run in the transaction that puts its node; null when there is no lease. */
  readonly ending: () => Ending | null;
  /** Ends the lease of a run that was not put. */
  readonly release: () => Promise<void>;
};
