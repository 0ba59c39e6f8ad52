/** How much a rule weighs: without the musts it is not the protocol; the shoulds are what clients lean on. */
export const LEVELS = ["must", "should", "extension"] as const;

export type Level = (typeof LEVELS)[number];

export type Json = { readonly [field: string]: unknown };

/** An event as it came over the wire. */
export type Frame = Json & { readonly type: string };

export type WireItem = Json & { readonly type: string };

/** What every case may rely on in a response; the rest is looked at by the cases that are about it. */
export type WireResponse = Json & {
  readonly id: string;
  readonly status: string;
  readonly output: readonly WireItem[];
};

/** One `response.create` and everything that answered it. */
export type Turn = {
  readonly frames: readonly Frame[];
  readonly last: Frame;
  /** What the last event shows; null when the turn ended in an `error` event. */
  readonly response: WireResponse | null;
};
