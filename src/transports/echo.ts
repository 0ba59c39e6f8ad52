import { randomBytes } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { type Echo, ECHOES, type EventView } from "../protocol/echo.ts";
import { ApiError } from "../protocol/errors.ts";
import type { CreateRequest } from "../protocol/request.ts";
import type { TransportPolicy } from "./policy.ts";

/** A client may choose its echo by this header. */
const ECHO_HEADER = "turnwire-echo";

/** Clients that never look at the instructions and tools of a response, by the name that they give themselves. */
const NEVER = /^(codex|opencode|pi\b|agents\/)|\bai-sdk\//i;
/**
 * OpenAI's SDKs: their helpers take tools from the request that the program made, and keep the response of the last event
 * (`openai` 7.59 for Node, 3.57 for Python: `lib/ResponsesParser`, `lib/streaming/responses`).
 */
const LAST_ONLY = /^(Async)?(AzureOpenAI|OpenAI)\/(JS|Python|Go|Java|Ruby|\.NET)\b|^openai-dotnet\b/i;

/**
 * How much of its own request a client receives again, decided once per connection: by its header, else by the operator's
 * setting, else by what is known of the client (`originator`, `user-agent`, and Codex' WebSocket dialect in `openai-beta`).
 * @throws ApiError `invalid_value` for a header with another value
 */
export function echoFor(policy: Pick<TransportPolicy, "echo">, headers: IncomingHttpHeaders): Echo {
  const asked = headers[ECHO_HEADER];
  if (asked !== undefined) return parseEcho(asked);
  if (policy.echo !== "auto") return policy.echo;
  const { originator = "", "user-agent": agent = "", "openai-beta": beta = "" } = headers;
  const isCodex = String(beta).includes("responses_websockets=");
  if (isCodex || NEVER.test(String(originator)) || NEVER.test(agent)) return "minimal";
  return LAST_ONLY.test(agent) ? "terminal" : "full";
}

function parseEcho(value: string | readonly string[]): Echo {
  const echo = ECHOES.find((each) => each === value);
  if (echo !== undefined) return echo;
  const message = `Invalid value for the header '${ECHO_HEADER}'. Supported values are: ${ECHOES.join(", ")}.`;
  throw new ApiError("invalid_value", message);
}

/** How the events of a turn are shown; a request may ask for another echo than its connection has. */
export function viewOf({ echo, obfuscated }: Pick<CreateRequest, "echo" | "obfuscated">, standard: Echo): EventView {
  return { echo: echo ?? standard, padding: obfuscated ? paddingText() : null };
}

/** Sixteen characters that tell nothing. */
function paddingText(): string {
  return randomBytes(12).toString("base64url");
}
