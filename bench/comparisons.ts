// What Turnwire and the floor are compared in. The first server is ours, the second one the floor; rounds take turns.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { openClient, play } from "../src/bench/client.ts";
import { generate } from "../src/bench/generate.ts";
import { measureLatency, type Latency } from "../src/bench/measure-latency.ts";
import { measureLoad } from "../src/bench/measure-load.ts";
import { marked, type Recording } from "../src/bench/recording.ts";
import type { Mode } from "../src/bench/requests.ts";
import { median, slope } from "../src/bench/statistics.ts";
import { answerOf } from "../src/bench/upstream.ts";
import type { Running } from "./servers.ts";
import { type Comparison, interleaved, KB, type Row, row, type Setting } from "./comparison.ts";
import { idle, memory, waves } from "./idle-comparisons.ts";

const MODES: readonly Mode[] = ["websocket", "previous", "full"];

const latency: Comparison = async (setting) => {
  const sizes = setting.isQuick ? [10, 500] : [10, 100, 500, 2000];
  const turns = setting.isQuick ? 15 : 25;
  const rows: Row[] = [];
  for (const mode of MODES) {
    const results = await interleaved(setting, async (server) => {
      const bySize: Latency[][] = [];
      for (const size of sizes) {
        bySize.push([...(await measureLatency(server, mode, setting.upstream, { contextBytes: size * KB, turns }))]);
      }
      return bySize;
    });
    for (const [index, size] of sizes.entries()) {
      for (const part of ["in", "out", "tail"] as const) {
        const values = results.map((rounds) =>
          rounds.flatMap((sized) => (sized[index] ?? []).map((turn) => turn[part])),
        );
        rows.push(row(`${mode} ${size} KB ${part}`, values, "ms", mode === "full" ? "" : "≤ 1.5, or + 0.5 ms"));
      }
    }
    const slopes = results.map((rounds) =>
      rounds.map((sized) =>
        slope(sized.map((turns, index) => [(sizes[index] ?? 0) / 100, median(turns.map((turn) => turn.in)) * 1000])),
      ),
    );
    rows.push(row(`${mode} slope of in`, slopes, "µs per 100 KB", mode === "websocket" ? "≤ 60 µs" : ""));
  }
  return rows;
};

/** Sessions that run as fast as they can, or as the model does. */
async function load(setting: Setting, mode: Mode, sessions: number, recording: Recording, staggerMs = 0) {
  const answers = recording.turns.map(({ output }) => answerOf(output, staggerMs === 0 ? 8 : 1));
  return interleaved(setting, async (server, round) => {
    if (round === 0) await measureLoad(server, mode, setting.upstream, { recording, answers, sessions, staggerMs });
    const before = await server.usage();
    const measured = await measureLoad(server, mode, setting.upstream, { recording, answers, sessions, staggerMs });
    const after = await server.usage();
    if (measured.errors.length > 0) console.error(server.name, measured.errors);
    return { ...measured, ...after, cpuMicroseconds: after.cpuMicroseconds - before.cpuMicroseconds };
  });
}

const cpu: Comparison = async (setting) => {
  const recording = generate("coding", 1, setting.isQuick ? 20 : 40);
  const rows: Row[] = [];
  for (const mode of MODES) {
    const results = await load(setting, mode, 16, recording);
    const perTurn = results.map((rounds) => rounds.map((one) => one.cpuMicroseconds / 1000 / one.turns));
    rows.push(row(`${mode}: CPU a turn, 16 sessions`, perTurn, "ms", mode === "full" ? "≤ 1.6" : "≤ 1.8"));
    if (mode !== "websocket") continue;
    rows.push(
      row(
        "websocket: events a turn",
        results.map((rounds) => rounds.map((one) => one.events / one.turns)),
        "",
        "",
      ),
    );
  }
  return rows;
};

/** Four turns of a hundred tokens each: two seconds at 50 tokens a second. */
function talkative(): Recording {
  const { turns, ...settings } = generate("coding", 1, 4);
  const words = "word".repeat(100);
  return { ...settings, turns: turns.map(({ input }) => ({ input: promptOrGoOn(input), output: [say(words)] })) };
}

/** The answers call no tools, so no outputs of tools may come. */
function promptOrGoOn(input: Recording["turns"][number]["input"]): Recording["turns"][number]["input"] {
  const prompts = input.filter(({ type }) => type === "message");
  return prompts.length > 0 ? prompts : [{ type: "message", role: "user", content: "Go on." }];
}

/** The servers after so many turns that compilers have little left to do: paced turns are too few for that. */
async function practised({ start, upstream }: Setting): Promise<readonly Running[]> {
  const recording = generate("coding", 1, 40);
  const answers = recording.turns.map(({ output }) => answerOf(output, 8));
  const servers = await start();
  for (const server of servers) {
    for (let time = 0; time < 4; time += 1) {
      await measureLoad(server, "websocket", upstream, { recording, answers, sessions: 16 });
    }
  }
  upstream.pace({ tokensPerSecond: 50 });
  return servers;
}

const paced: Comparison = async (setting) => {
  const few = { ...setting, rounds: Math.min(setting.rounds, 3), start: () => practised(setting) };
  const results = await load(few, "websocket", 120, talkative(), 7);
  const perEvent = results.map((rounds) => rounds.map((one) => one.cpuMicroseconds / one.events));
  return [row("websocket: CPU an event, 120 sessions at 50 tokens/s", perEvent, "µs", "≤ 1.25")];
};

