import { once } from "node:events";
import { WebSocket } from "ws";
import { responsesUrl, type Target, Wire } from "./target.ts";
import { type BenchClient, BenchError, type TurnResult, TurnWatch } from "./turn.ts";

type Waiting = { readonly watch: TurnWatch; readonly settle: PromiseWithResolvers<TurnResult> };

/** A client that can also leave in order: it waits until the server has closed its side. */
export interface SocketClient extends BenchClient {
  leave(): Promise<void>;
}

/** Turns over one WebSocket. With `compress`, permessage-deflate is offered with windows that last over messages. */
export async function openSocketClient(
  target: Target,
  { compress }: { readonly compress: boolean },
): Promise<SocketClient> {
  const url = responsesUrl(target);
  url.protocol = url.protocol.replace("http", "ws");
  const wire = new Wire();
  const socket = new WebSocket(url, {
    headers: target.key === null ? {} : { authorization: `Bearer ${target.key}` },
    createConnection: () => wire.connect(url),
    // Every message is compressed that is sent; whether the server compresses its own is its choice.
    perMessageDeflate: compress ? { threshold: 0 } : false,
    skipUTF8Validation: true,
    maxPayload: 0,
  });
  let waiting: Waiting | null = null;
  const fail = (error: Error): void => {
    waiting?.settle.reject(error);
    waiting = null;
  };
  socket.on("message", (data: Buffer) => {
    if (waiting === null) return;
    try {
      const result = waiting.watch.read(data.toString());
      if (result === null) return;
      waiting.settle.resolve(result);
      waiting = null;
    } catch (error) {
      fail(error as Error);
    }
  });
  socket.on("close", (code) => fail(new BenchError(`${target.name} closed the connection (${code})`)));
  try {
    await once(socket, "open");
  } catch (error) {
    throw new BenchError(`${target.name} takes no WebSocket: ${(error as Error).message}`, { cause: error });
  }
  socket.on("error", fail);
  if (compress && !socket.extensions.includes("permessage-deflate")) {
    socket.terminate();
    throw new BenchError(`${target.name} does not take compression over WebSocket`);
  }
  return {
    turn: (request) => {
      const text = JSON.stringify(request);
      const settle = Promise.withResolvers<TurnResult>();
      waiting = { watch: new TurnWatch(), settle };
      socket.send(text);
      return settle.promise;
    },
    bytes: () => wire.bytes(),
    close: () => socket.terminate(),
    leave: async () => {
      if (socket.readyState === WebSocket.CLOSED) return;
      const closed = once(socket, "close");
      socket.close(1000);
      await closed;
    },
  };
}
