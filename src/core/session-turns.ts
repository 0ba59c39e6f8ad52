import type { ApiError } from "../protocol/errors.ts";
import type { MemoryLease } from "./budget.ts";
import type { Detached } from "./detached.ts";
import type { Job } from "./lanes.ts";
import type { ResponseNode } from "./node.ts";
import type { Emit } from "./ports.ts";
import type { Steers } from "./steering.ts";
import type { Turn, TurnEnd } from "./turn.ts";

/** What a session knows of each of its turns, and of where a response of its was made. */

/** One turn as its transport sees it. */
export type TurnSink = {
  readonly emit: Emit;
  /** Told of a refusal in the turn's place in its lane: after what earlier turns say and before a later one speaks. */
  readonly refuse?: (error: ApiError) => void;
  /** What the turn has when it outlives its client. */
  readonly detached?: Detached;
  /** Size of the request as it came, in bytes. */
  readonly bytesIn: number;
  /** What the request holds, until the response that is made of it is kept. */
  readonly lease?: MemoryLease;
  /** Bytes sent of this turn so far. */
  readonly bytesOut: () => number;
};

/** What a lane is told of a turn. */
export type Entry = {
  readonly lane: string;
  /** The response that the client continues with it; null for a turn that is only to be refused. */
  readonly continues: string | null;
  /** The response that is forgotten when the turn fails. */
  readonly forgets: string | null;
  readonly refuse: TurnSink["refuse"] | null;
  readonly run: () => Promise<TurnEnd>;
};
export type TurnJob = Job & Pick<Entry, "continues">;

/** What a turn has beside its request. */
export type Conduct = Pick<Entry, "lane"> & {
  readonly sink: TurnSink;
  /** Its parent, when that was held on to while the turn waited. */
  readonly pinned: ResponseNode | null;
  /** The steers that it applies. */
  readonly steers: Steers | null;
};

/** A turn that can be named by its response's id. */
export type Running = { readonly turn: Turn; readonly lane: string; readonly steers: Steers };

/** Where a response was made, and the numbers of what is still said of it. */
export type Origin = { readonly lane: string; readonly numbers: Turn["numbers"] };