const throughput: Comparison = async (setting) => {
  const recording = generate("coding", 1, setting.isQuick ? 10 : 20);
  const rows: Row[] = [];
  for (const sessions of [16, 128]) {
    const results = await load({ ...setting, rounds: Math.min(setting.rounds, 3) }, "websocket", sessions, recording);
    const rate = results.map((rounds) => rounds.map((one) => one.turns / one.seconds));
    rows.push(row(`websocket: turns a second, ${sessions} sessions`, rate, "", "≥ 0.6"));
    const events = results.map((rounds) => rounds.map((one) => one.events / one.seconds));
    rows.push(row(`websocket: events a second, ${sessions} sessions`, events, "", ""));
    const unfair = results.map((rounds) => rounds.map((one) => one.unfairness));
    rows.push(row(`websocket: slowest session to fastest, ${sessions}`, unfair, "", "near 1"));
    const busy = results.map((rounds) => rounds.map((one) => one.ownCpuSeconds / one.seconds));
    rows.push(row(`this tool's own CPU, ${sessions} sessions`, busy, "s per s", "1 is its limit"));
  }
  return rows;
};

const loop: Comparison = async (setting) => {
  setting.upstream.pace({ tokensPerSecond: 50 });
  const results = await load({ ...setting, rounds: Math.min(setting.rounds, 3) }, "websocket", 200, talkative(), 5);
  const delays = results.map((rounds) => rounds.map((one) => one.loopDelayP99));
  return [row("event-loop delay p99, 200 sessions at 50 tokens/s", delays, "ms", "< 50 ms")];
};

const FLAT_TURNS = 400;
const FLAT_PART = 100;

/** One long session of equal turns: what the last ones cost against the first ones, in each server. */
const flat: Comparison = async (setting) => {
  const text = "what a tool has found, in so many words. ".repeat(120);
  const turn = { input: [{ type: "message", role: "user", content: text }], output: [say("so it is. ".repeat(40))] };
  const turns = Array.from({ length: FLAT_TURNS + 1 }, () => turn);
  const recording: Recording = { id: "flat", model: "bench", instructions: "", tools: [], turns };
  const answers = turns.map(({ output }) => answerOf(output, 8));
  const results = await interleaved({ ...setting, rounds: Math.min(setting.rounds, 3) }, async (server) => {
    const script = setting.upstream.script(answers);
    const client = await openClient(server, "websocket");
    const marks: number[] = [];
    let index = 0;
    for await (const _ of play(client, marked(recording, script.marker), "websocket")) {
      if (index % FLAT_PART === 0) marks.push((await server.usage()).cpuMicroseconds);
      index += 1;
    }
    client.close();
    setting.upstream.forget(script);
    return marks.slice(1).map((mark, at) => (mark - (marks[at] ?? 0)) / FLAT_PART / 1000);
  });
  const rows = [1, FLAT_TURNS / FLAT_PART - 1].map((part) => {
    const title = `websocket: CPU a turn, turns ${part * FLAT_PART + 1} to ${(part + 1) * FLAT_PART} of ${FLAT_TURNS}`;
    return row(
      title,
      results.map((rounds) => rounds.map((parts) => parts[part] ?? Number.NaN)),
      "ms",
      "grows as the floor's",
    );
  });
  return rows;
};

function say(text: string) {
  return { type: "message", role: "assistant", content: [{ type: "output_text", text }] };
}

const TRACES = process.env["TURNWIRE_TRACES"] ?? resolve(import.meta.dirname, "../../shared/traces");

/** Upload and download over every recorded run that is at hand. */
const bytes: Comparison = async (setting) => {
  const traces = existsSync(TRACES) ? readdirSync(TRACES).filter((name) => name.endsWith(".json")) : [];
  if (traces.length === 0) console.error("no recorded runs: set TURNWIRE_TRACES to their folder");
  const rows: Row[] = [];
  const sum = { up: [0, 0], down: [0, 0] };
  for (const name of setting.isQuick ? traces.slice(0, 2) : traces) {
    const recording = JSON.parse(readFileSync(join(TRACES, name), "utf8")) as Recording;
    const results = await interleaved({ ...setting, rounds: 1 }, async (server) => {
      const script = setting.upstream.script(recording.turns.map(({ output }) => answerOf(output, 8)));
      const client = await openClient(server, "websocket");
      const before = client.bytes();
      for await (const _ of play(client, marked(recording, script.marker), "websocket"));
      const after = client.bytes();
      client.close();
      setting.upstream.forget(script);
      return { up: after.up - before.up, down: after.down - before.down };
    });
    for (const side of ["up", "down"] as const) {
      const values = results.map((all) => all.map((one) => one[side] / KB));
      for (const [index, [value = 0]] of values.entries()) sum[side][index] = (sum[side][index] ?? 0) + value;
      rows.push(row(`${recording.id} ${side}`, values, "KB", side === "up" ? "≤ 1.02" : ""));
    }
  }
  for (const side of ["up", "down"] as const) {
    rows.push(
      row(
        `all runs ${side}`,
        sum[side].map((value) => [value]),
        "KB",
        side === "up" ? "≤ 1.02" : "≤ 0.5",
      ),
    );
  }
  return rows;
};

export const comparisons: { readonly [name: string]: Comparison } = {
  latency,
  cpu,
  paced,
  throughput,
  loop,
  memory,
  waves,
  idle,
  flat,
  bytes,
};
