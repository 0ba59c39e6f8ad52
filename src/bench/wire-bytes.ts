import { createDeflateRaw, constants, gzipSync, type DeflateRaw } from "node:zlib";
import { httpHeaders } from "./http-client.ts";
import { Random } from "./random.ts";
import type { Recording } from "./recording.ts";
import { type Mode, requestOf } from "./requests.ts";

/** What a run uploads, counted without a server: the bytes that its client would write to its TCP connection. */

export type UploadOptions = {
  readonly compress: boolean;
  /** Instructions and tools in the first turn only. */
  readonly once: boolean;
  /** Where the requests would go; its name is part of every HTTP request. */
  readonly url: URL;
  readonly key: string | null;
  /** The ids that the responses would have; without them, some of the usual length. */
  readonly ids?: readonly string[];
};

/** Bytes of each turn's request; over WebSocket the first one has the handshake in it. */
export async function uploadBytes(
  recording: Recording,
  mode: Mode,
  options: UploadOptions,
): Promise<readonly number[]> {
  const ids = options.ids ?? usualIds(recording.turns.length);
  const { once, compress, url, key } = options;
  const encode = mode === "websocket" ? frames(compress) : requests(url, key, compress);
  const sizes: number[] = [];
  for (let index = 0; index < recording.turns.length; index += 1) {
    const previous = ids[index - 1] ?? null;
    sizes.push(await encode(Buffer.from(JSON.stringify(requestOf(recording, mode, index, { previous, once })))));
  }
  if (mode === "websocket") sizes[0] = (sizes[0] ?? 0) + handshake(url, key, compress);
  return sizes;
}

/** Ids as OpenAI has them: 48 hexadecimal digits, of which no compression makes less. */
function usualIds(count: number): readonly string[] {
  const random = new Random(1);
  const digits = (): string => Array.from({ length: 48 }, () => random.integer(0, 15).toString(16)).join("");
  return Array.from({ length: count }, () => `resp_${digits()}`);
}

function requests(url: URL, key: string | null, compress: boolean): (text: Buffer) => number {
  return (text) => {
    const body = compress ? gzipSync(text) : text;
    const headers = httpHeaders(url, key, body.length, compress);
    const lines = headers.reduce((sum, part) => sum + Buffer.byteLength(part) + 2, 0);
    return `POST ${url.pathname}${url.search} HTTP/1.1\r\n`.length + lines + 2 + body.length;
  };
}

function frames(compress: boolean): (text: Buffer) => Promise<number> {
  if (!compress) return async (text) => framed(text.length);
  const deflate = createDeflateRaw();
  return async (text) => framed((await compressed(deflate, text)) - EMPTY_BLOCK);
}

/** The end of a flushed block, which permessage-deflate leaves out. */
const EMPTY_BLOCK = 4;
const MASK = 4;

function framed(length: number): number {
  return (length < 126 ? 2 : length < 65_536 ? 4 : 10) + MASK + length;
}

/** The bytes that a text becomes behind those before it, whose window it shares. */
function compressed(deflate: DeflateRaw, text: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    let length = 0;
    const count = (bytes: Buffer): void => {
      length += bytes.length;
    };
    deflate.on("data", count);
    deflate.once("error", reject);
    deflate.write(text);
    deflate.flush(constants.Z_SYNC_FLUSH, () => {
      deflate.off("data", count);
      deflate.off("error", reject);
      resolve(length);
    });
  });
}

/** The request that opens a WebSocket, as the `ws` package writes it. */
function handshake(url: URL, key: string | null, compress: boolean): number {
  const lines = [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    ...(key === null ? [] : [`authorization: Bearer ${key}`]),
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: 0123456789abcdef012345==",
    "Connection: Upgrade",
    "Upgrade: websocket",
    ...(compress ? ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"] : []),
    `Host: ${url.host}`,
    "",
  ];
  return lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 2, 0);
}
