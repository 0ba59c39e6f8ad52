import { OpenCalls } from "../protocol/open-calls.ts";

export type OpenCall = {
  readonly id: string;
  /** A call of another kind than function and custom: nobody has checked that an answer will come. */
  readonly isForeign: boolean;
};

/** Calls in finished messages that have no answer yet, those that must have one apart from the others. */
export class PendingCalls {
  readonly #open = { own: new OpenCalls(idOf), foreign: new OpenCalls(idOf) };

  constructor(calls: readonly OpenCall[] = []) {
    for (const call of calls) this.add(call);
  }

  get size(): number {
    return this.owed + this.#open.foreign.size;
  }

  /** Calls that must have an answer before anything else is said. */
  get owed(): number {
    return this.#open.own.size;
  }

  all(): readonly OpenCall[] {
    return [...this.#open.own.all(), ...this.#open.foreign.all()];
  }

  add(call: OpenCall): void {
    this.#open[call.isForeign ? "foreign" : "own"].add(call);
  }

  /** Takes the oldest call with this id, of the same kind as the output where there is one. */
  answer(id: string, isForeign: boolean): boolean {
    const [same, other] = isForeign ? (["foreign", "own"] as const) : (["own", "foreign"] as const);
    return (this.#open[same].answer(id) ?? this.#open[other].answer(id)) !== undefined;
  }
}

function idOf({ id }: OpenCall): string {
  return id;
}
