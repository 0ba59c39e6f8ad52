import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** A server under test. */
export type Target = {
  readonly name: string;
  /** Base URL, with or without `/v1`. */
  readonly url: string;
  readonly key: string | null;
  /** Its process on this machine, for CPU and memory; null when it is not known. */
  readonly pid: number | null;
};

/** Where a target's responses are created. */
export function responsesUrl(target: Pick<Target, "url">): URL {
  return apiUrl(target, "responses");
}

/** An endpoint of a target, below its `/v1`. */
export function apiUrl({ url }: Pick<Target, "url">, endpoint: string): URL {
  const base = new URL(url);
  const path = base.pathname.replace(/\/+$/, "");
  base.pathname = `${path.endsWith("/v1") ? path : `${path}/v1`}/${endpoint}`;
  return base;
}

/** The bytes of connections, on TCP: with TLS, what it adds is counted too. */
export class Wire {
  #sockets: Socket[] = [];
  #up = 0;
  #down = 0;

  /** Opens a connection of a target, and counts it from now on. */
  connect(url: URL): Socket {
    const isTls = url.protocol === "https:" || url.protocol === "wss:";
    const port = url.port === "" ? (isTls ? 443 : 80) : Number(url.port);
    const socket = connectTcp({ host: url.hostname, port, noDelay: true });
    this.#sockets.push(socket);
    socket.on("close", () => {
      this.#up += socket.bytesWritten;
      this.#down += socket.bytesRead;
      this.#sockets = this.#sockets.filter((open) => open !== socket);
    });
    return isTls ? connectTls({ socket, servername: url.hostname }) : socket;
  }

  bytes(): { readonly up: number; readonly down: number } {
    return {
      up: this.#sockets.reduce((sum, socket) => sum + socket.bytesWritten, this.#up),
      down: this.#sockets.reduce((sum, socket) => sum + socket.bytesRead, this.#down),
    };
  }
}
