import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

/** What a model server writes for one request, byte by byte. */
export type RawAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** What becomes of the connection behind the body. */
  readonly ending: "end" | "hang" | "reset";
  /** Bytes in one write; all of them where it is left out. */
  readonly pieces?: number;
};

export type RawRequest = {
  readonly path: string;
  readonly body: { readonly messages?: readonly Message[]; readonly [field: string]: unknown };
};
type Message = { readonly role: string; readonly [field: string]: unknown };

/** A model server without an HTTP library: it writes what it is told, and does with its connections what it is told. */
export class RawModel {
  readonly requests: RawRequest[] = [];
  readonly #server: Server;
  readonly #answers: RawAnswer[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => undefined);
      this.#serve(socket);
    });
  }

  static async start(): Promise<RawModel> {
    const model = new RawModel();
    await new Promise<void>((resolve) => {
      model.#server.listen(0, "127.0.0.1", resolve);
    });
    return model;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** The answers to the next requests. */
  script(...answers: readonly RawAnswer[]): void {
    this.#answers.push(...answers);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  #serve(socket: Socket): void {
    let received = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf("\r\n\r\n");
      if (end === -1) return;
      const head = received.subarray(0, end).toString("latin1");
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (received.length < end + 4 + length) return;
      const body = received.subarray(end + 4, end + 4 + length).toString("utf8");
      received = received.subarray(end + 4 + length);
      const path = head.split(" ")[1] ?? "";
      if (!path.endsWith("/chat/completions")) {
        socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return;
      }
      this.requests.push({ path, body: JSON.parse(body) as RawRequest["body"] });
      const answer = this.#answers.shift();
      if (answer === undefined) socket.destroy();
      else void this.#write(socket, answer);
    });
  }

  /** The body is ended by the connection, as many small servers do it, or never. */
  async #write(socket: Socket, { status, headers, body, ending, pieces = body.length }: RawAnswer): Promise<void> {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`HTTP/1.1 ${status} Status\r\n${lines.join("")}connection: close\r\n\r\n`);
    for (let from = 0; from < body.length && !socket.destroyed; from += pieces) {
      socket.write(body.subarray(from, from + pieces));
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (ending === "end") socket.end();
    // What was written is to arrive before the reset.
    if (ending === "reset") socket.end(() => socket.resetAndDestroy());
  }
}
