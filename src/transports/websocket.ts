import { type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type ServerOptions, type Server as UpgradeServer, WebSocketServer } from "ws";
import type { Permit } from "../core/ports.ts";
import type { Echo } from "../protocol/echo.ts";
import { ApiError, errorBody, retryHeaders, toApiError } from "../protocol/errors.ts";
import type { CloseReason } from "../protocol/table.ts";
import { Admission } from "./admission.ts";
import { canonicalUrl } from "./canonical-url.ts";
import { retriesFor } from "./client-retries.ts";
import { Connection, ServerSocket } from "./connection.ts";
import type { TransportContext } from "./context.ts";
import { DEFLATE, wantsDeflate } from "./deflate.ts";
import { echoFor } from "./echo.ts";
import { splitTarget } from "./host-names.ts";
import { checkUrl } from "./http.ts";
import { messageRoundMs } from "./message-deadline.ts";
import { checkOrigin } from "./origins.ts";
import { reportRefusal, routeOf, who } from "./report.ts";
import { RESPONSES_PATHS } from "./responses.ts";
import { Rounds } from "./rounds.ts";
import { authorizationOf, selectProtocol } from "./subprotocol-key.ts";
import { wantsKeepalive } from "./silence.ts";

/** The library counts in 32 bits, and takes anything larger for no limit at all. */
const LARGEST_MESSAGE = 2 ** 31 - 1;

/** Where a WebSocket is opened: where responses are created, and the base URL itself, which LiveKit connects to. */
const UPGRADE_PATHS: readonly string[] = [...RESPONSES_PATHS, "/v1"];

type Upgrades = UpgradeServer<typeof ServerSocket>;

/**
 * Takes the upgrades of a server. A client that is not welcome gets an HTTP answer with the error: nobody is accepted and
 * then closed, since clients would take that for a broken connection and try again.
 */
export class WebSockets {
  readonly #context: TransportContext;
  readonly #admission: Admission;
  readonly #rounds: Rounds | null;
  readonly #messageRounds: Rounds;
  readonly #connections = new Set<Connection>();
  readonly #requestIds = new WeakMap<IncomingMessage, string>();
  readonly #plain: Upgrades;
  readonly #deflating: Upgrades;
  /** Connections that compress. */
  #deflated = 0;

  constructor(context: TransportContext) {
    this.#context = context;
    const { limits, load } = context;
    this.#admission = new Admission(limits, load);
    this.#rounds = limits.pingMs > 0 ? new Rounds(limits.pingMs) : null;
    this.#messageRounds = new Rounds(messageRoundMs(limits));
    this.#plain = this.#createUpgrades(false);
    this.#deflating = this.#createUpgrades(DEFLATE);
  }

  attach(server: Server): void {
    server.on("upgrade", (request, socket, head) => void this.#upgrade(request, socket, head));
  }

  /** Begins to close all connections. */
  close(reason: CloseReason): void {
    for (const connection of this.#connections) connection.close(reason);
  }

  #createUpgrades(perMessageDeflate: ServerOptions["perMessageDeflate"]): Upgrades {
    const { limits } = this.#context;
    // Options that are in ws, but not in its types yet.
    const timeouts = { closeTimeout: limits.closeMs };
    const upgrades = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      WebSocket: ServerSocket,
      maxPayload: Math.min(limits.maxMessageBytes, LARGEST_MESSAGE),
      perMessageDeflate: perMessageDeflate ?? false,
      skipUTF8Validation: false,
      handleProtocols: selectProtocol,
      ...timeouts,
    });
    upgrades.on("headers", (headers, request) => {
      headers.push(`x-request-id: ${this.#requestIds.get(request) ?? ""}`);
      // Codex splits what is larger, or takes HTTP for it, before it sends a message that would close the connection.
      headers.push(`x-codex-websocket-max-message-bytes: ${Math.min(limits.maxMessageBytes, LARGEST_MESSAGE)}`);
    });
    upgrades.on("wsClientError", (_error, socket, request) => {
      const error = new ApiError("invalid_value", "This is not a valid WebSocket handshake.");
      refuse(socket, error, this.#requestIds.get(request) ?? "");
    });
    return upgrades;
  }

