import type { Item } from "../protocol/items.ts";
import { type ChatToolCall, type ShapeState, UNSHAPED } from "./message-shaper.ts";
import { Rope } from "./rope.ts";

/** How far items have become chat messages: a value, so that contexts continue from it. */

/** The assistant message that is still growing. */
export type Run = {
  readonly text: string | null;
  readonly reasoning: string;
  readonly calls: readonly ChatToolCall[];
  readonly open: readonly OpenCall[];
};

export type OpenCall = {
  readonly id: string;
  /** A call of another kind than function and custom: nobody has checked that an answer will come. */
  readonly isForeign: boolean;
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
  /** What the dialect still holds back. */
  readonly shape: ShapeState;
};

export const START: State = {
  closed: Rope.empty,
  isLeadOpen: false,
  run: null,
  open: [],
  deferred: [],
  shape: UNSHAPED,
};

export const EMPTY_RUN: Run = { text: null, reasoning: "", calls: [], open: [] };
