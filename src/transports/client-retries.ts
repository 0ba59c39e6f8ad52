import type { IncomingHttpHeaders } from "node:http";

/** Clients that send a refused request again by themselves, and do not count their tries in a header. */
const RETRYING = /^codex|\bai-sdk\//i;

/**
 * How often the backend may send the request of this client again; undefined leaves it to the settings. Tries of the client
 * multiply those of the server, so a client that is known to retry gets one further try with its first request, and none
 * with the next (OpenAI's SDKs count in `x-stainless-retry-count`).
 */
export function retriesFor(headers: IncomingHttpHeaders): number | undefined {
  const count = headers["x-stainless-retry-count"];
  if (count !== undefined) return count === "0" ? 1 : 0;
  const { originator = "", "user-agent": agent = "" } = headers;
  return RETRYING.test(String(originator)) || RETRYING.test(agent) ? 1 : undefined;
}
