// Micro-benchmarks of the modules that every turn goes through, each against a reference in the same process.
//
//   npm run bench:micro                        all of them
//   npm run bench:micro -- codec Assembler     those whose name has one of these words in it
//   npm run bench:micro -- --rounds 99         more rounds
//   npm run bench:micro -- --check             only as many rounds as it takes to see that each keeps its limit
//
// A ratio over its limit makes the exit code 1. `best` is the ratio of the fastest rounds, and what the limit is for.

import { parseArgs } from "node:util";
import { calibrate } from "../src/bench/noise.ts";
import { figure, median, spread } from "../src/bench/statistics.ts";
import { type Benchmark, Trial } from "./micro/benchmark.ts";
import { codec } from "./micro/codec.ts";
import { contexts } from "./micro/contexts.ts";
import { generation } from "./micro/generation.ts";
import { turns } from "./micro/turns.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "60" },
    check: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

const WARM_UP_MS = 200;
/** A check is to be short, and what is not yet compiled is given more rounds. */
const CHECK = { warmUpMs: 25, rounds: 10, attempts: 20 };

async function measure(benchmark: Benchmark): Promise<Trial> {
  const trial = await Trial.start(benchmark, values.check ? CHECK.warmUpMs : WARM_UP_MS);
  if (!values.check) return trial.run(Number(values.rounds));
  await trial.run(CHECK.rounds);
  for (let attempt = 1; attempt < CHECK.attempts && !trial.isWithinLimit; attempt += 1) await trial.run(CHECK.rounds);
  return trial;
}

function row(trial: Trial) {
  const { name, against, limit } = trial.benchmark;
  return {
    name,
    µs: round(median(trial.ours)),
    reference: against,
    "its µs": round(median(trial.reference)),
    ratio: round(median(trial.ratios)),
    "±": `${Math.round(spread(figure(trial.ratios)) * 50)} %`,
    best: round(trial.best),
    rounds: trial.ours.length,
    limit,
    "": trial.isWithinLimit ? "" : "over",
  };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}

const wanted = [...codec, ...generation, ...contexts, ...turns].filter(
  ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)),
);
if (wanted.length === 0) throw new Error(`no benchmark has ${positionals.join(" or ")} in its name`);
const noise = values.check ? null : calibrate();
const trials: Trial[] = [];
for (const benchmark of wanted) {
  noise?.sample();
  trials.push(await measure(benchmark));
}
const rows = trials.map(row);
if (values.json) {
  console.log(JSON.stringify({ rows, noise: noise?.spread() }, null, 2));
} else {
  console.table(Object.fromEntries(rows.map(({ name, ...others }) => [name, others])));
  if (noise !== null) console.log(noise.line());
}
process.exitCode = trials.every((trial) => trial.isWithinLimit) ? 0 : 1;
