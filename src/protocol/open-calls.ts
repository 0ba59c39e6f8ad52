type Entry<Call> = { readonly call: Call; isOpen: boolean };
type Queue<Call> = { readonly entries: Entry<Call>[]; next: number };

/**
 * Tool calls that wait for their outputs, in the order in which they were made. Each step takes the same time however many
 * calls are open. An id may be open more than once; an output then answers the oldest of its calls.
 */
export class OpenCalls<Call> {
  readonly #entries: Entry<Call>[] = [];
  readonly #byId = new Map<string, Queue<Call>>();
  readonly #idOf: (call: Call) => string;
  #size = 0;
  #oldest = 0;

  constructor(idOf: (call: Call) => string, calls: Iterable<Call> = []) {
    this.#idOf = idOf;
    for (const call of calls) this.add(call);
  }

  get size(): number {
    return this.#size;
  }

  /** The oldest call that is open. */
  get first(): Call | undefined {
    while (this.#entries[this.#oldest]?.isOpen === false) this.#oldest += 1;
    return this.#entries[this.#oldest]?.call;
  }

  /** The calls that are open, oldest first. */
  all(): Call[] {
    return this.#entries.flatMap(({ call, isOpen }) => (isOpen ? [call] : []));
  }

  add(call: Call): void {
    const id = this.#idOf(call);
    const entry = { call, isOpen: true };
    this.#entries.push(entry);
    this.#size += 1;
    const queue = this.#byId.get(id);
    if (queue === undefined) this.#byId.set(id, { entries: [entry], next: 0 });
    else queue.entries.push(entry);
  }

  /** Takes the oldest open call with this id; undefined when there is none. */
  answer(id: string): Call | undefined {
    const queue = this.#byId.get(id);
    const entry = queue?.entries[queue.next];
    if (queue === undefined || entry === undefined) return undefined;
    queue.next += 1;
    if (queue.next === queue.entries.length) this.#byId.delete(id);
    entry.isOpen = false;
    this.#size -= 1;
    return entry.call;
  }
}