  /** Never rejects. */
  async #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> {
    const { runtime, limits, policy, report } = this.#context;
    const requestId = runtime.newId("request");
    this.#requestIds.set(request, requestId);
    // Until the library has the socket, a client that is gone is no news.
    stream.on("error", ignore);
    let permit: Permit | null = null;
    try {
      permit = await this.#identify(request);
      // Nothing is waited for from here on: what is found still holds when the connection is counted in.
      this.#checkRoom(permit);
      const admitted = permit;
      const echo = echoFor(policy, request.headers);
      const deflates = this.#deflated < limits.maxDeflateConnections && wantsDeflate(policy, request);
      const upgrades = deflates ? this.#deflating : this.#plain;
      upgrades.handleUpgrade(request, stream, head, (socket) => {
        stream.off("error", ignore);
        this.#connect(socket, request, { permit: admitted, echo, requestId });
      });
    } catch (thrown) {
      const error = toApiError(thrown);
      const about = who("websocket", requestId, permit);
      reportRefusal(report, error, { what: "upgrade", route: routeOf(request), ...about });
      refuse(stream, error, requestId);
    }
  }

  /** Who wants a connection, and may have one. @throws ApiError */
  async #identify(request: IncomingMessage): Promise<Permit> {
    const { limits, policy, access, door } = this.#context;
    const { url = "", headers } = request;
    checkUrl(url, limits);
    await door.checkHost(request);
    const path = canonicalUrl(splitTarget(url).path).split("?", 1)[0] ?? "";
    if (!UPGRADE_PATHS.includes(path.replace(/\/$/, ""))) {
      throw new ApiError("not_found", `There is no WebSocket at '${path}'.`);
    }
    if (!policy.webSocket) {
      throw new ApiError("websocket_disabled", "This server takes no WebSocket connections: use HTTP.");
    }
    checkOrigin(policy, headers);
    return access.authenticate(authorizationOf(headers), request.socket.remoteAddress);
  }

  /** Whether there can be a further connection. @throws ApiError when there cannot */
  #checkRoom(permit: Permit): void {
    if (this.#context.isDraining()) {
      throw new ApiError("server_shutting_down", "The server is shutting down.", { retryAfter: 1 });
    }
    this.#admission.check(permit.tenant);
    permit.checkConnection();
  }

  #connect(socket: ServerSocket, request: IncomingMessage, { permit, echo, requestId }: Admitted): void {
    const { engine, limits, load, policy, onError, report } = this.#context;
    const connection = new Connection({
      socket,
      stream: request.socket,
      session: engine.openSession({
        tenant: permit.tenant,
        permit,
        transport: "websocket",
        requestId,
        retries: retriesFor(request.headers),
      }),
      account: engine.memory.of(permit.tenant),
      limits,
      load,
      rounds: this.#rounds,
      messageRounds: this.#messageRounds,
      onCut: this.#context.onCut,
      wantsKeepalive: wantsKeepalive(policy, request.headers),
      echo,
      who: who("websocket", requestId, permit),
      route: routeOf(request),
      onError: (error) => onError(error, requestId),
      report,
    });
    const deflates = socket.extensions !== "";
    const counts = [this.#admission.enter(permit.tenant), permit.connect()];
    this.#connections.add(connection);
    if (deflates) this.#deflated += 1;
    socket.on("close", () => {
      for (const leave of counts) leave();
      this.#connections.delete(connection);
      if (deflates) this.#deflated -= 1;
    });
  }
}

/** What is known of a client whose upgrade is accepted. */
type Admitted = {
  readonly permit: Permit;
  readonly echo: Echo;
  readonly requestId: string;
};

function ignore(): void {}

/** Answers an upgrade as an HTTP request that has failed. */
function refuse(stream: Duplex, error: ApiError, requestId: string): void {
  const body = JSON.stringify(errorBody(error));
  const headers = {
    "content-type": "application/json; charset=utf-8",
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
    "x-request-id": requestId,
    // The protocol that is to be spoken instead, as the status demands.
    ...(error.status === 426 && { upgrade: "HTTP/1.1" }),
    ...retryHeaders(error),
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  stream.once("finish", () => stream.destroy());
  stream.end(`HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ""}\r\n${head.join("")}\r\n${body}`);
}
