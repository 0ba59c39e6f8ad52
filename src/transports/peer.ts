import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import type { Inbox } from "./inbox.ts";
import type { Peer } from "./liveness.ts";
import type { Sender } from "./message-deadline.ts";

/** The client, for those that watch over its life: it answers pings, and its messages come to an end. */
export function peerOf(stream: Socket, socket: WebSocket, inbox: Inbox, ends: Pick<Peer & Sender, "giveUp" | "cut">) {
  return {
    get received(): number {
      return stream.bytesRead;
    },
    get isHeld(): boolean {
      return inbox.isHeld;
    },
    ping: () => socket.ping(),
    ...ends,
  };
}
