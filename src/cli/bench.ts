import { writeFileSync } from "node:fs";
import { styleText } from "node:util";
import type { Plan } from "../bench/plan.ts";
import type { Report } from "../bench/report.ts";
import type { UpstreamOptions } from "../bench/upstream.ts";
import { VERSION } from "../version.ts";
import {
  amount,
  type BenchFlags,
  count,
  MEASURE_FLAGS,
  MODEL_FLAGS,
  pair,
  readFlags,
  recordingsOf,
  TARGET_FLAGS,
  UPSTREAM_FLAGS,
  words,
  WORKLOAD_FLAGS,
} from "./bench-flags.ts";
import { startOwnServer } from "./bench-server.ts";
import { type Command, EXIT, UserError } from "./command.ts";

/** `turnwire bench`: what stateful turns save, measured on any server, or counted from any recorded run. */
export const bench: Command = {
  name: "bench",
  summary: "measure what stateful turns save in bytes and time, on any server",
  usage: "[bytes | upstream] [flags]",
  takesSettings: false,
  sections: [
    [
      "Commands",
      [
        ["bench", "Measure servers, with a scripted model behind them: bytes, time added, whole runs, load, memory."],
        ["bench bytes --from <file>", "What recorded runs upload in each mode. Needs no server."],
        ["bench upstream", "Only the scripted model, for other tools: an OpenAI-compatible chat server."],
      ],
    ],
    ["Targets", TARGET_FLAGS],
    ["Runs to measure with", WORKLOAD_FLAGS],
    ["Measurement", MEASURE_FLAGS],
    ["Scripted model", [...MODEL_FLAGS, ...UPSTREAM_FLAGS]],
  ],
  flags: [],
  examples: [
    ["this version, on this machine", "turnwire bench --quick --html report.html"],
    ["what WebSocket mode would have saved on your own runs", "turnwire bench bytes --from ~/.codex/sessions"],
    [
      "two servers side by side; both were started with http://127.0.0.1:4499/v1 as their model server",
      "turnwire bench --target a=http://127.0.0.1:4400 --target b=http://127.0.0.1:8080",
    ],
    [
      "whole runs at home, with a model that thinks",
      "turnwire bench --measure runs --link rtt=60ms,up=20mbit,down=100mbit --ttft 300 --rate 80 --prefill 100",
    ],
    ["a model server without a GPU", "turnwire bench upstream --port 9000 --ttft 200 --rate 50"],
  ],
  run: async (args) => {
    const { command, flags } = readFlags(args);
    // Only here: the help of other commands need not wait for all of this to be loaded.
    const { BenchError } = await import("../bench/turn.ts");
    try {
      if (command === "bytes") return await countBytes(flags);
      if (command === "upstream") return await runUpstream(flags);
      return await measureAll(flags);
    } catch (error) {
      if (error instanceof BenchError) throw new UserError(error.message, EXIT.failure);
      throw error;
    }
  },
};

async function countBytes(flags: BenchFlags): Promise<number> {
  const { measureUpload } = await import("../bench/upload.ts");
  const { uploadReport } = await import("../bench/text-upload.ts");
  const recordings = await recordingsOf(flags);
  const show = progress();
  const uploads = [];
  for (const [index, recording] of recordings.entries()) {
    show.step(recording.id, index, recordings.length);
    uploads.push(await measureUpload(recording));
  }
  show.end();
  if (flags.html !== undefined) {
    const { uploadPage } = await import("../bench/html-report.ts");
    writeReport(flags.html, uploadPage(uploads, VERSION));
  }
  if (flags.json === true) {
    console.log(JSON.stringify(uploads, null, 2));
  } else {
    console.log(uploadReport(uploads));
  }
  return EXIT.ok;
}

async function runUpstream(flags: BenchFlags): Promise<number> {
  const { Upstream } = await import("../bench/upstream.ts");
  const port = count("port", flags.port, 9000, 0);
  const upstream = await Upstream.start(modelOf(flags), port, flags.host ?? "127.0.0.1").catch((error: Error) => {
    throw new UserError(`the scripted model cannot listen: ${error.message}`, EXIT.failure);
  });
  console.log(upstream.url);
  await new Promise<void>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  await upstream.close();
  return EXIT.ok;
}

async function measureAll(flags: BenchFlags): Promise<number> {
  const { Upstream } = await import("../bench/upstream.ts");
  const { measure } = await import("../bench/measure.ts");
  const { textReport } = await import("../bench/text-report.ts");
  const isOwn = flags.target === undefined;
  const model = modelOf(flags);
  // Before anything is started: a mistake is told at once.
  const plan = await planOf(flags, model);
  const given = targetsOf(flags);
  const port = count("upstream-port", flags["upstream-port"], isOwn ? 0 : 4499, 0);
  const upstream = await Upstream.start(model, port).catch((error: Error) => {
    throw new UserError(`the scripted model cannot listen: ${error.message}`, EXIT.failure);
  });
  const own = isOwn ? await startOwnServer(upstream.url) : undefined;
  const show = progress();
  try {
    const targets =
      own === undefined ? given : [{ name: "turnwire", url: own.url, key: null, pid: own.pid, isOwn: true as boolean }];
    const report = await measure({ ...plan, upstream, targets, onProgress: show.step });
    show.end();
    if (flags.html !== undefined) await writePage(flags.html, report);
    console.log(flags.json === true ? JSON.stringify(report, null, 2) : textReport(report));
    return report.problems.length === 0 ? EXIT.ok : EXIT.failure;
  } finally {
    show.end();
    await own?.close();
    await upstream.close();
  }
}

