import { type Finding, ok, problem, warning } from "../finding.ts";
import { adviceFor, answeredBy, frontOf } from "../front.ts";
import { type Answer, apiErrorOf } from "../http.ts";
import { type Closed, CUT, type Peer, upgrade } from "../peer.ts";
import { messageOf, type Visit } from "../visit.ts";

/** The WebSocket handshake, and what was agreed on in it. */

export type Opened = { readonly findings: readonly Finding[]; readonly isOpen: boolean };

export async function checkUpgrade(visit: Visit): Promise<Opened> {
  const plain = await upgrade(visit);
  if (plain.kind !== "open") {
    const finding = plain.kind === "refused" ? explainRefusal(plain.answer) : explainFailure(plain.reason);
    return { findings: [finding], isOpen: false };
  }
  const pong = await checkPong(plain.peer);
  await plain.peer.leave();
  if (pong.level !== "ok") return { findings: [pong], isOpen: false };
  return { findings: [pong, ...(await checkSubprotocol(visit)), await checkDeflate(visit)], isOpen: true };
}

async function checkPong(peer: Peer): Promise<Finding> {
  try {
    const ms = await peer.ping();
    if (peer.end !== null) return explainClose(peer.end);
    return ok("upgrade", `WebSockets are accepted; a ping takes ${ms.toFixed(1)} ms`, { pingMs: ms });
  } catch (error) {
    const advice =
      "Something on the way takes the handshake and not the frames: look for a proxy that only knows HTTP.";
    return problem("upgrade", `WebSockets are accepted, but a ping has no answer (${messageOf(error)})`, advice);
  }
}

/** Some refuse what they have just accepted; clients then connect again and again. */
function explainClose({ code, reason }: Closed): Finding {
  const text = `WebSockets are accepted, and closed at once (${code}${reason === "" ? "" : ` ${reason}`})`;
  const advice =
    code === CUT
      ? `Something on the way takes the handshake and cuts the connection. ${adviceFor("upgrade")}`
      : "Whoever does not want a connection should refuse the upgrade (401, 403, 429, 503), so that clients learn why.";
  return problem("upgrade", text, advice, { code });
}

/** Why an upgrade was not answered with 101, and what to do. */
function explainRefusal(answer: Answer): Finding {
  const { status, headers } = answer;
  const error = apiErrorOf(answer);
  const by = answeredBy(answer);
  const text = `the upgrade is answered with ${status} by ${by}${error === null ? "" : ` (${error.message})`}`;
  return problem("upgrade", text, adviceOn(status, headers.location, answer), { status });
}

function adviceOn(status: number, location: string | undefined, answer: Answer): string {
  const isServer = apiErrorOf(answer) !== null;
  if (status >= 300 && status < 400) {
    return `WebSocket clients do not follow redirects: use the address that it leads to (${location ?? "not said"}).`;
  }
  switch (status) {
    case 200:
    case 400:
    case 405:
      return `The headers of the upgrade got lost on the way. ${adviceFor("upgrade", answer)}`;
    case 401:
      return "The key is refused for WebSockets: look for a proxy that drops Authorization from upgrades.";
    case 403:
      if (apiErrorOf(answer)?.code === "host_not_allowed") {
        return "The server has no keys and takes only loopback names: --allowed-hosts with the name of this URL, or keys.";
      }
      return isServer
        ? "The server does not allow the origin: --allow-origin, or no Origin header from clients that are no web pages."
        : "Something in front forbids it: a rule, a firewall for web applications, or a switch for WebSockets.";
    case 404:
      return isServer
        ? `There is no WebSocket at this path; or the headers of the upgrade got lost on the way. ${adviceFor("upgrade", answer)}`
        : "The path is not passed on: the proxy has to send /v1/responses to the server, unchanged.";
    case 426:
      return apiErrorOf(answer)?.code === "websocket_disabled"
        ? "WebSockets are switched off there: --websocket on. Until then Codex uses HTTP at once, other clients fail."
        : `The headers of the upgrade got lost on the way. ${adviceFor("upgrade", answer)}`;
    case 429:
    case 503:
      return isServer
        ? "The server takes no more connections now: it is shutting down, overloaded, or at --max-connections."
        : adviceFor("unreachable", answer);
    case 502:
    case 504:
      return adviceFor("unreachable", answer);
    default:
      return frontOf(answer) === null
        ? "The server's log, found by the x-request-id of the answer, may say why."
        : `Look at the log of ${frontOf(answer)}.`;
  }
}

function explainFailure(reason: string): Finding {
  const isSubprotocol = /subprotocol/i.test(reason);
  const advice = isSubprotocol
    ? "The server, or a proxy, names a subprotocol that was not asked for, and clients hang up: leave the header out."
    : `Something on the way cuts upgrades. ${adviceFor("upgrade")}`;
  return problem("upgrade", `the upgrade fails: ${reason}`, advice);
}

/** Web pages and some libraries offer one; the API has none, and must not fail over it. Good news are not told. */
async function checkSubprotocol(visit: Visit): Promise<readonly Finding[]> {
  const offered = await upgrade(visit, { subprotocols: ["responses"] });
  if (offered.kind === "open") {
    await offered.peer.leave();
    return [];
  }
  // The library's own client gives up when none of its offers is taken, which is the answer that the protocol wants.
  if (offered.kind === "failed" && /no subprotocol/i.test(offered.reason)) return [];
  const what = offered.kind === "refused" ? `${offered.answer.status}` : offered.reason;
  const advice = "A subprotocol that nobody knows has to be ignored: look for a proxy that fails over it.";
  return [warning("upgrade", `an upgrade that offers a subprotocol is not accepted (${what})`, advice)];
}

const SAVES = "over 20 tool calls Codex sends 441 kB without it and 32 kB with it";

async function checkDeflate(visit: Visit): Promise<Finding> {
  const result = await upgrade(visit, { deflate: true });
  if (result.kind !== "open") {
    const advice = "Offers that are not wanted have to be declined, not refused; look for a proxy that fails over it.";
    return problem("deflate", "an upgrade that offers compression is not accepted", advice);
  }
  const extensions = result.peer.headers["sec-websocket-extensions"] ?? "";
  await result.peer.leave();
  return describeDeflate(extensions, visit.target.isLocal);
}

/** What the server has agreed to, out of its `sec-websocket-extensions`. */
export function describeDeflate(extensions: string, isLocal: boolean): Finding {
  if (!extensions.includes("permessage-deflate")) {
    const text = "messages are not compressed";
    if (isLocal) return ok("deflate", `${text}: between programs on one machine that would only cost time`);
    const advice = `Compression is worth it on a network: ${SAVES}. --deflate on; or a proxy drops Sec-WebSocket-Extensions; or one on the server's own machine sends no X-Forwarded-For.`;
    return warning("deflate", text, advice);
  }
  const lost = /client_no_context_takeover/.test(extensions);
  if (lost) {
    const advice =
      "Each message is compressed by itself, so what repeats each turn is sent again: allow context takeover.";
    return warning("deflate", "messages are compressed, but nothing is remembered between them", advice);
  }
  return ok("deflate", `messages are compressed: ${SAVES}`, { extensions });
}
