import type { Server } from "node:http";
import type { Socket } from "node:net";
import { errorBody, ApiError } from "../protocol/errors.ts";
import { JSON_TYPE } from "./json-answer.ts";

/** The first byte of every TLS connection: a record of the handshake. */
const TLS_HANDSHAKE = 0x16;
/** A client that says nothing is the handshake timeout's matter, or ends here. */
const FIRST_BYTE_MS = 120_000;

function ignore(): void {}

/** Answers plain HTTP on a TLS port in words, where the TLS layer would only cut the connection. */
export function answerPlainHttp(server: Server): void {
  const [own] = server.listeners("connection") as ((socket: Socket) => void)[];
  if (own === undefined) return;
  server.off("connection", own);
  server.on("connection", (socket: Socket) => {
    socket.on("error", ignore);
    socket.setTimeout(FIRST_BYTE_MS, () => socket.destroy());
    socket.once("readable", () => {
      socket.setTimeout(0);
      socket.removeAllListeners("timeout");
      socket.off("error", ignore);
      const begin = socket.read() as Buffer | null;
      if (begin === null) {
        socket.destroy();
        return;
      }
      if (begin[0] === TLS_HANDSHAKE) {
        socket.unshift(begin);
        own.call(server, socket);
        return;
      }
      refuse(socket);
    });
  });
}

function refuse(socket: Socket): void {
  socket.on("error", () => socket.destroy());
  const body = JSON.stringify(
    errorBody(new ApiError("invalid_value", "This port speaks TLS: use https:// or wss://.")),
  );
  const head = `content-type: ${JSON_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`;
  socket.once("finish", () => socket.destroy());
  socket.end(`HTTP/1.1 400 Bad Request\r\n${head}\r\n\r\n${body}`);
}
