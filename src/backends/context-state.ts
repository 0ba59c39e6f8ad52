import type { Item } from "../protocol/items.ts";
import { Rope } from "./rope.ts";

/** What the mapping of items to messages knows at any place between two items. Never changed: forks share it. */

/** The assistant message that is still growing. */
export type Run = {
  readonly text: string | null;
  readonly reasoning: string;
  readonly calls: readonly ChatToolCall[];
  readonly open: readonly OpenCall[];
};

export type ChatToolCall = {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
};

export type OpenCall = {
  readonly id: string;
  readonly name: string;
  /** A call of another kind than function and custom. */
  readonly isForeign: boolean;
  /** What the model reads in the place of an output that need not come; null where one must. */
  readonly instead: string | null;
};

export type State = {
  /** Finished messages, each behind a comma; while the system still has the first word, its message without its end. */
  readonly closed: Rope;
  readonly isLeadOpen: boolean;
  readonly run: Run | null;
  /** Calls in finished messages that have no answer yet. */
  readonly open: readonly OpenCall[];
  /** Items that wait for those answers. */
  readonly deferred: readonly Item[];
  /** Calls that were answered with something in the place of an output, which may still come. */
  readonly late: readonly OpenCall[];
};

export const START: State = { closed: Rope.empty, isLeadOpen: false, run: null, open: [], deferred: [], late: [] };
export const EMPTY_RUN: Run = { text: null, reasoning: "", calls: [], open: [] };
