import { type Readable, Transform } from "node:stream";
import type { FastifyRequest } from "fastify";
import type { MemoryLease } from "../core/budget.ts";

/** What a request takes in memory while it is worked on, accounted while its bytes come in. */

/** Bytes of a value of JSON beside its text: an object, a place in it. */
const VALUE_BYTES = 64;
/** Its bytes as they came, as text, and as the strings of what it says. */
const TEXT_FACTOR = 3;
/** A body, or a message, up to this size is taken for as many values as it could hold. */
const SMALL_BYTES = 16 * 1024;
const SMALL_FACTOR = 24;

const OPENING_BRACE = 0x7b;
const OPENING_BRACKET = 0x5b;
const COMMA = 0x2c;

/** What a message takes until what it asks for has ended. */
export function messageBytes(message: Uint8Array): number {
  return message.length <= SMALL_BYTES ? SMALL_FACTOR * message.length : pieceBytes(message);
}

/** The same of a piece of one. */
export function pieceBytes(piece: Uint8Array): number {
  let values = 0;
  for (const byte of piece) if (byte === COMMA || byte === OPENING_BRACE || byte === OPENING_BRACKET) values += 1;
  return TEXT_FACTOR * piece.length + VALUE_BYTES * values;
}

/** The lease of an HTTP request: released when its answer has left, or its client. */
export function leaseOf(request: FastifyRequest): MemoryLease {
  return request.getDecorator<MemoryLease>("lease");
}

/** Accounts a body while it is read; one that there is no room for ends there. */
export function metered({ raw }: FastifyRequest, lease: MemoryLease): Readable {
  const length = Number(raw.headers["content-length"]);
  if (length <= SMALL_BYTES) {
    lease.grow(SMALL_FACTOR * length);
    return raw;
  }
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        lease.grow(pieceBytes(chunk));
        done(null, chunk);
      } catch (error) {
        done(error as Error);
      }
    },
  });
  // What the client still sends is read and thrown away, so that it comes to read the answer.
  meter.once("error", () => raw.resume());
  raw.once("error", (error) => meter.destroy(error));
  raw.once("close", () => {
    if (!raw.complete) meter.destroy();
  });
  return raw.pipe(meter);
}
