import { type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type Server as UpgradeServer, WebSocketServer } from "ws";
import { ApiError, errorBody, retryHeaders, toApiError } from "../protocol/errors.ts";
import type { CloseReason } from "../protocol/table.ts";
import { Connection, ServerSocket } from "./connection.ts";
import type { TransportContext } from "./context.ts";

/** Where WebSocket clients connect; the same path as creating a response over HTTP. */
const PATH = "/v1/responses";

/**
 * Takes the upgrades of a server. A client that is not welcome gets an HTTP answer with the error: nobody is accepted and
 * then closed, since clients would take that for a broken connection and try again.
 */
export class WebSockets {
  readonly #context: TransportContext;
  readonly #connections = new Set<Connection>();
  readonly #requestIds = new WeakMap<IncomingMessage, string>();
  readonly #upgrades: UpgradeServer<typeof ServerSocket>;

  constructor(context: TransportContext) {
    this.#context = context;
    // Options that are in ws, but not in its types yet.
    const timeouts = { closeTimeout: context.limits.closeMs };
    this.#upgrades = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      WebSocket: ServerSocket,
      maxPayload: context.limits.maxMessageBytes,
      perMessageDeflate: false,
      skipUTF8Validation: false,
      ...timeouts,
    });
    this.#upgrades.on("headers", (headers, request) => {
      headers.push(`x-request-id: ${this.#requestIds.get(request) ?? ""}`);
    });
    this.#upgrades.on("wsClientError", (_error, socket, request) => {
      const error = new ApiError("invalid_value", "This is not a valid WebSocket handshake.");
      refuse(socket, error, this.#requestIds.get(request) ?? "");
    });
  }

  attach(server: Server): void {
    server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Begins to close all connections. */
  close(reason: CloseReason): void {
    for (const connection of this.#connections) connection.close(reason);
  }

  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const { engine, authenticator, runtime, limits, isDraining, onError } = this.#context;
    const requestId = runtime.newId("request");
    this.#requestIds.set(request, requestId);
    // Until the library has the socket, a client that is gone is no news.
    stream.on("error", ignore);
    try {
      const path = request.url?.split("?", 1)[0] ?? "";
      if (path.replace(/\/$/, "") !== PATH) throw new ApiError("not_found", `There is no WebSocket at '${path}'.`);
      const tenant = authenticator.authenticate(request.headers.authorization);
      if (isDraining()) throw new ApiError("server_shutting_down", "The server is shutting down.", { retryAfter: 1 });
      this.#upgrades.handleUpgrade(request, stream, head, (socket) => {
        stream.off("error", ignore);
        const session = engine.openSession({ tenant, transport: "websocket" });
        const connection = new Connection({
          socket,
          stream,
          session,
          limits,
          onError: (error) => onError(error, requestId),
        });
        this.#connections.add(connection);
        socket.on("close", () => this.#connections.delete(connection));
      });
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) onError(thrown, requestId);
      refuse(stream, toApiError(thrown), requestId);
    }
  }
}

function ignore(): void {}

/** Answers an upgrade as an HTTP request that has failed. */
function refuse(stream: Duplex, error: ApiError, requestId: string): void {
  const body = JSON.stringify(errorBody(error));
  const headers = {
    "content-type": "application/json; charset=utf-8",
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
    "x-request-id": requestId,
    ...retryHeaders(error),
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  stream.once("finish", () => stream.destroy());
  stream.end(`HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ""}\r\n${head.join("")}\r\n${body}`);
}
