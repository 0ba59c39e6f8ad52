import { openSocketClient } from "./socket-client.ts";
import { marked, type Recording } from "./recording.ts";
import { requestOf } from "./requests.ts";
import type { Target } from "./target.ts";
import type { BenchClient } from "./turn.ts";
import type { Answer, Upstream } from "./upstream.ts";

const AT_ONCE = 8;

/** Opens WebSocket sessions, runs the recording in each, and leaves them open and idle. */
export async function openIdleSessions(
  target: Target,
  upstream: Upstream,
  idle: {
    readonly recording: Recording;
    readonly answers: readonly Answer[];
    readonly sessions: number;
    readonly compress: boolean;
  },
): Promise<{ readonly close: () => void }> {
  const clients: BenchClient[] = [];
  const { recording, answers, sessions, compress } = idle;
  const open = async (): Promise<void> => {
    while (clients.length < sessions) {
      // Its place is taken before anything is awaited, so that no more are opened than asked for.
      const at = clients.push({} as BenchClient) - 1;
      const client = await openSocketClient(target, { compress });
      clients[at] = client;
      const script = upstream.script(answers);
      const own = marked(recording, script.marker);
      let previous: string | null = null;
      for (let turn = 0; turn < own.turns.length; turn += 1) {
        previous = (await client.turn(requestOf(own, "websocket", turn, { previous }))).id;
      }
      upstream.forget(script);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, open));
  return {
    close: () => {
      for (const client of clients) client.close();
    },
  };
}
