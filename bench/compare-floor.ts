// Turnwire against the floor, interleaved in one run, as ratios. Each row names what it measures; the rows' limits are
// what the server is meant to keep to.
//
//   npm run bench:floor                         everything
//   npm run bench:floor -- latency cpu paced    some of it: latency cpu paced throughput loop memory waves
//                                                idle flat bytes
//   npm run bench:floor -- --rounds 9 --quick   more rounds; fewer turns
//   npm run bench:floor -- idle --sessions 10000 --ours -- --max-connections 0    more idle sessions, without the floor
//   npm run bench:floor -- cpu -- --log-level silent    flags for Turnwire come after a second --

import { parseArgs } from "node:util";
import { comparisons } from "./comparisons.ts";
import { FLOOR, start, turnwire } from "./servers.ts";
import { calibrate } from "../src/bench/noise.ts";
import { Upstream } from "../src/bench/upstream.ts";

const split = process.argv.indexOf("--", 2);
const own = split === -1 ? process.argv.slice(2) : process.argv.slice(2, split);
const serverFlags = split === -1 ? [] : process.argv.slice(split + 1);
const { values, positionals } = parseArgs({
  args: own,
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    sessions: { type: "string" },
    ours: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const unknown = positionals.filter((name) => !Object.hasOwn(comparisons, name));
if (unknown.length > 0)
  throw new Error(`no comparison '${unknown[0]}'; there are ${Object.keys(comparisons).join(" ")}`);

const contestants = values.ours ? [turnwire(serverFlags)] : [turnwire(serverFlags), FLOOR];
const noise = calibrate();
const rows: object[] = [];
for (const [name, compare] of Object.entries(comparisons)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const upstream = await Upstream.start({ burst: 8 });
  const begin = performance.now();
  const found = await compare({
    upstream,
    start: () => Promise.all(contestants.map((contestant) => start(contestant, upstream.url))),
    sample: noise.sample,
    rounds: Number(values.rounds),
    sessions: values.sessions === undefined ? null : Number(values.sessions),
    isQuick: values.quick,
  });
  await upstream.close();
  rows.push(...found);
  if (!values.json) {
    console.log(`\n${name} (${((performance.now() - begin) / 1000).toFixed(0)} s)`);
    console.table(Object.fromEntries(found.map(({ measure, ...row }) => [measure, row])));
  }
}
if (values.json) console.log(JSON.stringify({ rows, noise: noise.spread() }, null, 2));
else console.log(`\n${noise.line()}`);
process.exit(0);
