/**
 * Keys of web pages. A browser sends no `authorization` with an upgrade, so pages offer their key as a subprotocol, in the
 * form that OpenAI's Realtime API has introduced, beside one that the server can select.
 */

const KEY_PREFIX = "openai-insecure-api-key.";
/** Subprotocols that say something about the client, and are no protocols. */
const NO_PROTOCOL = /^openai-(?:insecure-api-key|organization|project|beta)\./;

/** The `authorization` of an upgrade: its header, or else the key among its subprotocols. */
export function authorizationOf(headers: {
  readonly authorization?: string | undefined;
  readonly "sec-websocket-protocol"?: string | undefined;
}): string | undefined {
  if (headers.authorization !== undefined) return headers.authorization;
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((each) => each.trim());
  const key = offered.find((each) => each.startsWith(KEY_PREFIX))?.slice(KEY_PREFIX.length);
  return key === undefined ? undefined : `Bearer ${key}`;
}

/** The subprotocol to select: the first that is one. A key is never sent back. */
export function selectProtocol(offered: ReadonlySet<string>): string | false {
  return [...offered].find((each) => !NO_PROTOCOL.test(each)) ?? false;
}
