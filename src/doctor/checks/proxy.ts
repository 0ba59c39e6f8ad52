import { type IncomingMessage, request } from "node:http";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { type Finding, ok, problem, warning } from "../finding.ts";
import { upgrade } from "../peer.ts";
import type { Target } from "../target.ts";
import { messageOf, type Visit } from "../visit.ts";

type Proxy = { readonly variable: string; readonly url: URL };

const DIRECT = "What follows was tried without the proxy.";

/** Proxies that clients on this machine would use, and whether a WebSocket gets through them. */
export async function checkProxy(visit: Visit): Promise<readonly Finding[]> {
  const { target, environment } = visit;
  const proxy = proxyFor(target, environment);
  if (proxy === null) return [ok("proxy", "no proxy is set for this server in the environment")];
  const { variable, url } = proxy;
  const shown = `${variable}=${url.protocol}//${url.host}`;
  const exempt = `If clients can reach the server directly: export NO_PROXY=${[environment["NO_PROXY"], target.host].filter(Boolean).join(",")}`;
  const failure = await tryThrough(visit, url);
  if (failure !== null) {
    return [
      problem(
        "proxy",
        `${shown} applies to this server, and ${failure}. ${DIRECT}`,
        `${exempt}. Otherwise have the proxy allow CONNECT to ${target.host}:${target.port}.`,
      ),
    ];
  }
  if (target.isLocal) {
    return [warning("proxy", `${shown} applies to this server, though it is on this machine. ${DIRECT}`, `${exempt}.`)];
  }
  return [
    warning(
      "proxy",
      `${shown} applies to this server, and WebSockets get through it. ${DIRECT}`,
      `Some clients heed the variable for HTTP and not for WebSockets, and then need a direct way. ${exempt}.`,
    ),
  ];
}

/** The proxy that the environment names for a server, as most clients read it. */
export function proxyFor(target: Target, environment: NodeJS.ProcessEnv): Proxy | null {
  if (isExempt(target, environment["NO_PROXY"] ?? environment["no_proxy"] ?? "")) return null;
  const names = [target.isTls ? "HTTPS_PROXY" : "HTTP_PROXY", "ALL_PROXY"];
  for (const variable of names.flatMap((name) => [name, name.toLowerCase()])) {
    const value = environment[variable];
    if (value === undefined || value === "") continue;
    const url = URL.parse(/^\w+:\/\//.test(value) ? value : `http://${value}`);
    if (url !== null) return { variable, url };
  }
  return null;
}

function isExempt({ host, port }: Target, list: string): boolean {
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      if (entry === "*") return true;
      const name = entry.replace(/^\*?\./, "");
      return name === host || name === `${host}:${port}` || host.endsWith(`.${name}`);
    });
}

/** Opens a WebSocket through a proxy. What keeps it from that, as the end of a sentence; null when nothing does. */
async function tryThrough(visit: Visit, proxy: URL): Promise<string | null> {
  if (proxy.protocol !== "http:") return `it is a ${proxy.protocol.slice(0, -1)} proxy, which is not tried here`;
  let tunnel: Duplex;
  try {
    tunnel = await openTunnel(visit, proxy);
  } catch (error) {
    return messageOf(error);
  }
  const { isTls, host } = visit.target;
  const stream = isTls ? connectTls({ socket: tunnel, servername: host, rejectUnauthorized: false }) : tunnel;
  const result = await upgrade(visit, { stream });
  if (result.kind === "open") {
    await result.peer.leave();
    return null;
  }
  tunnel.destroy();
  return `the upgrade through it ${result.kind === "refused" ? `is answered with ${result.answer.status}` : `fails: ${result.reason}`}`;
}

function openTunnel({ target, timeoutMs }: Visit, proxy: URL): Promise<Duplex> {
  const path = `${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`;
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
  const { username, password } = proxy;
  const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64");
  const call = request({
    host: proxy.hostname,
    port: Number(proxy.port) || 80,
    method: "CONNECT",
    path,
    agent: false,
    timeout: timeoutMs,
    headers: { host: path, ...(username !== "" && { "proxy-authorization": `Basic ${login}` }) },
  });
  call.once("connect", ({ statusCode }: IncomingMessage, socket: Duplex) => {
    if (statusCode === 200) return resolve(socket);
    socket.destroy();
    reject(new Error(`it answers CONNECT with ${statusCode}`));
  });
  call.once("response", ({ statusCode }: IncomingMessage) => {
    call.destroy();
    reject(new Error(`it answers CONNECT with ${statusCode}`));
  });
  call.once("timeout", () => call.destroy(new Error("it does not answer")));
  call.once("error", (error) => reject(new Error(`it cannot be used: ${messageOf(error)}`)));
  call.end();
  return promise;
}
