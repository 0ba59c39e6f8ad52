import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { readFileSync } from "node:fs";
import type { AddressInfo, Server as NetServer } from "node:net";
import type { Duplex } from "node:stream";
import { onTestFinished } from "vitest";
import { type ServerOptions, type WebSocket, WebSocketServer } from "ws";
import { parseTarget } from "../../src/doctor/target.ts";
import type { Visit } from "../../src/doctor/visit.ts";

/** Small servers that do one thing wrong. */
export type Broken = {
  readonly onRequest?: RequestListener;
  readonly onUpgrade?: (request: IncomingMessage, stream: Duplex, head: Buffer) => void;
  /** The certificate, by the name of its file in test/fixtures/tls. */
  readonly certificate?: string;
};

/** Starts one until the test is over; the URL of its API. */
export async function brokenServer({ onRequest, onUpgrade, certificate }: Broken): Promise<string> {
  const server: Server =
    certificate === undefined ? createServer() : createTlsServer({ cert: pem(certificate), key: pem("key") });
  server.on("request", onRequest ?? ((_request, response) => response.writeHead(404).end()));
  if (onUpgrade !== undefined) server.on("upgrade", onUpgrade);
  const port = await listen(server);
  return `${certificate === undefined ? "http" : "https"}://127.0.0.1:${port}/v1`;
}

/** Listens on a free port of this machine until the test is over. */
export async function listen(server: NetServer): Promise<number> {
  const sockets = new Set<Duplex>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** Accepts upgrades. */
export function accepting(onSocket: (socket: WebSocket) => void = () => {}, options: ServerOptions = {}) {
  const sockets = new WebSocketServer({ noServer: true, ...options });
  return (request: IncomingMessage, stream: Duplex, head: Buffer): void =>
    sockets.handleUpgrade(request, stream, head, (socket) => {
      socket.on("error", () => {});
      onSocket(socket);
    });
}

/** Answers upgrades with something else. */
export function refusing(status: number, body = "", headers: { readonly [name: string]: string } = {}) {
  return (_request: IncomingMessage, stream: Duplex): void => {
    const lines = Object.entries({
      ...headers,
      "content-length": String(Buffer.byteLength(body)),
      connection: "close",
    });
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    stream.end(`HTTP/1.1 ${status} Whatever\r\n${head}\r\n${body}`);
  };
}

/** Answers with JSON. */
export function json(
  status: number,
  value: unknown,
  headers: { readonly [name: string]: string } = {},
): RequestListener {
  return (request, response) => {
    request.resume();
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
  };
}

export function apiError(code: string, message: string) {
  return { error: { message, type: "invalid_request_error", param: null, code } };
}

export function visitTo(url: string, options: Partial<Visit> = {}): Visit {
  return {
    target: parseTarget(url),
    key: null,
    model: null,
    environment: {},
    timeoutMs: 5000,
    turnMs: 10_000,
    idleMs: 200,
    largestBytes: 2 ** 20,
    ...options,
  };
}

export function pem(name: string): string {
  return readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url), "utf8");
}
