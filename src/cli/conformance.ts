import { writeFileSync } from "node:fs";
import { parseArgs, styleText } from "node:util";
import { type CaseResult, LEVELS, type Level, type Progress } from "../conformance/index.ts";
import { type Command, EXIT, UserError, wrongFlags } from "./command.ts";

const EXIT_UNREACHABLE = 3;

/** `turnwire conformance`: the suite against any server. */
export const conformance: Command = {
  name: "conformance",
  summary: "test any server of the Responses API, over WebSocket, SSE and HTTP",
  usage: "<base-url> [flags]",
  takesSettings: false,
  flags: [
    ["--key <key>", "API key to show."],
    ["--second-key <key>", "Key of another tenant, for what one tenant must not see of another."],
    ["--model <name>", "Model to ask for; without it, the first that the server lists."],
    [
      "--filter <pattern>",
      "Only cases whose id has this in it (continuation, errors.*); commas between several, ! to leave out.",
    ],
    ["--level <level>", "must: only these; should: these and the musts; extension: all of them (default)."],
    ["--json", "Print the report as JSON."],
    ["--junit <file>", "Write the report as JUnit XML too."],
    ["--list", "Print the cases and the rules they prove, and test nothing."],
    ["--timeout <seconds>", "How long the server may take for anything (default 30)."],
    ["--concurrency <number>", "How many cases run at the same time (default 8)."],
    ["--insecure", "Take TLS certificates that nobody vouches for."],
  ],
  examples: [
    ["this server, in another terminal", "turnwire conformance http://127.0.0.1:4400"],
    [
      "any other, musts only",
      "turnwire conformance wss://models.example.com/v1 --key $KEY --model qwen3-32b --level must",
    ],
    ["in CI", "turnwire conformance http://localhost:4400 --junit conformance.xml"],
  ],
  run: async (args) => {
    const { url, flags } = read(args);
    // Only here: the help of other commands need not wait for all of the suite to be loaded.
    const suite = await import("../conformance/index.ts");
    try {
      if (flags.list === true) {
        const { caseList } = await import("../conformance/text-report.ts");
        console.log(caseList(suite.selectCases(suite.cases, selection(flags))));
        return EXIT.ok;
      }
      if (url === undefined) throw new UserError("conformance needs the base URL of a server", EXIT.usage);
      const show = flags.json === true ? quietly : progressLine();
      const report = await suite.runConformance({ ...options(flags), url, onResult: show.onResult });
      show.end();
      if (flags.junit !== undefined) writeReport(flags.junit, suite.junitReport(report));
      console.log(flags.json === true ? JSON.stringify(report, null, 2) : suite.textReport(report, suite.groups));
      return report.conforms ? EXIT.ok : EXIT.failure;
    } catch (error) {
      if (error instanceof suite.Unreachable) throw new UserError(error.message, EXIT_UNREACHABLE);
      if (error instanceof suite.UsageError) throw new UserError(error.message, EXIT.usage);
      throw error;
    }
  },
};

const OPTIONS = {
  key: { type: "string" },
  "second-key": { type: "string" },
  model: { type: "string" },
  filter: { type: "string" },
  level: { type: "string" },
  json: { type: "boolean" },
  junit: { type: "string" },
  list: { type: "boolean" },
  timeout: { type: "string" },
  concurrency: { type: "string" },
  insecure: { type: "boolean" },
} as const;

type Flags = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

function read(args: readonly string[]): { readonly url: string | undefined; readonly flags: Flags } {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    if (positionals.length > 1) throw new Error(`one base URL is enough, not '${positionals.join("' and '")}'`);
    return { url: positionals[0], flags: values };
  } catch (error) {
    throw wrongFlags("conformance", error, Object.keys(OPTIONS));
  }
}

function selection({ filter, level }: Flags): { readonly filter?: string; readonly level?: Level } {
  if (level !== undefined && !isLevel(level)) {
    throw new UserError(`--level must be one of ${LEVELS.join(", ")}, not '${level}'`, EXIT.usage);
  }
  return { ...(filter !== undefined && { filter }), ...(level !== undefined && { level }) };
}

function isLevel(text: string): text is Level {
  return (LEVELS as readonly string[]).includes(text);
}

function options(flags: Flags) {
  const { key, model, insecure } = flags;
  const secondKey = flags["second-key"];
  const seconds = flags.timeout === undefined ? undefined : count("--timeout", flags.timeout);
  const concurrency =
    flags.concurrency === undefined ? undefined : Math.ceil(count("--concurrency", flags.concurrency));
  return {
    ...selection(flags),
    ...(key !== undefined && { key }),
    ...(secondKey !== undefined && { secondKey }),
    ...(model !== undefined && { model }),
    ...(seconds !== undefined && { timeoutMs: seconds * 1000 }),
    ...(concurrency !== undefined && { concurrency }),
    ...(insecure !== undefined && { insecure }),
  };
}

function count(flag: string, text: string): number {
  const number = Number(text);
  if (Number.isFinite(number) && number > 0) return number;
  throw new UserError(`${flag} must be a number above 0, not '${text}'`, EXIT.usage);
}

type Show = { readonly onResult: (result: CaseResult, progress: Progress) => void; readonly end: () => void };

const quietly: Show = { onResult: () => undefined, end: () => undefined };

/** On a terminal one line tells how far it is; elsewhere nothing does. It goes to stderr, beside the report. */
function progressLine(): Show {
  if (!process.stderr.isTTY) return quietly;
  let failed = 0;
  return {
    onResult: ({ id, outcome, level }, { done, total }) => {
      if (outcome === "failed" && level === "must") failed += 1;
      const broken = failed === 0 ? "" : styleText("red", ` · ${failed} failed`);
      process.stderr.write(`\r\u001b[K${done}/${total}${broken} ${styleText("dim", id)}`);
    },
    end: () => process.stderr.write("\r\u001b[K"),
  };
}

function writeReport(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UserError(`the report cannot be written: ${(error as Error).message}`, EXIT.failure);
  }
}
