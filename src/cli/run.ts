import { parseConfig } from "../config.ts";
import { flagOf, SETTING_NAMES, settingOf } from "../config-sources.ts";
import { type Command, EXIT, UserError } from "./command.ts";
import { CLIENT_NAMES, installLine, launchOf } from "./run-clients.ts";
import { findProgram, runProgram } from "./run-program.ts";
import { type UsedServer, useServer } from "./run-server.ts";

/** `turnwire run`: a program in front of a server, with nothing to configure. */
export const run: Command = {
  name: "run",
  summary: "run a program in front of a server of its own: turnwire run codex",
  usage: `[flags of serve] [${CLIENT_NAMES.join("|")}] [--] [program] [arguments of the program]`,
  takesSettings: true,
  flags: [["--key <key>", "Key to show to a server that runs already; without it the first --api-key."]],
  examples: [
    ["Codex in front of Ollama", "turnwire run --backend http://localhost:11434/v1 codex"],
    ["with arguments of its own", 'turnwire run codex -- exec "add a test for the parser"'],
    ["opencode", "turnwire run opencode"],
    ["anything that reads OPENAI_BASE_URL and OPENAI_API_KEY", "turnwire run -- python agent.py"],
  ],
  ownArguments: (args) => args.slice(0, endOfFlags(args)),
  run: async (args) => {
    const { program, programArgs, settings } = split(args);
    const { key, rest } = takeKey(settings);
    const parsed = parseConfig({ args: rest, environment: process.env });
    // Before a server is started for nothing.
    if (findProgram(program, process.env["PATH"]) === undefined) throw missing(program);
    const server = await useServer(parsed);
    try {
      const endpoint = await describe(server, key ?? parsed.config.apiKeys[0]?.key ?? "none");
      for (const note of [...server.notes, ...endpoint.notes]) console.error(`turnwire: ${note}`);
      const launch = launchOf(program, programArgs, endpoint, process.env);
      return await runProgram(program, launch.args, launch.environment);
    } finally {
      await server.close();
      const summary = server.summary();
      if (summary !== null) console.error(`turnwire: ${summary}`);
    }
  },
};

type Line = {
  readonly settings: readonly string[];
  readonly program: string;
  readonly programArgs: readonly string[];
};

/** What is for the server, and what is for the program: everything behind `--`, or behind the program's name without it. */
function split(args: readonly string[]): Line {
  const start = endOfFlags(args);
  const dashes = args.indexOf("--", start);
  const word = args[start];
  if (dashes === start || dashes === -1) {
    const [program, ...programArgs] = args.slice(dashes === -1 ? start : start + 1);
    if (program === undefined) throw new UserError(`run needs a program: turnwire run ${CLIENT_NAMES[0]}`, EXIT.usage);
    return { settings: args.slice(0, start), program, programArgs };
  }
  const between = args.slice(start + 1, dashes);
  if (endOfFlags(between) < between.length) {
    const own = [...between.slice(endOfFlags(between)), ...args.slice(dashes + 1)].join(" ");
    throw new UserError(`what is for ${word} goes behind '--': turnwire run ${word} -- ${own}`, EXIT.usage);
  }
  return { settings: [...args.slice(0, start), ...between], program: word ?? "", programArgs: args.slice(dashes + 1) };
}

const KEY = "--key";
const TAKES_VALUE = new Set([
  KEY,
  "--config",
  ...SETTING_NAMES.filter((name) => settingOf(name).value !== null).map((name) => `--${flagOf(name)}`),
]);

/** The index of the first argument that is neither a flag nor the value of one. */
function endOfFlags(args: readonly string[]): number {
  let index = 0;
  for (; index < args.length; index += 1) {
    const arg = args[index] ?? "";
    if (arg === "--" || !arg.startsWith("-")) return index;
    // A flag that lacks its value does not take the next one for it.
    if (TAKES_VALUE.has(arg) && !/^(--.*)?$/.test(args[index + 1] ?? "")) index += 1;
  }
  return args.length;
}

function takeKey(args: readonly string[]): { readonly key: string | undefined; readonly rest: readonly string[] } {
  const index = args.findIndex((arg) => arg === KEY || arg.startsWith(`${KEY}=`));
  if (index === -1) return { key: undefined, rest: args };
  const isInline = args[index] !== KEY;
  const key = isInline ? args[index]?.slice(KEY.length + 1) : args[index + 1];
  if (key === undefined || (!isInline && key.startsWith("--")) || key === "")
    throw new UserError(`${KEY} needs a value`, EXIT.usage);
  return { key, rest: [...args.slice(0, index), ...args.slice(index + (isInline ? 1 : 2))] };
}

/** As shells answer. */
const EXIT_NOT_FOUND = 127;

function missing(program: string): UserError {
  const install = installLine(program);
  const hint = install === undefined ? "is it installed, and its folder in PATH?" : `install it with: ${install}`;
  return new UserError(`there is no program '${program}' here; ${hint}`, EXIT_NOT_FOUND);
}

const LIST_MS = 10_000;

/** The server as the program is to see it, and what its user has to know first. */
async function describe({ url }: UsedServer, key: string) {
  const models: string[] = [];
  const notes: string[] = [];
  let status: number | string;
  try {
    const headers = { authorization: `Bearer ${key}` };
    const answer = await fetch(`${url}/v1/models`, { headers, signal: AbortSignal.timeout(LIST_MS) });
    status = answer.status;
    const body = (await answer.json()) as { readonly data?: readonly { readonly id?: unknown }[] };
    for (const { id } of body.data ?? []) if (typeof id === "string") models.push(id);
  } catch (error) {
    status = (error as Error).message;
  }
  if (status === 401) throw new UserError(`the server at ${url} wants a key; give it with ${KEY}`, EXIT.failure);
  if (status !== 200) notes.push(`the server cannot list its models (${status}); does the model server run?`);
  return { url, key, models, notes };
}
