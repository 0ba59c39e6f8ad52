import type { Trial } from "./trial.ts";
import type { Level } from "./types.ts";

/** One rule of the protocol, and how it is proved over the wire. */
export type Case = {
  /** `group.short-name`: never changes once published, since people filter and compare by it. */
  readonly id: string;
  readonly level: Level;
  /** The rule as a sentence. */
  readonly title: string;
  /** Its id in PROTOCOL.md, where it has one. */
  readonly rule?: string;
  /** Where the rule comes from. */
  readonly from: string;
  /** What to look at first in a server that breaks it. */
  readonly mend: string;
  /** Runs while nothing else runs: it would disturb other cases, or they it. */
  readonly alone?: true;
  /** How many times as long as a single wait it may take; for cases of many turns, since models may be slow. */
  readonly waits?: number;
  /** Returns when the rule holds, throws `Violation` when it does not, `Skip` when that cannot be told here. */
  readonly run: (trial: Trial) => Promise<void>;
};

export type Group = {
  readonly name: string;
  /** What the group is about, for the summary table. */
  readonly title: string;
  readonly cases: readonly Case[];
};
