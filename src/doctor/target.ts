/** Where the server is, over both of its protocols. */
export type Target = {
  /** The base of the API, such as `http://127.0.0.1:4400/v1`; without a slash at its end. */
  readonly base: string;
  /** Where responses are created: the same path for POST and for the WebSocket upgrade. */
  readonly responses: string;
  readonly webSocket: string;
  readonly health: string;
  readonly ready: string;
  /** Without the brackets of IPv6. */
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  /** Whether it is this very machine. */
  readonly isLocal: boolean;
};

/** Why a URL cannot be that of a server, as a sentence for whoever gave it. */
export class TargetError extends Error {
  override readonly name = "TargetError";
}

/**
 * Reads a base URL as people write it: of either protocol, with or without `/v1`, or even with `/v1/responses`.
 * @throws TargetError
 */
export function parseTarget(url: string): Target {
  let parsed: URL;
  try {
    parsed = new URL(/^\w+:\/\//.test(url) ? url : `http://${url}`);
  } catch (error) {
    throw new TargetError(`'${url}' is not a URL; give the base URL of a server, such as http://127.0.0.1:4400`, {
      cause: error,
    });
  }
  const scheme = parsed.protocol.replace(/^ws/, "http");
  if (scheme !== "http:" && scheme !== "https:") {
    throw new TargetError(`'${parsed.protocol}//' is not a scheme of a server; use http, https, ws or wss`);
  }
  const path = parsed.pathname.replace(/\/+$/, "").replace(/\/responses$/, "") || "/v1";
  const base = `${scheme}//${parsed.host}${path}`;
  const outside = base.replace(/\/v1$/, "");
  const host = parsed.hostname.replace(/^\[|\]$/g, "");
  return {
    base,
    responses: `${base}/responses`,
    webSocket: `${base.replace(/^http/, "ws")}/responses`,
    health: `${outside}/healthz`,
    ready: `${outside}/readyz`,
    host,
    port: Number(parsed.port) || (scheme === "https:" ? 443 : 80),
    isTls: scheme === "https:",
    isLocal: host === "localhost" || host === "::1" || host.startsWith("127."),
  };
}
