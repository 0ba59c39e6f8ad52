import { openClient } from "./client.ts";
import { marked, type Recording } from "./recording.ts";
import { requestOf, type Way } from "./requests.ts";
import type { Target } from "./target.ts";
import type { BenchClient } from "./turn.ts";
import { type Answer, type Upstream } from "./upstream.ts";

/** What many sessions at once did in one round. */
export type Load = {
  readonly sessions: number;
  readonly turns: number;
  readonly events: number;
  readonly seconds: number;
  /** What went wrong, once for each kind. */
  readonly errors: readonly string[];
  /** How long the last session took, against the first: 1 is perfectly fair. */
  readonly unfairness: number;
  /** CPU seconds of this process, the scripted model among them: beyond one a second, it is what limits the turns. */
  readonly ownCpuSeconds: number;
};

/** Opens sessions that run the same recording at the same time, each turn as soon as the one before has ended. */
export async function measureLoad(
  target: Target,
  mode: Way,
  upstream: Upstream,
  load: {
    readonly recording: Recording;
    readonly answers: readonly Answer[];
    readonly sessions: number;
    readonly compress?: boolean;
    /** Between the first turns of two sessions, so that paced ones do not all speak in the same instant. */
    readonly staggerMs?: number;
  },
): Promise<Load> {
  const { recording, answers, sessions, compress = false, staggerMs = 0 } = load;
  const clients: BenchClient[] = [];
  for (let index = 0; index < sessions; index += 1) clients.push(await openClient(target, mode, { compress }));
  const errors = new Set<string>();
  const spans: number[] = [];
  let turns = 0;
  let events = 0;
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  const session = async (client: BenchClient, index: number): Promise<void> => {
    const script = upstream.script(answers);
    const own = marked(recording, script.marker);
    if (staggerMs > 0) await new Promise((resolve) => setTimeout(resolve, index * staggerMs));
    const began = performance.now();
    try {
      let previous: string | null = null;
      for (let turn = 0; turn < own.turns.length; turn += 1) {
        const result = await client.turn(requestOf(own, mode, turn, { previous }));
        previous = result.id;
        turns += 1;
        events += result.events;
      }
      spans.push(performance.now() - began);
    } catch (error) {
      errors.add((error as Error).message);
    } finally {
      upstream.forget(script);
    }
  };
  await Promise.all(clients.map(session));
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  for (const client of clients) client.close();
  return {
    sessions,
    turns,
    events,
    seconds,
    errors: [...errors],
    unfairness: Math.max(...spans) / Math.min(...spans),
    ownCpuSeconds: (user + system) / 1e6,
  };
}
