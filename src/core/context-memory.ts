import { ApiError } from "../protocol/errors.ts";
import type { Item } from "../protocol/items.ts";
import type { MemoryLease } from "./budget.ts";
import { chainBytes, measure, measureItems, type ResponseNode } from "./node.ts";

/** What a loaded chain takes beside itself: its form for the model server. */
const CHAIN_FACTOR = 2;
/** What a sealed text takes when it is open: the text, its items, and their form for the model server. */
const SEALED_FACTOR = 3;
/** What an output takes: the item, its record, and the frames that tell of it. */
const OUTPUT_FACTOR = 3;
/** The most that zlib makes of a byte. */
const INFLATION = 1032;

/** The memory of one context: what is loaded, looked up and unsealed for it, and the longest that it may be. */
export class ContextMemory {
  readonly #lease: MemoryLease;
  readonly #contextBytes: number;
  #unsealed = 0;

  /** @param contextBytes the most that a context may have */
  constructor(lease: MemoryLease, contextBytes = Infinity) {
    this.#lease = lease;
    this.#contextBytes = contextBytes;
  }

  /** Takes in a chain before it is loaded. @throws ApiError `context_length_exceeded`, and those of `MemoryLease.grow` */
  readonly chain = (bytes: number): void => {
    this.checkContext(bytes);
    this.#lease.grow(bytes * CHAIN_FACTOR);
  };

  /** Takes in items that stand where the input only refers to them. */
  items(bytes: number): void {
    this.checkContext(bytes);
    this.#lease.grow(bytes * CHAIN_FACTOR);
  }

  /** Takes in what the model says. */
  output(bytes: number): void {
    this.#lease.grow(bytes);
  }

  /** @throws ApiError `context_length_exceeded` */
  checkContext(bytes: number): void {
    if (bytes > this.#contextBytes) throw contextTooLong(this.#contextBytes);
  }

  /**
   * Reads a sealed text, and no more of it than there is room for.
   * @param open throws a RangeError when the text is longer than the limit that it is given
   */
  unseal(sealed: string, open: (limit: number) => string | undefined): string | undefined {
    const ofContext = this.#contextBytes - this.#unsealed;
    const ofMemory = Math.floor(this.#lease.free / SEALED_FACTOR);
    const limit = Math.min(ofContext, ofMemory, sealed.length * INFLATION);
    let text: string | undefined;
    try {
      text = open(limit);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      if (ofContext <= ofMemory) throw contextTooLong(this.#contextBytes);
      this.#lease.grow((limit + 1) * SEALED_FACTOR);
      throw error;
    }
    if (text === undefined) return undefined;
    this.#unsealed += text.length;
    this.#lease.grow(text.length * SEALED_FACTOR);
    return text;
  }

  release(): void {
    this.#lease.release();
  }
}

function contextTooLong(bytes: number): ApiError {
  const message =
    `The context of this request, with all that came before it, has more than the ${bytes} bytes that a context may have ` +
    "on this server. Start a new conversation, or compact this one.";
  return new ApiError("context_length_exceeded", message, { param: "input" });
}

/** Inputs that are smaller than this by any count are not measured. */
const UNMEASURED_BYTES = 16 * 1024;

/**
 * The size of a chain with an input behind it, in bytes about; the input of a small request is taken for nothing.
 * @param bytesIn size of the request that brought the input
 */
export function contextBytes(parent: ResponseNode | null, input: readonly Item[], bytesIn: number): number {
  return chainBytes(parent) + (bytesIn < UNMEASURED_BYTES ? bytesIn : measureItems(input));
}

/** What counts of an event of a backend. */
type OutputEvent = { readonly type: string; readonly delta?: string; readonly item?: Item; readonly fields?: object };

/** What an event of a backend takes, beside the text that it brings. */
const EVENT_BYTES = 128;

/** What a batch of a backend's events takes while the response is made and recorded. */
export function outputBytes(batch: readonly OutputEvent[]): number {
  let bytes = 0;
  for (const event of batch) {
    bytes += EVENT_BYTES;
    if (event.delta !== undefined) bytes += OUTPUT_FACTOR * event.delta.length;
    else if (event.item !== undefined) bytes += OUTPUT_FACTOR * measure(event.item);
    else if (event.fields !== undefined) bytes += OUTPUT_FACTOR * measure(event.fields);
  }
  return bytes;
}
