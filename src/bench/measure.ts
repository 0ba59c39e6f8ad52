import { cpus, platform, release, totalmem } from "node:os";
import { measureLatency } from "./measure-latency.ts";
import { measureMemory, measureWaves, watchedTargets } from "./measure-memory.ts";
import { measureBytes, measureLatencies, measureLoads, measureRuns } from "./measure-turns.ts";
import { calibrate } from "./noise.ts";
import { entriesOf, type Entry, type Measure, type Plan } from "./plan.ts";
import { contextBytes } from "./recording.ts";
import { type Machine, NOT_MEASURED, type Report } from "./report.ts";
import { Steps } from "./steps.ts";
import { BenchError } from "./turn.ts";
import { measureUpload } from "./upload.ts";
import { answerOf } from "./upstream.ts";

/** Measures everything that the plan asks for. @throws BenchError when a target is not there, or asks another model */
export async function measure(plan: Plan): Promise<Report> {
  const { upstream, targets, recording, model, measures } = plan;
  upstream.pace({ ttftMs: 0, tokensPerSecond: 0, prefillMsPerToken: 0, cacheTokens: 0 });
  const problems: string[] = [];
  const plain = entriesOf(plan, false);
  for (const entry of plain) await preflight(entry, plan);
  const all = [...plain, ...(await takeCompression(plan, problems))];
  const noise = calibrate();
  const total = measures.reduce((sum, of) => sum + stepsOf(plan, plain.length, all.length)[of], 0);
  const steps = new Steps(plan.onProgress, noise.sample, problems, total);
  const answers = recording.turns.map(({ output }) => answerOf(output, model.burst));
  const startedAt = new Date().toISOString();
  // First: a process that had much to do has room left over, and its sessions would seem to cost nothing.
  const memory = measures.includes("memory") ? await measureMemory(plan, steps) : [];
  const waves = measures.includes("waves") ? await measureWaves(plan, steps) : [];
  const bytes = measures.includes("bytes") ? await measureBytes(plan, all, answers, steps) : [];
  const latency = measures.includes("latency") ? await measureLatencies(plan, plain, steps) : [];
  const load = measures.includes("load") ? await measureLoads(plan, all, answers, steps) : [];
  upstream.pace(model);
  const runs = measures.includes("runs") ? await measureRuns(plan, all, answers, steps) : [];
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
    waves,
    problems,
    notMeasured: NOT_MEASURED,
  };
}

function stepsOf(plan: Plan, plain: number, all: number): { readonly [M in Measure]: number } {
  const watched = watchedTargets(plan).length;
  return {
    memory: watched,
    waves: watched * plan.waves,
    bytes: all,
    latency: plain * plan.sizes.length * plan.rounds,
    load: all * (plan.rounds + 1),
    runs: all * plan.links.length * plan.rounds,
  };
}

/** A few small turns: is there a server, and does it ask this tool's model? */
async function preflight({ target, mode, compress }: Entry, { upstream }: Plan): Promise<void> {
  try {
    await measureLatency(target, mode, upstream, { contextBytes: 100, turns: 1, compress });
  } catch (error) {
    if (error instanceof BenchError) throw error;
    throw new BenchError(`${target.name} (${target.url}) cannot be measured: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** The entries with compression, of targets that take it; the others are told once, and not in every measure. */
async function takeCompression(plan: Plan, problems: string[]): Promise<readonly Entry[]> {
  const taking: Entry[] = [];
  for (const entry of entriesOf(plan, true)) {
    try {
      await preflight(entry, plan);
      taking.push(entry);
    } catch (error) {
      problems.push(`${entry.target.name}, ${entry.mode}, compressed: ${(error as Error).message}`);
    }
  }
  return taking;
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
