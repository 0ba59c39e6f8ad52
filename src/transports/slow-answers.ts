import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { TransportLimits } from "./limits.ts";

type SlowAnswerLimits = Pick<TransportLimits, "outboxHighWater" | "outboxLowWater" | "slowClientMs">;

/**
 * Cuts clients that do not read their answers, whatever the answer is: JSON, a list, an error, the end of a stream. From
 * the moment when all of it has been written a client has as long for it as an outbox gives: so much time for so many bytes.
 */
export function watchAnswers(server: Server, limits: SlowAnswerLimits, onCut: () => void): void {
  server.on("request", (_request, response) => {
    response.once("prefinish", () => watch(response, limits, onCut));
  });
}

function watch(response: ServerResponse, limits: SlowAnswerLimits, onCut: () => void): void {
  const socket: Socket | null = response.socket;
  // Nobody is left to read what is written behind the end of the connection.
  if (socket === null || socket.destroyed || response.closed) return;
  const perPeriod = Math.max(1, limits.outboxHighWater - limits.outboxLowWater);
  const periods = Math.max(1, Math.ceil(socket.writableLength / perPeriod));
  const patience = setTimeout(() => {
    onCut();
    socket.destroy();
  }, periods * limits.slowClientMs);
  const end = (): void => clearTimeout(patience);
  // Everything has been handed to the operating system, or the client is gone.
  response.once("finish", end);
  response.once("close", end);
}
