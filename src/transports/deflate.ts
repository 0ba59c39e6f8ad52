import type { IncomingMessage } from "node:http";
import type { PerMessageDeflateOptions } from "ws";
import type { TransportPolicy } from "./policy.ts";

/**
 * Compression of WebSocket messages (RFC 7692). The client's window lasts over messages, so instructions and tools that
 * come again each turn cost next to nothing; that is what it is for. `bench/deflate.bench.ts` measures it.
 */
export const DEFLATE: PerMessageDeflateOptions = {
  // The level is zlib's own: on echoes of tools, faster ones save no time and leave four times as many bytes.
  zlibDeflateOptions: { memLevel: 7, chunkSize: 4096 },
  zlibInflateOptions: { chunkSize: 4096 },
  // The windows keep their full 32 KiB unless the client asks for less: with 8 KiB the tools of the last turn are out of
  // sight, and echoes are thirteen times as large. Asking for a size here would refuse clients that ask for another.
  concurrencyLimit: 8,
};

const PARAMETER =
  /^(client_max_window_bits(=("?)([89]|1[0-5])\3)?|server_max_window_bits=("?)([89]|1[0-5])\5|(client|server)_no_context_takeover)$/;

/**
 * Whether a client's messages are to be compressed. One on this machine gains nothing but work from it, unless it is a
 * proxy that speaks for another. An offer that is not well-formed is declined, not punished.
 */
export function wantsDeflate({ deflate }: Pick<TransportPolicy, "deflate">, request: IncomingMessage): boolean {
  const { headers, socket } = request;
  if (deflate === "off" || !isOffered(headers["sec-websocket-extensions"] ?? "")) return false;
  const isForAnother = headers["x-forwarded-for"] !== undefined || headers.forwarded !== undefined;
  return deflate === "on" || isForAnother || !isLocal(socket.remoteAddress ?? "");
}

function isOffered(extensions: string): boolean {
  const offers = extensions.split(",").map((offer) => offer.split(";").map((part) => part.trim().toLowerCase()));
  const relevant = offers.filter(([name]) => name === "permessage-deflate");
  return (
    relevant.length > 0 &&
    relevant.every(([, ...rest]) => areUnique(rest) && rest.every((part) => PARAMETER.test(part)))
  );
}

function areUnique(parameters: readonly string[]): boolean {
  return new Set(parameters.map((part) => part.split("=", 1)[0])).size === parameters.length;
}

function isLocal(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}
