import type { IncomingMessage } from "node:http";
import { Readable, type Transform } from "node:stream";
import * as zlib from "node:zlib";
import { ApiError } from "../protocol/errors.ts";

/** Bodies of requests that come compressed. They are unpacked on zlib's threads, and no further than a body may be large. */

type Decoder = () => Transform;

const CHUNK_BYTES = 64 * 1024;
/** What RFC 9659 lets a sender demand of a receiver: 8 MiB, as a power of two. */
const ZSTD_WINDOW_LOG = 23;

const DECODERS: ReadonlyMap<string, Decoder> = new Map<string, Decoder>([
  ["gzip", () => zlib.createGunzip({ chunkSize: CHUNK_BYTES })],
  ["deflate", () => zlib.createInflate({ chunkSize: CHUNK_BYTES })],
  ["br", () => zlib.createBrotliDecompress({ chunkSize: CHUNK_BYTES })],
  ...zstd(),
]);

/** Node.js has it from 22.15 and 23.8 on. */
function zstd(): readonly [string, Decoder][] {
  const { createZstdDecompress, constants } = zlib as Partial<typeof zlib>;
  if (createZstdDecompress === undefined) return [];
  const params = { [constants?.ZSTD_d_windowLogMax ?? 0]: ZSTD_WINDOW_LOG };
  return [["zstd", () => createZstdDecompress({ chunkSize: CHUNK_BYTES, params })]];
}

/**
 * What unpacks a body with this `content-encoding`; null for one that comes as it is.
 * @throws ApiError `unsupported_media_type`
 */
export function decoderOf(encoding: string | undefined): Decoder | null {
  const name = (encoding ?? "identity").trim().toLowerCase();
  if (name === "identity" || name === "") return null;
  const decoder = DECODERS.get(name === "x-gzip" ? "gzip" : name);
  if (decoder !== undefined) return decoder;
  const known = [...DECODERS.keys()].join(", ");
  const message = `A body with 'content-encoding: ${name}' cannot be read by this server, only ${known} or no compression.`;
  throw new ApiError("unsupported_media_type", message);
}

/**
 * The body behind a compressed one, read to its end, as the framework takes it.
 * @param limit bytes that the body may have, unpacked
 * @param account called for each unpacked piece; what it throws ends the unpacking
 * @throws ApiError `request_too_large`, `invalid_value`
 */
export async function unpack(
  raw: IncomingMessage,
  open: Decoder,
  limit: number,
  account: (piece: Buffer) => void,
): Promise<Readable> {
  if (Number(raw.headers["content-length"]) > limit) throw tooLarge(limit);
  const decoder = open();
  let receivedEncodedLength = 0;
  raw.on("data", (chunk: Buffer) => {
    receivedEncodedLength += chunk.length;
  });
  raw.once("error", (error) => decoder.destroy(error));
  raw.once("close", () => {
    if (!raw.complete) decoder.destroy();
  });
  raw.pipe(decoder);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      length += chunk.length;
      // Leaving the loop ends the decoder: of a bomb no more is unpacked than this.
      if (length > limit) throw tooLarge(limit);
      account(chunk);
      chunks.push(chunk);
    }
  } catch (error) {
    // What the client still sends is read and thrown away, so that it comes to read the answer.
    raw.resume();
    if (error instanceof ApiError) throw error;
    throw new ApiError("invalid_value", "The body of the request is not what its 'content-encoding' says.", {
      cause: error,
    });
  }
  return Object.assign(Readable.from(chunks, { objectMode: false }), { receivedEncodedLength });
}

/** @param limit bytes */
export function tooLarge(limit: number): ApiError {
  return new ApiError("request_too_large", `The body of a request may have at most ${limit} bytes.`);
}
