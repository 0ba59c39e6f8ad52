import { isIPv4 } from "node:net";

/** Names by which a request may address the server: `Host`, or the authority of an absolute request target. */

/** A host with an optional port. No user name, no zone, no percent signs; one dot may end a name. */
const AUTHORITY = /^(?:(\[[0-9a-f:.]{2,45}\])|([a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?)\.?)(?::\d{0,5})?$/i;

/** The host of an authority in its canonical form; null when it is malformed. */
function hostOf(authority: string): string | null {
  const [, address, name] = AUTHORITY.exec(authority) ?? [];
  if (name !== undefined) return name.toLowerCase();
  if (address === undefined || !URL.canParse(`http://${address}`)) return null;
  return new URL(`http://${address}`).hostname;
}

/** Whether only this machine can have the name: no DNS server decides where these lead. */
function isLoopbackName(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost") || host === "[::1]") return true;
  return isIPv4(host) && host.startsWith("127.");
}

/**
 * Whether the server may be addressed so.
 * @param allowed further hosts: `name`, `*.name` for what is below it, or `*` for all
 */
export function isAllowedHost(authority: string | undefined, allowed: readonly string[]): boolean {
  if (allowed.includes("*")) return true;
  const host = authority === undefined ? null : hostOf(authority);
  if (host === null) return false;
  return isLoopbackName(host) || allowed.some((entry) => matches(entry, host));
}

function matches(entry: string, host: string): boolean {
  return entry.startsWith("*.") ? host.endsWith(entry.slice(1)) : entry === host;
}

/** The parts of a request target; the authority is null in the usual form, which is a path. */
export function splitTarget(target: string): { readonly authority: string | null; readonly path: string } {
  const [, authority, path] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#\\]*)([^]*)$/i.exec(target) ?? [];
  if (authority === undefined || path === undefined) return { authority: null, path: target };
  return { authority, path: path.startsWith("/") ? path : `/${path}` };
}
