import { ConfigError } from "../config.ts";
import { closest } from "../suggest.ts";
import { VERSION } from "../version.ts";
import { bench } from "./bench.ts";
import { printConfig } from "./config.ts";
import { conformance } from "./conformance.ts";
import { demo } from "./demo.ts";
import { doctor } from "./doctor.ts";
import { commandHelp, overview } from "./help.ts";
import { run } from "./run.ts";
import { keys } from "./keys.ts";
import { serve } from "./serve.ts";
import { type Command, EXIT, UserError } from "./command.ts";

/** Every command, in the order of the help. */
const COMMANDS: readonly Command[] = [serve, run, demo, keys, doctor, conformance, bench, printConfig];
/** What runs when no command is named. */
const DEFAULT = serve;

/** Runs a command line, without the program. Resolves with the exit code. */
export async function runCommand(args: readonly string[]): Promise<number> {
  const [first = ""] = args;
  try {
    if (first === "--version" || first === "-v") {
      console.log(VERSION);
      return EXIT.ok;
    }
    const isAll = args.includes("--all");
    if (first === "--help" || first === "-h") return help(undefined, isAll);
    if (first === "help") return help(args[1] === "--all" ? undefined : args[1], isAll);
    const isNamed = first !== "" && !first.startsWith("-");
    const command = isNamed ? find(first) : DEFAULT;
    const rest = isNamed ? args.slice(1) : args;
    const own = command.ownArguments?.(rest) ?? rest;
    if (own.includes("--help") || own.includes("-h")) {
      return help(isNamed ? command.name : undefined, isAll);
    }
    return await command.run(rest);
  } catch (error) {
    return explain(error);
  }
}

function help(name: string | undefined, isAll: boolean): number {
  const shows = isAll ? "all" : "most needed";
  console.log(name === undefined ? overview(COMMANDS, shows) : commandHelp(find(name), shows));
  return EXIT.ok;
}

function find(name: string): Command {
  const command = COMMANDS.find((known) => known.name === name);
  if (command !== undefined) return command;
  const names = [...COMMANDS.map((known) => known.name), "help"];
  const meant = closest(name, names);
  const hint = meant === undefined ? `the commands are ${names.join(", ")}` : `did you mean '${meant}'?`;
  throw new UserError(`'${name}' is not a command; ${hint}`, EXIT.usage);
}

/** What went wrong, in the user's words. A bug keeps its stack. */
function explain(error: unknown): number {
  if (error instanceof ConfigError) {
    const [first, ...more] = error.problems.map(({ where, what }) => `${where} ${what}`);
    if (more.length === 0) console.error(`turnwire: ${first}`);
    else console.error([`turnwire: ${more.length + 1} problems`, first, ...more].join("\n  "));
    console.error("Run 'turnwire --help --all' for all settings.");
    return EXIT.usage;
  }
  if (error instanceof UserError) {
    console.error(`turnwire: ${error.message}`);
    return error.exitCode;
  }
  throw error;
}
