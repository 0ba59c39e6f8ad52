import { keepOpaque, type OpaqueEvent } from "../protocol/opaque.ts";

/** Opaque fields of the items of one response, until the items are done. */
export class OpenOpaque {
  readonly #ofCalls = new Map<number, OpaqueEvent>();
  #ofMessage: OpaqueEvent | null = null;

  take(event: OpaqueEvent): void {
    if (event.key === null) this.#ofMessage = event;
    else this.#ofCalls.set(event.key, event);
  }

  /** The call of this key is done, as this item. */
  call<T extends object>(key: number, item: T): T {
    const event = this.#ofCalls.get(key);
    if (event !== undefined) keepOpaque(item, { origin: event.origin, call: event.fields });
    this.#ofCalls.delete(key);
    return item;
  }

  /** The output is complete: what belongs to the message is kept beside its first item. */
  output<T extends object>(items: readonly T[]): readonly T[] {
    const [first] = items;
    const event = this.#ofMessage;
    if (event !== null && first !== undefined) keepOpaque(first, { origin: event.origin, message: event.fields });
    return items;
  }
}
