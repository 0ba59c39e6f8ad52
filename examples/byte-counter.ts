import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** Passes connections on to a server and counts what goes over them, headers and framing included. */
export class ByteCounter {
  readonly url: string;
  readonly #close: () => void;
  readonly #counts: { up: number; down: number };

  private constructor(url: string, counts: { up: number; down: number }, close: () => void) {
    this.url = url;
    this.#counts = counts;
    this.#close = close;
  }

  static async open(target: string): Promise<ByteCounter> {
    const { protocol, hostname, port } = new URL(target);
    const host = hostname.replace(/^\[|\]$/g, "");
    const isTls = protocol === "https:";
    const address = { host, port: Number(port) || (isTls ? 443 : 80) };
    const counts = { up: 0, down: 0 };
    const open = new Set<Socket>();
    const server = createServer((client) => {
      // What is counted is the text of the protocol: behind https the encryption comes on top of it.
      const upstream = isTls ? connectTls({ ...address, servername: host }) : connect(address);
      client.on("data", (bytes) => (counts.up += bytes.length)).pipe(upstream);
      upstream.on("data", (bytes) => (counts.down += bytes.length)).pipe(client);
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        open.add(socket);
        socket.setNoDelay(true);
        socket.on("error", () => other.destroy());
        socket.on("close", () => {
          open.delete(socket);
          other.destroy();
        });
      }
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return new ByteCounter(url, counts, () => {
      server.close();
      for (const socket of open) socket.destroy();
    });
  }

  /** Bytes from the client to the server. */
  get up(): number {
    return this.#counts.up;
  }

  get down(): number {
    return this.#counts.down;
  }

  close(): void {
    this.#close();
  }
}
