/** Why a store wrote nothing of a put. */
export type WhyNotPut =
  /** The id was deleted, and may not come back. */
  | "deleted"
  /** Another put came first. */
  | "exists"
  /** A record that was to change with the node has changed since it was read. */
  | "outdated";

const MESSAGE = {
  deleted: "The response was deleted, and its id may not be used again.",
  exists: "A response with this id is stored already.",
  outdated: "A record that belongs to the response has changed.",
} as const satisfies Record<WhyNotPut, string>;

/** A put that has changed nothing. */
export class NotPut extends Error {
  override readonly name = "NotPut";
  readonly why: WhyNotPut;

  constructor(why: WhyNotPut) {
    super(MESSAGE[why]);
    this.why = why;
  }
}
