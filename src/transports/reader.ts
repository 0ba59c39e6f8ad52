import { setImmediate } from "node:timers/promises";
import { type ClientEvent, parseClientEvent } from "../protocol/client-event.ts";
import { parseJson } from "../protocol/codec.ts";

/** What a message says, or what it was and why it cannot be read. */
export type Reading = { readonly event: ClientEvent } | { readonly thrown: unknown; readonly value: unknown };

/** A message that takes longer to read than a turn of others should wait. */
export const LARGE_MESSAGE_BYTES = 512 * 1024;

/**
 * Reads the messages of one client in the order of their arrival. A large one is read in steps, between which other
 * clients have their turn; what comes behind it waits.
 */
export class Reader {
  #large: Promise<unknown> | null = null;

  read(data: Buffer): Reading | Promise<Reading> {
    if (this.#large === null && data.length < LARGE_MESSAGE_BYTES) return readAtOnce(data);
    const reading = readAfter(this.#large, data);
    this.#large = reading;
    // Rejections are readings, too, so this one never fails.
    void reading.then(() => {
      if (this.#large === reading) this.#large = null;
    });
    return reading;
  }
}

function readAtOnce(data: Buffer): Reading {
  let value: unknown = null;
  try {
    // The library has checked that it is UTF-8.
    value = parseJson(data.toString());
    return { event: parseClientEvent(value) };
  } catch (thrown) {
    return { thrown, value };
  }
}

async function readAfter(before: Promise<unknown> | null, data: Buffer): Promise<Reading> {
  await before;
  if (data.length < LARGE_MESSAGE_BYTES) return readAtOnce(data);
  let value: unknown = null;
  try {
    await setImmediate();
    const text = data.toString();
    await setImmediate();
    value = parseJson(text);
    await setImmediate();
    return { event: parseClientEvent(value) };
  } catch (thrown) {
    return { thrown, value };
  }
}
