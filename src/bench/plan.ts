import type { LinkSpec } from "./link.ts";
import type { Recording } from "./recording.ts";
import type { Way } from "./requests.ts";
import type { Target } from "./target.ts";
import type { Upstream, UpstreamOptions } from "./upstream.ts";

/** What can be measured, in the order in which it is. */
export const MEASURES = ["memory", "waves", "bytes", "latency", "load", "runs"] as const;
export type Measure = (typeof MEASURES)[number];

/** The name under which the model itself is measured, with no server in front of it. */
export const DIRECT = "direct";

export type Plan = {
  readonly version: string;
  readonly targets: readonly (Target & { readonly isOwn: boolean })[];
  /** The scripted model that stands behind every target. */
  readonly upstream: Upstream;
  /** How it behaves in whole runs; everywhere else it answers at once. */
  readonly model: UpstreamOptions;
  readonly recording: Recording;
  readonly measures: readonly Measure[];
  readonly modes: readonly Way[];
  /** Contexts for latencies, in bytes. */
  readonly sizes: readonly number[];
  readonly latencyTurns: number;
  /** Null is no link: straight to the target. */
  readonly links: readonly (LinkSpec | null)[];
  readonly sessions: number;
  readonly idleSessions: number;
  /** How often so many sessions are opened and closed. */
  readonly waves: number;
  readonly rounds: number;
  /** Called with what is being done, and how much of everything is done. */
  readonly onProgress: (doing: string, done: number, total: number) => void;
};

/** A target in one mode, plain or compressed: what is measured in turns. */
export type Entry = { readonly target: Target; readonly mode: Way; readonly compress: boolean };

/** Everything that a plan compares. Uncompressed, the model itself is among it, once. */
export function entriesOf({ targets, modes, upstream }: Plan, compress: boolean): readonly Entry[] {
  const model: Target = { name: DIRECT, url: upstream.url, key: null, pid: null };
  return modes.flatMap((mode): readonly Entry[] => {
    if (mode === "direct") return compress ? [] : [{ target: model, mode, compress }];
    return targets.map((target) => ({ target, mode, compress }));
  });
}
