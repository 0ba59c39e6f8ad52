import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Recording } from "../bench/recording.ts";
import { EXIT, UserError, wrongFlags } from "./command.ts";

/** The flags of `turnwire bench`, and what they mean. Flags that take a list take commas or come several times. */

export type FlagTexts = readonly (readonly [flag: string, text: string])[];

export const TARGET_FLAGS: FlagTexts = [
  [
    "--target <name=url>",
    "A server of the Responses API; repeatable. It has to use the scripted model: see --upstream-port. Without one, a Turnwire is started.",
  ],
  [
    "--upstream-port <port>",
    "Port of this tool's model on 127.0.0.1; targets are started with it as their model server (default 4499).",
  ],
  ["--pid <name=pid>", "A target's process on this machine, for CPU and memory; repeatable."],
  ["--key <key>", "API key to show to every target."],
];

export const WORKLOAD_FLAGS: FlagTexts = [
  ["--from <file>", "A recorded run; in a folder, all of them (bytes) or the longest. Repeatable."],
  ["--format <format>", "trace, codex, claude-code, pi or chat; without it, found out by what is in the file."],
  ["--tools <file>", "Tools as a JSON list, for logs that do not hold them: Codex, Claude Code, pi."],
  ["--instructions <file>", "Instructions, for logs that do not hold them."],
  ["--shape <shape>", "Without --from: a generated run of this kind: coding (default), service or browsing."],
  ["--seed <number>", "Which of the generated runs (default 1); the same seed gives the same run."],
  ["--turns <number>", "Only so many turns of the run."],
];

export const MEASURE_FLAGS: FlagTexts = [
  ["--measure <list>", "Of memory, waves, bytes, latency, load, runs; without it, all of them."],
  [
    "--mode <list>",
    "Of direct, full, previous, websocket; without it, all of them. direct is the model with no server in front.",
  ],
  ["--size <list>", "Contexts for latency, in KB (default 10,100,500,2000)."],
  ["--link <link>", "For runs: rtt=60ms,up=20mbit,down=100mbit, or none. Repeatable; by default none and two others."],
  ["--sessions <number>", "Sessions at once, for load (default 16)."],
  ["--idle <number>", "Idle sessions, for memory and waves (default 500); the more, the less what they share counts."],
  [
    "--waves <number>",
    "How often so many sessions are opened and closed (default 8; of few, one step of the runtime's memory looks like growth).",
  ],
  ["--rounds <number>", "Rounds, in each of which everything is measured once (default 5)."],
  ["--quick", "Fewer turns, rounds and sizes: a first look, in a minute or so."],
  ["--json", "Print the report as JSON."],
  ["--html <file>", "Write the report as a page, with plots."],
];

export const MODEL_FLAGS: FlagTexts = [
  ["--ttft <ms>", "From a request to the model's first token (default 0)."],
  ["--rate <tokens>", "Tokens a second of each answer; 0 is at once (default 0)."],
  ["--burst <tokens>", "Tokens that come in one piece (default 8)."],
  ["--prefill <ms>", "What 1,000 tokens of prompt cost that the prefix cache does not know (default 0)."],
  [
    "--cache <tokens>",
    "Tokens that the prefix cache keeps (default 1000000 where --prefill is set, else 0: no cache).",
  ],
];

export const UPSTREAM_FLAGS: FlagTexts = [
  ["--port <port>", "bench upstream: where it listens (default 9000; 0 takes a free one)."],
  ["--host <host>", "bench upstream: the address (default 127.0.0.1)."],
  ["--answer <tokens>", "bench upstream: length of its answers (default 64)."],
];

const OPTIONS = {
  target: { type: "string", multiple: true },
  "upstream-port": { type: "string" },
  pid: { type: "string", multiple: true },
  key: { type: "string" },
  from: { type: "string", multiple: true },
  format: { type: "string" },
  tools: { type: "string" },
  instructions: { type: "string" },
  shape: { type: "string" },
  seed: { type: "string" },
  turns: { type: "string" },
  measure: { type: "string", multiple: true },
  mode: { type: "string", multiple: true },
  size: { type: "string", multiple: true },
  link: { type: "string", multiple: true },
  sessions: { type: "string" },
  idle: { type: "string" },
  waves: { type: "string" },
  rounds: { type: "string" },
  quick: { type: "boolean" },
  json: { type: "boolean" },
  html: { type: "string" },
  ttft: { type: "string" },
  rate: { type: "string" },
  burst: { type: "string" },
  prefill: { type: "string" },
  cache: { type: "string" },
  port: { type: "string" },
  host: { type: "string" },
  answer: { type: "string" },
} as const;

