import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { WebSocketServer } from "ws";

/** What a WebSocket client of the toy says, and how the toy answers it: any texts. */
export type Answer = (event: { readonly [field: string]: unknown }, turn: number) => readonly (object | string)[];

/** A server that speaks something like the protocol, as badly as a test wants it. It is not made from any code of ours. */
export async function startToy(answer: Answer, greeting?: object): Promise<string> {
  const server: Server = createServer((request, response) => {
    const isModels = request.url === "/v1/models";
    response.writeHead(isModels ? 200 : 500, { "content-type": isModels ? "application/json" : "text/html" });
    response.end(isModels ? '{"data":[{"id":"toy"}]}' : "<h1>Oops</h1>");
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => {
    let turn = 0;
    if (greeting !== undefined) socket.send(JSON.stringify(greeting));
    socket.on("message", (data) => {
      let event: { readonly [field: string]: unknown };
      try {
        event = JSON.parse((data as Buffer).toString()) as typeof event;
      } catch {
        return socket.terminate();
      }
      turn += 1;
      for (const message of answer(event, turn)) {
        socket.send(typeof message === "string" ? message : JSON.stringify(message));
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(async () => {
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A turn that looks right from afar. */
export function badTurn(id: string): readonly object[] {
  const item = {
    type: "message",
    id: "msg_1",
    role: "assistant",
    status: "completed",
    content: [{ type: "output_text", text: "Hello" }],
  };
  return [
    { type: "response.created", response: { id, status: "in_progress", output: [] } },
    { type: "response.output_text.delta", delta: "Hel" },
    { type: "response.output_item.done", output_index: 0, item },
    { type: "response.completed", response: { id, status: "completed", output: [item] } },
  ];
}
