import { type ClientEvent, clientEventInSteps, parseClientEvent } from "../protocol/client-event.ts";
import { parseJson } from "../protocol/codec.ts";
import { checkJsonLimits, jsonInSteps, type JsonLimits } from "../protocol/json-steps.ts";
import { longWork } from "./long-work.ts";

/** What a message says, or what it was and why it cannot be read. */
export type Reading = { readonly event: ClientEvent } | { readonly thrown: unknown; readonly value: unknown };

/** A message that takes longer to read than a turn of others should wait. */
export const LARGE_MESSAGE_BYTES = 256 * 1024;

/**
 * Reads the messages of one client in the order of their arrival. A large one is read in steps, between which other
 * clients have their turn; what comes behind it waits.
 */
export class Reader {
  readonly #limits: JsonLimits;
  #large: Promise<unknown> | null = null;

  constructor(limits: JsonLimits) {
    this.#limits = limits;
  }

  read(data: Buffer): Reading | Promise<Reading> {
    if (this.#large === null && data.length < LARGE_MESSAGE_BYTES) return this.#readAtOnce(data);
    const reading = this.#readAfter(this.#large, data);
    this.#large = reading;
    // Rejections are readings, too, so this one never fails.
    void reading.then(() => {
      if (this.#large === reading) this.#large = null;
    });
    return reading;
  }

  #readAtOnce(data: Buffer): Reading {
    let value: unknown = null;
    try {
      checkJsonLimits(data, this.#limits);
      // The library has checked that it is UTF-8.
      value = parseJson(data.toString());
      return { event: parseClientEvent(value) };
    } catch (thrown) {
      return { thrown, value };
    }
  }

  async #readAfter(before: Promise<unknown> | null, data: Buffer): Promise<Reading> {
    await before;
    if (data.length < LARGE_MESSAGE_BYTES) return this.#readAtOnce(data);
    let value: unknown = null;
    try {
      value = await longWork.run(jsonInSteps(data, this.#limits));
      return { event: await longWork.run(clientEventInSteps(value)) };
    } catch (thrown) {
      return { thrown, value };
    }
  }
}
