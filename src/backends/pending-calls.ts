import { OpenCalls } from "../protocol/open-calls.ts";

export type OpenCall = {
  readonly id: string;
  readonly name: string;
  /** A call of another kind than function and custom. */
  readonly isForeign: boolean;
  /** What the model reads in the place of an output that need not come; null where one must. */
  readonly instead: string | null;
};

type Kind = "owed" | "free" | "foreign";
/** Where an output looks for its call: among those of its own kind first. */
const OWN: readonly Kind[] = ["owed", "free", "foreign"];
const FOREIGN: readonly Kind[] = ["foreign", "owed", "free"];

/** Calls in finished messages that have no answer yet, those that must have one apart from the others. */
export class PendingCalls {
  readonly #open = { owed: new OpenCalls(idOf), free: new OpenCalls(idOf), foreign: new OpenCalls(idOf) };

  constructor(calls: readonly OpenCall[] = []) {
    for (const call of calls) this.add(call);
  }

  get size(): number {
    return this.owed + this.#open.free.size + this.#open.foreign.size;
  }

  /** Calls that must have an answer before anything else is said. */
  get owed(): number {
    return this.#open.owed.size;
  }

  all(): readonly OpenCall[] {
    return OWN.flatMap((kind) => this.#open[kind].all());
  }

  add(call: OpenCall): void {
    this.#open[call.isForeign ? "foreign" : call.instead === null ? "owed" : "free"].add(call);
  }

  /** Takes the oldest call with this id, of the same kind as the output where there is one. */
  answer(id: string, isForeign: boolean): boolean {
    return (isForeign ? FOREIGN : OWN).some((kind) => this.#open[kind].answer(id) !== undefined);
  }
}

function idOf({ id }: OpenCall): string {
  return id;
}
