import type { IncomingHttpHeaders } from "node:http";
import { ApiError } from "../protocol/errors.ts";
import type { TransportPolicy } from "./policy.ts";

/**
 * Whether a web page of another site sends the request: by its `Origin`, or by what the browser says of it in
 * `Sec-Fetch-Site`. Programs send neither. Pages of origins that the operator allows count as the server's own.
 */
export function isForeign(
  { allowedOrigins }: Pick<TransportPolicy, "allowedOrigins">,
  headers: IncomingHttpHeaders,
): boolean {
  if (allowedOrigins.includes("*")) return false;
  const { origin, host } = headers;
  if (origin !== undefined) {
    const given = origin.toLowerCase();
    if (allowedOrigins.includes(given)) return false;
    if (!isOwn(given, host)) return true;
  }
  const site = headers["sec-fetch-site"];
  // `none`: the user has typed the address. Values of later browsers are not trusted.
  return site !== undefined && site !== "same-origin" && site !== "none";
}

/**
 * Refuses requests that web pages of other sites send: a browser would carry them past every firewall.
 * @throws ApiError `origin_not_allowed`
 */
export function checkOrigin(policy: Pick<TransportPolicy, "allowedOrigins">, headers: IncomingHttpHeaders): void {
  if (!isForeign(policy, headers)) return;
  throw new ApiError("origin_not_allowed", "Web pages of this origin may not use this server: see --allow-origin.");
}

/** Whether it is the host that the client has asked for. The scheme may differ: TLS may have ended at a proxy. */
function isOwn(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const { protocol, host: page } = new URL(origin);
  const asked = `${protocol}//${host}`;
  return /^https?:$/.test(protocol) && URL.canParse(asked) && page === new URL(asked).host;
}
