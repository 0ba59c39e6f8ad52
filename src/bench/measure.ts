import { cpus, platform, release, totalmem } from "node:os";
import type { LinkSpec } from "./link.ts";
import { measureLatency } from "./measure-latency.ts";
import { measureLoad } from "./measure-load.ts";
import { openIdleSessions } from "./measure-memory.ts";
import { measureRun } from "./measure-run.ts";
import { calibrate } from "./noise.ts";
import { processUsage } from "./process.ts";
import { contextBytes, type Recording } from "./recording.ts";
import {
  type BytesRow,
  type LatencyRow,
  type LoadRow,
  type Machine,
  type MemoryRow,
  NOT_MEASURED,
  type Report,
  type RunRow,
} from "./report.ts";
import type { Mode } from "./requests.ts";
import { figure, median } from "./statistics.ts";
import type { Target } from "./target.ts";
import { BenchError } from "./turn.ts";
import { measureUpload } from "./upload.ts";
import { type Answer, answerOf, type Upstream, type UpstreamOptions } from "./upstream.ts";

/** What can be measured, in the order in which it is. */
export const MEASURES = ["bytes", "latency", "runs", "load", "memory"] as const;
type Measure = (typeof MEASURES)[number];

export type Plan = {
  readonly version: string;
  readonly targets: readonly (Target & { readonly isOwn: boolean })[];
  /** The scripted model that stands behind every target. */
  readonly upstream: Upstream;
  /** How it behaves in whole runs; everywhere else it answers at once. */
  readonly model: UpstreamOptions;
  readonly recording: Recording;
  readonly measures: readonly Measure[];
  readonly modes: readonly Mode[];
  /** Contexts for latencies, in bytes. */
  readonly sizes: readonly number[];
  readonly latencyTurns: number;
  /** Null is no link: straight to the target. */
  readonly links: readonly (LinkSpec | null)[];
  readonly sessions: number;
  readonly idleSessions: number;
  readonly rounds: number;
  /** Called with what is being done, and how much of everything is done. */
  readonly onProgress: (doing: string, done: number, total: number) => void;
};

/** A target in one mode: what is measured in turns. */
type Entry = { readonly target: Target; readonly mode: Mode };

const IDLE_CONTEXT = 100_000;

/** Measures everything that the plan asks for. @throws BenchError when a target is not there, or asks another model */
export async function measure(plan: Plan): Promise<Report> {
  const { upstream, targets, recording, model } = plan;
  for (const target of targets) await preflight(target, plan);
  const noise = calibrate();
  const problems: string[] = [];
  const steps = new Steps(plan, noise.sample, problems);
  const answers = recording.turns.map(({ output }) => answerOf(output, model.burst));
  const startedAt = new Date().toISOString();
  upstream.pace({ ttftMs: 0, tokensPerSecond: 0, prefillMsPerToken: 0, cacheTokens: 0 });
  const bytes = plan.measures.includes("bytes") ? await measureBytes(plan, answers, steps) : [];
  const latency = plan.measures.includes("latency") ? await measureLatencies(plan, steps) : [];
  const load = plan.measures.includes("load") ? await measureLoads(plan, answers, steps) : [];
  upstream.pace(model);
  const runs = plan.measures.includes("runs") ? await measureRuns(plan, answers, steps) : [];
  upstream.pace({ ttftMs: 0, tokensPerSecond: 0, prefillMsPerToken: 0, cacheTokens: 0 });
  // Last: it leaves the processes larger than they were.
  const memory = plan.measures.includes("memory") ? await measureMemory(plan, steps) : [];
  return {
    version: plan.version,
    startedAt,
    machine: machine(),
    noise: { spread: noise.spread(), line: noise.line() },
    settings: {
      rounds: plan.rounds,
      ttftMs: model.ttftMs,
      tokensPerSecond: model.tokensPerSecond,
      burst: model.burst,
      prefillMsPerToken: model.prefillMsPerToken,
      cacheTokens: model.cacheTokens,
    },
    targets: targets.map(({ name, url, isOwn }) => ({ name, url, isOwn })),
    workload: {
      id: recording.id,
      turns: recording.turns.length,
      settingsBytes: Buffer.byteLength(recording.instructions + JSON.stringify(recording.tools)),
      contextBytes: contextBytes(recording),
    },
    uploads: [await measureUpload(recording)],
    bytes,
    latency,
    runs,
    load,
    memory,
    problems,
    notMeasured: NOT_MEASURED,
  };
}

