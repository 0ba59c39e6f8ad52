import { Random } from "./random.ts";
import { marked, type Recording } from "./recording.ts";
import { requestOf } from "./requests.ts";
import { openSocketClient, type SocketClient } from "./socket-client.ts";
import type { Target } from "./target.ts";
import type { Answer, Upstream } from "./upstream.ts";

const AT_ONCE = 8;

export type IdleWorkload = {
  readonly recording: Recording;
  readonly answers: readonly Answer[];
  readonly sessions: number;
  readonly compress: boolean;
};

type Session = { readonly client: SocketClient; previous: string | null };

/** WebSocket sessions that have run a recording, and are left open and idle. */
export class IdleSessions {
  readonly #model: string;
  readonly #sessions: readonly Session[];

  private constructor(model: string, sessions: readonly Session[]) {
    this.#model = model;
    this.#sessions = sessions;
  }

  static async open(target: Target, upstream: Upstream, workload: IdleWorkload): Promise<IdleSessions> {
    const { recording, answers, sessions, compress } = workload;
    const opened: Session[] = [];
    let begun = 0;
    const open = async (): Promise<void> => {
      while (begun < sessions) {
        begun += 1;
        const client = await openSocketClient(target, { compress });
        const script = upstream.script(answers);
        const own = marked(recording, script.marker);
        let previous: string | null = null;
        for (let turn = 0; turn < own.turns.length; turn += 1) {
          previous = (await client.turn(requestOf(own, "websocket", turn, { previous }))).id;
        }
        upstream.forget(script);
        opened.push({ client, previous });
      }
    };
    const results = await Promise.allSettled(Array.from({ length: AT_ONCE }, open));
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) {
      for (const { client } of opened) client.close();
      throw failed.reason;
    }
    return new IdleSessions(recording.model, opened);
  }

  get count(): number {
    return this.#sessions.length;
  }

  /** A further turn of one of them, small both ways: milliseconds from its request to its last event. */
  async turn(index: number): Promise<number> {
    const session = this.#sessions[index];
    if (session === undefined) throw new RangeError(`there is no session ${index}`);
    const input = [{ type: "message", role: "user", content: "Are you still there?" }];
    const further: Recording = {
      id: "",
      model: this.#model,
      instructions: "",
      tools: [],
      turns: [{ input, output: [] }],
    };
    const request = requestOf(further, "websocket", 0, { previous: session.previous });
    const { id, sentAt, endedAt } = await session.client.turn(request);
    session.previous = id;
    return endedAt - sentAt;
  }

  /** Ends them in order; the server has seen the end of each. */
  async close(): Promise<void> {
    await Promise.all(this.#sessions.map(({ client }) => client.leave()));
  }
}

/** One turn that brings a context of this size. */
export function idleRecording(contextBytes: number): Recording {
  const text = "what was said before, in so many words. ".repeat(contextBytes / 40);
  const said = { type: "message", role: "assistant", content: [{ type: "output_text", text: "understood" }] };
  const input = [{ type: "message", role: "user", content: [{ type: "input_text", text }] }];
  return { id: "idle", model: "bench", instructions: "", tools: [], turns: [{ input, output: [said] }] };
}

/** Turns one after another, on sessions that are picked at random: milliseconds of each. */
export async function turnTimes(idle: IdleSessions, turns: number, seed: number): Promise<readonly number[]> {
  const random = new Random(seed);
  const times: number[] = [];
  for (let count = 0; count < turns; count += 1) times.push(await idle.turn(random.integer(0, idle.count - 1)));
  return times;
}
