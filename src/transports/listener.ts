import type { Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import type { Engine } from "../core/engine.ts";
import type { Access, Runtime } from "../core/ports.ts";
import type { CutReason, TransportContext } from "./context.ts";
import { Door } from "./door.ts";
import { createHttpApp, createNodeServer, type Tls } from "./http.ts";
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "./limits.ts";
import { type Load, LoopLoad } from "./load.ts";
import { DEFAULT_TRANSPORT_POLICY, type TransportPolicy } from "./policy.ts";
import type { Report } from "./report.ts";
import { watchAnswers } from "./slow-answers.ts";
import { WebSockets } from "./websocket.ts";

export type ListenerOptions = {
  readonly engine: Engine;
  readonly runtime: Runtime;
  /** Who may use the API. */
  readonly access: Access;
  readonly version: string;
  /** Whether the server goes with the program that has started it; `/healthz` then says so. */
  readonly isTemporary?: boolean;
  readonly limits?: Partial<TransportLimits>;
  readonly policy?: Partial<TransportPolicy>;
  /** Takes the place of the watch over the event loop; closed with the listener. */
  readonly load?: Load;
  /** With it, the same port speaks https and wss instead. */
  readonly tls?: Tls;
  /** Told of each client that was cut, and why. */
  readonly onCut?: (reason: CutReason) => void;
  /** Rejects while the store cannot be used; asked by `/readyz`. */
  readonly probe?: () => Promise<unknown>;
  /** Takes unexpected errors, whose text no client sees. */
  readonly onError: (error: unknown, requestId: string) => void;
  /** Takes what was refused and closed. */
  readonly report?: Report;
};

/**
 * One port that speaks HTTP, SSE and WebSocket in front of an engine. It goes down in three steps: `stopAccepting`, then
 * the engine's own drain, then `close`.
 */
export class Listener {
  readonly #server: Server;
  readonly #app: FastifyInstance;
  readonly #webSockets: WebSockets;
  readonly #limits: TransportLimits;
  readonly #load: Load;
  readonly #scheme: "http" | "https";
  readonly #sockets = new Set<Socket>();
  #phase: "open" | "draining" | "closing" = "open";

  constructor(options: ListenerOptions) {
    const { engine, runtime, access, version, onError } = options;
    this.#limits = { ...DEFAULT_TRANSPORT_LIMITS, ...options.limits };
    this.#load = options.load ?? new LoopLoad(this.#limits);
    this.#scheme = options.tls === undefined ? "http" : "https";
    const policy = { ...DEFAULT_TRANSPORT_POLICY, ...options.policy };
    const context: TransportContext = {
      engine,
      runtime,
      access,
      version,
      isTemporary: options.isTemporary ?? false,
      onError,
      onCut: options.onCut ?? (() => undefined),
      probe: options.probe ?? (async () => undefined),
      report: options.report ?? (() => undefined),
      limits: this.#limits,
      policy,
      door: new Door({ policy, access }),
      load: this.#load,
      isDraining: () => this.#phase !== "open" || !engine.ready,
    };
    this.#server = createNodeServer(this.#limits, options.tls);
    this.#app = createHttpApp(context, this.#server);
    this.#webSockets = new WebSockets(context);
    this.#webSockets.attach(this.#server);
    watchAnswers(this.#server, this.#limits, () => context.onCut("slow_reader"));
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    // A request that was under way when the closing began leaves an idle connection behind.
    this.#server.on("request", (_request, response) => {
      response.once("close", () => {
        if (this.#phase === "closing") setImmediate(() => this.#server.closeIdleConnections());
      });
    });
  }

  /** Connections that are open now, of all kinds. */
  get openSockets(): number {
    return this.#sockets.size;
  }

  /** @param at `port` 0 takes any free one */
  async listen(at: { readonly host: string; readonly port: number }): Promise<{ url: string; port: number }> {
    await this.#app.ready();
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(at.port, at.host, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    const { port } = this.#server.address() as AddressInfo;
    return { url: `${this.#scheme}://${hostInUrl(at.host)}:${port}`, port };
  }

  /**
   * Refuses new turns and new WebSockets, and says so where load balancers ask. The port stays open for that, and what
   * runs goes on.
   */
  stopAccepting(): void {
    if (this.#phase === "open") this.#phase = "draining";
  }

  /** Ends all connections, and resolves when none is left: those that do not end in time are cut. */
  async close(): Promise<void> {
    this.#phase = "closing";
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    this.#webSockets.close("server_restart");
    const deadline = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, this.#limits.closeMs);
    await closed;
    // The server counts a socket out a moment before the socket itself says that it is closed.
    await Promise.all([...this.#sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve))));
    clearTimeout(deadline);
    this.#load.close();
    await this.#app.close();
  }
}

/** An address as it goes into a URL; one that means every address is reached from here by the name of this machine. */
export function hostInUrl(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}