/** One small turn: is there a server, and does it ask this tool's model? */
async function preflight(target: Target, { upstream, modes }: Plan): Promise<void> {
  for (const mode of modes) {
    try {
      await measureLatency(target, mode, upstream, { contextBytes: 100, turns: 1 });
    } catch (error) {
      if (error instanceof BenchError) throw error;
      throw new BenchError(`${target.name} (${target.url}) cannot be measured: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}

/** Counts the steps of a plan, and goes through rounds: every entry in each, the first one of a round changing. */
class Steps {
  readonly #plan: Plan;
  readonly #sample: () => void;
  readonly #problems: string[];
  readonly #total: number;
  #done = 0;

  constructor(plan: Plan, sample: () => void, problems: string[]) {
    this.#plan = plan;
    this.#sample = sample;
    this.#problems = problems;
    const { targets, modes, sizes, links, rounds } = plan;
    const entries = targets.length * modes.length;
    const counts: { readonly [M in Measure]: number } = {
      bytes: entries * 2,
      latency: entries * sizes.length * rounds,
      runs: entries * links.length * rounds,
      load: entries * (rounds + 1),
      memory: targets.length,
    };
    this.#total = plan.measures.reduce((sum, measured) => sum + counts[measured], 0);
  }

  /** One step; what fails is a problem, and not the end. */
  async step<T>(doing: string, act: () => Promise<T>): Promise<T | null> {
    this.#plan.onProgress(doing, this.#done, this.#total);
    this.#sample();
    try {
      return await act();
    } catch (error) {
      const problem = `${doing}: ${(error as Error).message}`;
      if (!this.#problems.includes(problem)) this.#problems.push(problem);
      return null;
    } finally {
      this.#done += 1;
    }
  }

  /** What each entry gave in all the rounds; an entry that failed has fewer. */
  async rounds<T>(
    doing: string,
    act: (entry: Entry, round: number) => Promise<T>,
    rounds: number,
  ): Promise<Map<Entry, T[]>> {
    const { targets, modes } = this.#plan;
    const entries = modes.flatMap((mode) => targets.map((target) => ({ target, mode })));
    const results = new Map<Entry, T[]>(entries.map((entry) => [entry, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (let index = 0; index < entries.length; index += 1) {
        const entry = entries[(index + round) % entries.length];
        if (entry === undefined) continue;
        const title = `${doing}, ${entry.target.name}, ${entry.mode}`;
        const result = await this.step(title, () => act(entry, round));
        if (result !== null) results.get(entry)?.push(result);
      }
    }
    return results;
  }
}

async function measureBytes(plan: Plan, answers: readonly Answer[], steps: Steps): Promise<readonly BytesRow[]> {
  const { recording, upstream } = plan;
  const rows: BytesRow[] = [];
  for (const compress of [false, true]) {
    const act = ({ target, mode }: Entry) =>
      measureRun(target, mode, upstream, { recording, answers, link: null, compress });
    const results = await steps.rounds(`bytes${compress ? ", compressed" : ""}`, act, 1);
    for (const [{ target, mode }, [run]] of results) {
      if (run !== undefined)
        rows.push({ target: target.name, mode, compress, up: run.up, down: run.down, turns: run.turns });
    }
  }
  return rows;
}

async function measureLatencies(plan: Plan, steps: Steps): Promise<readonly LatencyRow[]> {
  const { upstream, latencyTurns: turns, rounds } = plan;
  const rows: LatencyRow[] = [];
  for (const size of plan.sizes) {
    const act = ({ target, mode }: Entry) => measureLatency(target, mode, upstream, { contextBytes: size, turns });
    const results = await steps.rounds(`latency at ${Math.round(size / 1000)} KB`, act, rounds);
    for (const [{ target, mode }, found] of results) {
      if (found.length === 0) continue;
      const of = (part: "in" | "out" | "tail") =>
        figure(found.map((latencies) => median(latencies.map((one) => one[part]))));
      rows.push({ target: target.name, mode, contextBytes: size, in: of("in"), out: of("out"), tail: of("tail") });
    }
  }
  return rows;
}

async function measureRuns(plan: Plan, answers: readonly Answer[], steps: Steps): Promise<readonly RunRow[]> {
  const { recording, upstream, rounds } = plan;
  const rows: RunRow[] = [];
  for (const link of plan.links) {
    const act = ({ target, mode }: Entry) =>
      measureRun(target, mode, upstream, { recording, answers, link, compress: false });
    const results = await steps.rounds(`runs over ${link?.name ?? "loopback"}`, act, rounds);
    for (const [{ target, mode }, found] of results) {
      if (found.length === 0) continue;
      rows.push({
        target: target.name,
        mode,
        link,
        compress: false,
        seconds: figure(found.map((run) => run.seconds)),
        modelSeconds: median(found.map((run) => run.modelSeconds)),
        promptTokens: median(found.map((run) => run.promptTokens)),
        cachedTokens: median(found.map((run) => run.cachedTokens)),
      });
    }
  }
  return rows;
}

async function measureLoads(plan: Plan, answers: readonly Answer[], steps: Steps): Promise<readonly LoadRow[]> {
  const { recording, upstream, sessions, rounds } = plan;
  const act = async ({ target, mode }: Entry) => {
    const before = target.pid === null ? null : processUsage(target.pid);
    const load = await measureLoad(target, mode, upstream, { recording, answers, sessions });
    const after = target.pid === null ? null : processUsage(target.pid);
    const [error] = load.errors;
    if (error !== undefined) throw new BenchError(error);
    const cpu = before === null || after === null ? null : ((after.cpuSeconds - before.cpuSeconds) * 1000) / load.turns;
    return { ...load, cpu };
  };
  const results = await steps.rounds(`${sessions} sessions at once`, act, rounds + 1);
  const rows: LoadRow[] = [];
  for (const [{ target, mode }, [, ...found]] of results) {
    if (found.length === 0) continue;
    // No CPU at all for so many turns is that of another process: the number that was given is not the server's.
    const cpu = found.flatMap((load) => (load.cpu === null || load.cpu === 0 ? [] : [load.cpu]));
    rows.push({
      target: target.name,
      mode,
      sessions,
      turnsPerSecond: figure(found.map((load) => load.turns / load.seconds)),
      eventsPerSecond: figure(found.map((load) => load.events / load.seconds)),
      cpuPer1000Turns: cpu.length === 0 ? null : figure(cpu),
      unfairness: median(found.map((load) => load.unfairness)),
      ownCpu: median(found.map((load) => load.ownCpuSeconds / load.seconds)),
    });
  }
  return rows;
}

async function measureMemory(plan: Plan, steps: Steps): Promise<readonly MemoryRow[]> {
  const { upstream, idleSessions: sessions } = plan;
  const text = "what was said before, in so many words. ".repeat(IDLE_CONTEXT / 40);
  const said = { type: "message", role: "assistant", content: [{ type: "output_text", text: "understood" }] };
  const input = [{ type: "message", role: "user", content: [{ type: "input_text", text }] }];
  const turns = [{ input, output: [said] }];
  const recording: Recording = { id: "idle", model: plan.recording.model, instructions: "", tools: [], turns };
  const answers = [answerOf([said], 8)];
  const rows: MemoryRow[] = [];
  for (const target of plan.targets) {
    const { pid, name } = target;
    if (pid === null || !plan.modes.includes("websocket")) continue;
    await steps.step(`memory of ${sessions} idle sessions, ${name}`, async () => {
      const before = processUsage(pid);
      const idle = await openIdleSessions(target, upstream, { recording, answers, sessions, compress: false });
      const after = processUsage(pid);
      idle.close();
      if (before === null || after === null) return;
      const bytesPerSession = (after.memoryBytes - before.memoryBytes) / sessions;
      rows.push({ target: name, sessions, contextBytes: IDLE_CONTEXT, bytesPerSession });
    });
  }
  return rows;
}

function machine(): Machine {
  const [first] = cpus();
  return {
    cpu: first?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${platform()} ${release()}`,
    node: process.version,
  };
}
