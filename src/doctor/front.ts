import type { Answer } from "./http.ts";
import { apiErrorOf } from "./http.ts";

/** What stands in front of the server, as far as its answers give it away, and what to change there. */

const FRONTS = ["nginx", "Caddy", "HAProxy", "Cloudflare"] as const;

type Front = (typeof FRONTS)[number];

export type Topic = "upgrade" | "body" | "idle" | "buffering" | "unreachable";

const ADVICE: { readonly [T in Topic]: { readonly [F in Front]: string } } = {
  upgrade: {
    nginx: 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"',
    Caddy: "reverse_proxy passes upgrades by itself; look for a header_up or a matcher that keeps them from it",
    HAProxy: "upgrades pass in 'mode http' by themselves; look for rules that delete Connection or Upgrade",
    Cloudflare: "switch WebSockets on under Network",
  },
  body: {
    nginx: "client_max_body_size 64m",
    Caddy: "raise or remove request_body max_size",
    HAProxy: "no limit by itself; look for rules on req.body_size or content-length",
    Cloudflare: "100 MB on its smaller plans; a limit below that is of something else",
  },
  idle: {
    nginx: "proxy_read_timeout 3600s; proxy_send_timeout 3600s",
    Caddy: "no limit by itself; look for stream_timeout and for what stands before it",
    HAProxy: "timeout tunnel 1h",
    Cloudflare: "its limit cannot be raised; ping more often than it cuts",
  },
  buffering: {
    nginx: "proxy_buffering off; and no proxy_ignore_headers X-Accel-Buffering",
    Caddy: "flush_interval -1, and no encode for text/event-stream",
    HAProxy: "no option http-buffer-response, and no compression for text/event-stream",
    Cloudflare: "no compression or rewriting of text/event-stream",
  },
  unreachable: {
    nginx: "look whether the server runs, and whether proxy_pass names its address",
    Caddy: "look whether the server runs, and whether reverse_proxy names its address",
    HAProxy: "look whether the server runs, and whether its line in the backend is right and its check passes",
    Cloudflare: "look whether the origin runs and can be reached from outside",
  },
};

const WHERE = "docs/deploy.md has whole configurations";

/** What gives away who stands in front; of a WebSocket there are only the headers of its 101. */
type Seen = { readonly headers: Answer["headers"]; readonly body?: string };

/** What to change about something: at the one who is known to be in front, or at any. */
export function adviceFor(topic: Topic, answer?: Seen): string {
  const front = answer === undefined ? null : frontOf(answer);
  const advice = ADVICE[topic];
  if (front !== null) return `${front}: ${advice[front]}. ${WHERE}.`;
  if (topic === "unreachable") return "Look whether the server runs, and whether the proxy knows its address.";
  return `In the proxy: ${FRONTS.map((name) => `${name}: ${advice[name]}`).join("; ")}. ${WHERE}.`;
}

/** Who gave an answer that the server of the API would not have given. */
export function frontOf({ headers, body = "" }: Seen): Front | null {
  const server = String(headers["server"] ?? "");
  const known = FRONTS.find((front) => server.toLowerCase().includes(front.toLowerCase()));
  if (known !== undefined) return known;
  if (/Caddy/.test(headers["via"] ?? "")) return "Caddy";
  // It gives no name, but its words are its own.
  return /^<html><body><h1>\d{3} [\w -]+<\/h1>\n/.test(body) ? "HAProxy" : null;
}

/** Whether something in front of the server has answered, and what it is called in a sentence. */
export function answeredBy(answer: Answer): string {
  if (apiErrorOf(answer) !== null) return "the server";
  return frontOf(answer) ?? "something that is not a server of this API";
}
