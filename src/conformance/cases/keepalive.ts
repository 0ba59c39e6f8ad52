import { setTimeout as after } from "node:timers/promises";
import type { Group } from "../case.ts";
import { SAY_OK } from "../prompts.ts";
import { CALL_TURN, TEXT_TURN } from "../recordings.ts";
import { isOf } from "../reading.ts";
import { demand, same, skip } from "../violation.ts";

const IDLE_MS = 1500;

/** What keeps a connection alive while nothing happens. */
export const KEEPALIVE: Group = {
  name: "keepalive",
  title: "what is said while nothing happens",
  cases: [
    {
      id: "keepalive.idle",
      level: "must",
      title: "On an idle connection nothing is sent that is an event of a turn, and the next turn works.",
      rule: "W2",
      from: "OpenAI: events belong to responses; clients read stray ones as their next turn",
      mend: "Keep idle connections alive by WebSocket pings; send events only for a response that runs.",
      run: async (trial) => {
        const socket = await trial.connect();
        await socket.completed({ input: SAY_OK, store: false });
        await after(IDLE_MS);
        await socket.ping();
        same(socket.unread, [], "What came on an idle connection");
        const { frames } = await socket.turn({ input: SAY_OK, store: false });
        same(frames[0]?.type, "response.created", "The first event after the idle time");
      },
    },
    {
      id: "keepalive.pings-in-a-row",
      level: "must",
      title: "Of many pings in a row at least the last is answered, and they do not disturb a turn.",
      rule: "W7",
      from: "RFC 6455 §5.5.3",
      mend: "Let the WebSocket library answer pings; do not treat many of them as an attack.",
      run: async (trial) => {
        const socket = await trial.connect();
        socket.create({ input: SAY_OK, store: false });
        const pongs = Array.from({ length: 50 }, () => socket.ping());
        for (const pong of pongs.slice(0, -1)) pong.catch(() => undefined);
        await pongs.at(-1);
        same((await socket.rest()).last.type, "response.completed", "The end of the turn");
      },
    },
    {
      id: "keepalive.largest-ping",
      level: "should",
      title: "A ping with the largest payload, and one with none, are answered with just that.",
      rule: "W7",
      from: "RFC 6455 §5.5",
      mend: "Copy the payload of a ping, of 0 to 125 bytes, into the pong.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const size of [0, 125])
          same((await socket.ping(Buffer.alloc(size, 7))).length, size, "The size of a pong");
      },
    },
    {
      id: "keepalive.events",
      level: "must",
      title:
        "Events of the type 'keepalive', where there are any, come after response.created and have a sequence_number.",
      rule: "W8",
      from: "openai-node throws at one before response.created",
      mend: "Send the first keepalive after response.created, and count it like any event of the response.",
      run: async (trial) => {
        let seen = 0;
        for (const recording of [TEXT_TURN, CALL_TURN]) {
          const { frames } = await trial.recording(recording);
          for (const [index, frame] of frames.entries()) {
            if (!isOf("keepalive")(frame)) continue;
            seen += 1;
            demand(index > 0, "A keepalive comes before response.created.", { got: frame });
            demand(Number.isInteger(frame["sequence_number"]), "A keepalive has no sequence_number.", { got: frame });
          }
        }
        if (seen === 0) skip("no turn was silent for so long that a keepalive came");
      },
    },
  ],
};
