import type { IncomingHttpHeaders } from "node:http";
import type { Echo } from "../protocol/echo.ts";
import type { TransportPolicy } from "./policy.ts";

/** Clients that never look at the instructions and tools of a response, by the name that they give themselves. */
const UNINTERESTED = /^(codex|opencode|pi\b|agents\/)|\bai-sdk\//i;

/**
 * What a client hears back of its own request. By itself that is nothing for Codex with its SDK and editors, opencode, pi,
 * the Agents SDK and the AI SDK, known by `originator` or `user-agent`, and for whoever speaks their WebSocket dialect in
 * `openai-beta`; and everything for anybody else.
 */
export function echoFor(policy: Pick<TransportPolicy, "echo">, headers: IncomingHttpHeaders): Echo {
  if (policy.echo !== "auto") return policy.echo;
  const { originator = "", "user-agent": agent = "", "openai-beta": beta = "" } = headers;
  const isKnown = UNINTERESTED.test(String(originator)) || UNINTERESTED.test(agent);
  return isKnown || String(beta).includes("responses_websockets=") ? "minimal" : "full";
}
