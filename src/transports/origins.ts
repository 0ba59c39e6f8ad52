import type { IncomingHttpHeaders } from "node:http";
import { ApiError } from "../protocol/errors.ts";
import type { TransportPolicy } from "./policy.ts";

/**
 * Refuses WebSockets that web pages open from elsewhere: a browser would carry them past every firewall. Programs send no
 * origin and are not asked for one.
 * @throws ApiError `origin_not_allowed`
 */
export function checkOrigin(
  { allowedOrigins }: Pick<TransportPolicy, "allowedOrigins">,
  { origin, host }: IncomingHttpHeaders,
): void {
  if (origin === undefined || allowedOrigins.includes("*")) return;
  const given = origin.toLowerCase();
  if (allowedOrigins.includes(given) || isOwn(given, host)) return;
  throw new ApiError("origin_not_allowed", "Web pages of this origin may not connect to this server.");
}

/** Whether it is the host that the client has asked for. The scheme may differ: TLS may have ended at a proxy. */
function isOwn(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const { protocol, host: page } = new URL(origin);
  const asked = `${protocol}//${host}`;
  return /^https?:$/.test(protocol) && URL.canParse(asked) && page === new URL(asked).host;
}
