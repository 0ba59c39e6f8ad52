import type { Plan } from "./plan.ts";
import { IdleSessions, idleRecording, type IdleWorkload, turnTimes } from "./idle-sessions.ts";
import { processUsage } from "./process.ts";
import type { MemoryRow, TurnTimes, WavesRow } from "./report.ts";
import { quantile } from "./statistics.ts";
import type { Steps } from "./steps.ts";
import { answerOf } from "./upstream.ts";

const IDLE_CONTEXT = 100_000;
/** So that what a server loads and compiles for its first sessions is not counted. */
const WARM_UP_SESSIONS = 20;
/** Turns on idle sessions: those that warm up, then those that are counted. */
const WARM_UP_TURNS = 400;
const COUNTED_TURNS = 300;

/** How many of a plan's targets can be measured from the side of their process. */
export function watchedTargets({ targets, modes }: Plan): Plan["targets"] {
  return modes.includes("websocket") ? targets.filter(({ pid }) => pid !== null) : [];
}

/** What idle sessions hold, and how long a turn takes on one of them: a session that sleeps has to wake at once. */
export async function measureMemory(plan: Plan, steps: Steps): Promise<readonly MemoryRow[]> {
  const { upstream, idleSessions: sessions } = plan;
  const rows: MemoryRow[] = [];
  for (const target of watchedTargets(plan)) {
    const { pid, name } = target;
    await steps.step(`memory of ${sessions} idle sessions, ${name}`, async () => {
      const few = await IdleSessions.open(target, upstream, { ...workload(plan), sessions: WARM_UP_SESSIONS });
      await timesOf(few, WARM_UP_TURNS);
      const fresh = await timesOf(few, COUNTED_TURNS);
      await few.close();
      const before = processUsage(pid ?? 0);
      const idle = await IdleSessions.open(target, upstream, { ...workload(plan), sessions });
      const after = processUsage(pid ?? 0);
      const among = await timesOf(idle, COUNTED_TURNS);
      await idle.close();
      if (before === null || after === null) return;
      const bytesPerSession = (after.memoryBytes - before.memoryBytes) / sessions;
      const turns = { few: WARM_UP_SESSIONS, fresh, among };
      rows.push({ target: name, sessions, contextBytes: IDLE_CONTEXT, bytesPerSession, turns });
    });
  }
  return rows;
}

/** Sessions that come and go: what a server takes for the first ones it has to have for all later ones. */
export async function measureWaves(plan: Plan, steps: Steps): Promise<readonly WavesRow[]> {
  const { upstream, idleSessions: sessions } = plan;
  const rows: WavesRow[] = [];
  for (const target of watchedTargets(plan)) {
    const { pid, name } = target;
    const before = processUsage(pid ?? 0);
    const waves: number[] = [];
    for (let wave = 1; wave <= plan.waves; wave += 1) {
      await steps.step(`waves of ${sessions} sessions, ${name}`, async () => {
        const idle = await IdleSessions.open(target, upstream, { ...workload(plan), sessions });
        const open = processUsage(pid ?? 0);
        await idle.close();
        if (open !== null) waves.push(open.memoryBytes);
      });
    }
    if (before === null || waves.length === 0) continue;
    rows.push({ target: name, sessions, contextBytes: IDLE_CONTEXT, before: before.memoryBytes, waves });
  }
  return rows;
}

function workload(plan: Plan): Omit<IdleWorkload, "sessions"> {
  const recording = { ...idleRecording(IDLE_CONTEXT), model: plan.recording.model };
  return { recording, answers: recording.turns.map(({ output }) => answerOf(output, 8)), compress: false };
}

async function timesOf(idle: IdleSessions, turns: number): Promise<TurnTimes> {
  const times = await turnTimes(idle, turns, turns);
  return { median: quantile(times, 0.5), p99: quantile(times, 0.99), turns };
}
