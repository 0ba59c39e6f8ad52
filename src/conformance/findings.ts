import type { Frame } from "./types.ts";
import { shorten, Violation } from "./violation.ts";

/** What a stream of events can be right or wrong in. */
export type Aspect =
  /** created, in_progress, one terminal event, nothing after it. */
  | "lifecycle"
  /** sequence_number is there and rises. */
  | "numbers"
  /** sequence_number counts from 0 and leaves nothing out. */
  | "counting"
  /** Every event has the fields of its type. */
  | "fields"
  /** Items are added in order, empty, and are done once. */
  | "items"
  /** Parts are opened, filled and closed in order. */
  | "parts"
  /** Deltas add up to what the done events say. */
  | "folding"
  /** Ids stay what they were. */
  | "ids"
  /** The last snapshot shows exactly the items that were done. */
  | "output"
  /** Snapshots agree with each other and with their events. */
  | "snapshots";

export type Finding = { readonly aspect: Aspect; readonly message: string; readonly frame: Frame | null };

/** Demands that a stream is right in these aspects. The first finding is shown, the others are counted. */
export function clean(findings: readonly Finding[], ...aspects: readonly Aspect[]): void {
  const [first, ...more] = findings.filter(({ aspect }) => aspects.length === 0 || aspects.includes(aspect));
  if (first === undefined) return;
  const others = more.length === 0 ? "" : ` (and ${more.length} more findings of this kind)`;
  const at = first.frame === null ? "" : ` At: ${shorten(JSON.stringify(first.frame), 300)}`;
  throw new Violation(`${first.message}${others}${at}`);
}
