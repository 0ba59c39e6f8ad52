import { UsageError } from "./violation.ts";

/** Where the server is, over both of its protocols. */
export type Target = {
  /** The base of the API, such as `http://127.0.0.1:4400/v1`; without a slash at its end. */
  readonly base: string;
  /** Where responses are created: the same path for POST and for the WebSocket upgrade. */
  readonly webSocket: string;
  /** Whether a certificate that nobody vouches for is taken. */
  readonly insecure: boolean;
};

/** Reads a base URL as people write it: of either protocol, with or without `/v1`, or even with `/v1/responses`. */
export function parseTarget(url: string, insecure = false): Target {
  let parsed: URL;
  try {
    parsed = new URL(/^\w+:\/\//.test(url) ? url : `http://${url}`);
  } catch {
    throw new UsageError(`'${url}' is not a URL; give the base URL of a server, such as http://127.0.0.1:4400`);
  }
  const scheme = parsed.protocol.replace(/^ws/, "http");
  if (scheme !== "http:" && scheme !== "https:") {
    throw new UsageError(`'${parsed.protocol}//' is not a scheme of a server; use http, https, ws or wss`);
  }
  const path = parsed.pathname.replace(/\/+$/, "").replace(/\/responses$/, "") || "/v1";
  const base = `${scheme}//${parsed.host}${path}`;
  return { base, webSocket: `${base.replace(/^http/, "ws")}/responses`, insecure };
}
