import { parseArgs, styleText } from "node:util";
import { parseConfig } from "../config.ts";
import type { Examination, Finding, Level } from "../doctor/index.ts";
import { type Command, EXIT, UserError, wrongFlags } from "./command.ts";
import { asksForBackend, examineBackend } from "./doctor-backend.ts";

/** `turnwire doctor`: a server and the path to it, as a client meets them. */
export const doctor: Command = {
  name: "doctor",
  summary: "find out what is wrong with a server, or with the way to it",
  usage: "[base-url] [flags]",
  takesSettings: false,
  flags: [
    ["--key <key>", "API key to show; for the configured server, its first."],
    ["--model <name>", "Model to ask for; without it, the first that the server lists."],
    ["--idle <seconds>", "How long connections are left alone, to see whether they are cut (default 5)."],
    ["--largest <MiB>", "The largest message that is tried (default 16)."],
    [
      "--timeout <seconds>",
      "How long anything without a model may take (default 10); with --backend: a turn (default 120).",
    ],
    ["--json", "Print the findings as JSON."],
    [
      "--backend <url>",
      "Examine a model server instead; with --backend-key and the other settings about model servers.",
    ],
    ["--overflow", "With --backend: also send about 4 MB, to see how a context that is too long is refused."],
  ],
  examples: [
    ["the server that is configured here", "turnwire doctor"],
    [
      "another, behind a proxy, with time to see whether that cuts idle connections",
      "turnwire doctor https://models.example.com/v1 --key $KEY --idle 90",
    ],
    ["a model server: what it takes, and how it wants it", "turnwire doctor --backend http://localhost:8000/v1"],
  ],
  run: async (args) => {
    if (asksForBackend(args)) return examineBackend(args);
    const { url, flags } = read(args);
    const server = url === undefined ? await configured() : { url, key: undefined };
    const key = flags.key ?? server.key;
    // Only here: the help of other commands need not wait for it.
    const { examine, parseTarget, TargetError } = await import("../doctor/index.ts");
    const isJson = flags.json === true;
    try {
      const { base } = parseTarget(server.url);
      if (!isJson) console.log(`\n${styleText("bold", "turnwire doctor")} ${base}\n`);
    } catch (error) {
      if (error instanceof TargetError) throw new UserError(error.message, EXIT.usage);
      throw error;
    }
    const examination = await examine({
      url: server.url,
      environment: process.env,
      ...(key !== undefined && { key }),
      ...(flags.model !== undefined && { model: flags.model }),
      ...(flags.idle !== undefined && { idleMs: count("--idle", flags.idle) * 1000 }),
      ...(flags.timeout !== undefined && { timeoutMs: count("--timeout", flags.timeout) * 1000 }),
      ...(flags.largest !== undefined && { largestBytes: Math.round(count("--largest", flags.largest) * 2 ** 20) }),
      ...(!isJson && { onFinding: (finding) => console.log(line(finding)) }),
    });
    console.log(isJson ? JSON.stringify(examination, null, 2) : summary(examination));
    return examination.isWell ? EXIT.ok : EXIT.failure;
  },
};

const OPTIONS = {
  key: { type: "string" },
  model: { type: "string" },
  idle: { type: "string" },
  largest: { type: "string" },
  timeout: { type: "string" },
  json: { type: "boolean" },
} as const;

function read(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    if (positionals.length > 1) throw new Error(`one base URL is enough, not '${positionals.join("' and '")}'`);
    return { url: positionals[0], flags: values };
  } catch (error) {
    throw wrongFlags("doctor", error, Object.keys(OPTIONS));
  }
}

/** The server that `turnwire serve` would start here. */
async function configured(): Promise<{ readonly url: string; readonly key: string | undefined }> {
  const { config } = parseConfig({ environment: process.env });
  const { addressOf } = await import("../server.ts");
  return { url: addressOf(config), key: config.apiKeys[0]?.key };
}

function count(flag: string, text: string): number {
  const number = Number(text);
  if (Number.isFinite(number) && number > 0) return number;
  throw new UserError(`${flag} must be a number above 0, not '${text}'`, EXIT.usage);
}

const STYLES: { readonly [L in Level]: Parameters<typeof styleText>[0] } = {
  ok: "green",
  warning: "yellow",
  problem: "red",
  skipped: "dim",
};

const INDENT = " ".repeat(23);

function line({ check, level, text, advice }: Finding): string {
  const head = `  ${styleText(STYLES[level], level.padEnd(8))} ${check.padEnd(11)} `;
  const lines = wrap(text).join(`\n${INDENT}`);
  if (advice === undefined) return head + lines;
  return `${head}${lines}\n${INDENT}${styleText("dim", "→")} ${wrap(advice).join(`\n${INDENT}  `)}`;
}

/** Cuts a text into lines that fit beside the column of the checks. */
function wrap(text: string): readonly string[] {
  const width = Math.max(40, Math.min(140, process.stdout.columns ?? 120) - INDENT.length - 2);
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

function summary({ findings }: Examination): string {
  const of = (level: Level): number => findings.filter((finding) => finding.level === level).length;
  const parts = (["problem", "warning"] as const)
    .map((level) => [of(level), level] as const)
    .filter(([number]) => number > 0)
    .map(([number, level]) => `${number} ${level}${number === 1 ? "" : "s"}`);
  return `\n  ${parts.length === 0 ? "Nothing is wrong." : `${parts.join(", ")}.`}\n`;
}