async function planOf(
  flags: BenchFlags,
  model: UpstreamOptions,
): Promise<Omit<Plan, "upstream" | "targets" | "onProgress">> {
  const { MEASURES } = await import("../bench/plan.ts");
  const { WAYS } = await import("../bench/requests.ts");
  const { parseLink } = await import("../bench/link.ts");
  const { openFilesLimit } = await import("../bench/process.ts");
  const { firstTurns } = await import("../bench/recording.ts");
  const isQuick = flags.quick === true;
  const sizes =
    flags.size?.flatMap((text) => text.split(",")) ?? (isQuick ? ["10", "500"] : ["10", "100", "500", "2000"]);
  const links = flags.link ?? (isQuick ? ["none", LINKS[1]] : ["none", ...LINKS]);
  const recordings = await recordingsOf(flags);
  const longest = recordings.toSorted((one, other) => other.turns.length - one.turns.length)[0];
  if (longest === undefined) throw new UserError("there is no run to measure with", EXIT.usage);
  const measures = words("measure", flags.measure, MEASURES);
  const idleSessions = count("idle", flags.idle, 500);
  if (measures.includes("memory") || measures.includes("waves")) checkOpenFiles(idleSessions, openFilesLimit());
  const turns = isQuick && flags.turns === undefined ? QUICK_TURNS : longest.turns.length;
  return {
    version: VERSION,
    model,
    recording: firstTurns(longest, turns),
    measures,
    modes: words("mode", flags.mode, WAYS),
    sizes: sizes.map((text) => count("size", text, 0) * 1000),
    latencyTurns: isQuick ? 10 : 25,
    links: links.map((text) => (text === "none" ? null : parseLink(text))),
    sessions: count("sessions", flags.sessions, 16),
    idleSessions,
    waves: count("waves", flags.waves, 8, 3),
    rounds: count("rounds", flags.rounds, isQuick ? 3 : 5),
  };
}

/** Connections and files beside those of the idle sessions. */
const OTHER_FILES = 200;

/** Told before anything is started: in the middle of it, it looks as if the server refused connections. */
function checkOpenFiles(sessions: number, limit: number | null): void {
  const needed = sessions + OTHER_FILES;
  if (limit === null || needed <= limit) return;
  const advice = `raise it first, with 'ulimit -n ${needed}', for the targets as well, or take fewer`;
  throw new UserError(`--idle ${sessions}: a process may have ${limit} files open here; ${advice}`, EXIT.usage);
}

/** Half of the usual generated run. */
const QUICK_TURNS = 20;

/** A network in the same city, and one at home. */
const LINKS = ["rtt=20ms,up=100mbit,down=100mbit", "rtt=60ms,up=20mbit,down=100mbit"] as const;

function targetsOf(flags: BenchFlags): Plan["targets"] {
  const pids = new Map((flags.pid ?? []).map((text) => pair("pid", text)));
  const targets = (flags.target ?? []).map((text) => {
    const [name, url] = pair("target", text);
    if (!URL.canParse(url) || !/^(https?|wss?):$/.test(new URL(url).protocol)) {
      throw new UserError(`--target ${name}: '${url}' is not an http address`, EXIT.usage);
    }
    const pid = pids.has(name) ? count("pid", pids.get(name), 0) : null;
    return { name, url: url.replace(/^ws/, "http"), key: flags.key ?? null, pid, isOwn: false };
  });
  if (targets.some(({ name }) => name === "direct")) {
    throw new UserError("--target: 'direct' is the model with no server in front; choose another name", EXIT.usage);
  }
  const stranger = [...pids.keys()].find((name) => !targets.some((target) => target.name === name));
  if (stranger !== undefined) throw new UserError(`--pid names '${stranger}', which is no target`, EXIT.usage);
  const twice = targets.find(({ name }, index) => targets.some((other, at) => at < index && other.name === name));
  if (twice !== undefined) throw new UserError(`two targets have the name '${twice.name}'`, EXIT.usage);
  return targets;
}

function modelOf(flags: BenchFlags): UpstreamOptions {
  const prefill = amount("prefill", flags.prefill, 0);
  return {
    ttftMs: amount("ttft", flags.ttft, 0),
    tokensPerSecond: amount("rate", flags.rate, 0),
    burst: count("burst", flags.burst, 8),
    prefillMsPerToken: prefill / 1000,
    cacheTokens: count("cache", flags.cache, prefill > 0 ? 1_000_000 : 0, 0),
    answerTokens: count("answer", flags.answer, 64),
  };
}

type Show = { readonly step: (doing: string, done: number, total: number) => void; readonly end: () => void };

/** On a terminal one line tells how far it is; elsewhere each kind of measurement is told once. It goes to stderr. */
function progress(): Show {
  let last = "";
  if (!process.stderr.isTTY) {
    const step = (doing: string): void => {
      const [kind = ""] = doing.split(", ");
      if (kind !== last) process.stderr.write(`${kind}\n`);
      last = kind;
    };
    return { step, end: () => undefined };
  }
  return {
    step: (doing, done, total) => {
      const share = Math.floor((done / Math.max(1, total)) * 100);
      process.stderr.write(`\r\u001b[K${String(share).padStart(3)} % ${styleText("dim", doing)}`);
    },
    end: () => {
      process.stderr.write("\r\u001b[K");
    },
  };
}

async function writePage(file: string, report: Report): Promise<void> {
  const { reportPage } = await import("../bench/html-report.ts");
  writeReport(file, reportPage(report));
}

function writeReport(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UserError(`the report cannot be written: ${(error as Error).message}`, EXIT.failure);
  }
}