export type BenchFlags = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

const COMMANDS = ["bytes", "upstream"] as const;
export type BenchCommand = "measure" | (typeof COMMANDS)[number];

/** @throws UserError */
export function readFlags(args: readonly string[]): { readonly command: BenchCommand; readonly flags: BenchFlags } {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    const [word, ...more] = positionals;
    const command = word === undefined ? "measure" : COMMANDS.find((known) => known === word);
    if (command === undefined)
      throw new Error(`'${word}' is not one of its commands; they are ${COMMANDS.join(" and ")}`);
    if (more.length > 0) throw new Error(`unexpected argument '${more[0]}'`);
    return { command, flags: values };
  } catch (error) {
    throw wrongFlags("bench", error, Object.keys(OPTIONS));
  }
}

/** A whole number of a flag, from `least` on. */
export function count(flag: string, text: string | undefined, fallback: number, least = 1): number {
  if (text === undefined) return fallback;
  const number = Number(text);
  if (Number.isInteger(number) && number >= least) return number;
  throw new UserError(`--${flag} must be a whole number from ${least} on, not '${text}'`, EXIT.usage);
}

/** A number of a flag, 0 or more. */
export function amount(flag: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const number = Number(text);
  if (text.trim() !== "" && Number.isFinite(number) && number >= 0) return number;
  throw new UserError(`--${flag} must be a number, 0 or more, not '${text}'`, EXIT.usage);
}

/** The words of a flag that takes a list. */
export function words<Word extends string>(
  flag: string,
  texts: readonly string[] | undefined,
  known: readonly Word[],
): readonly Word[] {
  if (texts === undefined) return known;
  const asked = texts.flatMap((text) => text.split(",")).map((text) => text.trim());
  const stranger = asked.find((text) => !(known as readonly string[]).includes(text));
  if (stranger !== undefined) {
    throw new UserError(`--${flag} takes ${known.join(", ")}, not '${stranger}'`, EXIT.usage);
  }
  return known.filter((word) => asked.includes(word));
}

/** `name=value`, in two. */
export function pair(flag: string, text: string): readonly [name: string, value: string] {
  const at = text.indexOf("=");
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw new UserError(`--${flag} must be like name=value, not '${text}'`, EXIT.usage);
}

/** The runs that `--from` names, or one generated run. @throws UserError, BenchError */
export async function recordingsOf(flags: BenchFlags): Promise<readonly Recording[]> {
  const { FORMATS, readRecordings } = await import("../bench/import/read.ts");
  const { firstTurns } = await import("../bench/recording.ts");
  const turns = count("turns", flags.turns, Number.MAX_SAFE_INTEGER);
  const [format] = flags.format === undefined ? [] : words("format", [flags.format], FORMATS);
  const found =
    flags.from === undefined
      ? [await generated(flags, turns)]
      : flags.from.flatMap((path) => readRecordings(path, format));
  const given = {
    ...(flags.tools !== undefined && { tools: readTools(flags.tools) }),
    ...(flags.instructions !== undefined && { instructions: readText(flags.instructions) }),
  };
  return found.map((recording) => ({ ...firstTurns(recording, turns), ...given }));
}

async function generated(flags: BenchFlags, turns: number): Promise<Recording> {
  const { generate, SHAPES } = await import("../bench/generate.ts");
  const shapes = Object.keys(SHAPES) as (keyof typeof SHAPES)[];
  const [shape = "coding"] = flags.shape === undefined ? [] : words("shape", [flags.shape], shapes);
  const seed = count("seed", flags.seed, 1, 0);
  return generate(shape, seed, flags.turns === undefined ? SHAPES[shape].turns : turns);
}

function readTools(file: string): readonly object[] {
  try {
    const value: unknown = JSON.parse(readText(file));
    if (Array.isArray(value)) return value as readonly object[];
  } catch (error) {
    if (error instanceof UserError) throw error;
  }
  throw new UserError(`--tools: ${file} is not a JSON list`, EXIT.usage);
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UserError(`${file} cannot be read: ${(error as Error).message}`, EXIT.usage);
  }
}
