import { styleText } from "node:util";
import { DEFAULT_FILE, flagOf, SETTING_NAMES, settingOf, variableOf } from "../config-sources.ts";
import { GROUPS, type SettingName } from "../settings.ts";
import { VERSION } from "../version.ts";
import type { Command } from "./command.ts";

/** The text of `--help`. */

const COLUMN = 32;
/** Wide lines are hard to read, and narrow ones leave no room beside the flags. */
const WIDTH = Math.min(112, Math.max(80, process.stdout.columns ?? 112));

/** Whether all settings are listed, or those that most people need: the latter fit on a screen. */
export type Shows = "all" | "most needed";

/** In the order of the help. */
const MOST_NEEDED: readonly SettingName[] = [
  "backend",
  "backendKey",
  "models",
  "host",
  "port",
  "apiKeys",
  "store",
  "dataDir",
];

/** What the program is and what it can do. */
export function overview(commands: readonly Command[], shows: Shows): string {
  const [first] = commands;
  return [
    `${bold("turnwire")} ${VERSION}: OpenAI's Responses API over HTTP, SSE and WebSocket, in front of any model`,
    section(
      "turnwire [command] [flags]",
      commands.map(({ name, summary }) => row(name, summary)),
    ),
    ...(first === undefined ? [] : shows === "all" ? details(first, shows) : [mostNeeded()]),
    "",
    shows === "all"
      ? "'turnwire <command> --help' tells more about a command."
      : "'turnwire <command> --help': a command; 'turnwire --help --all': every setting, with examples.",
  ].join("\n");
}

export function commandHelp(command: Command, shows: Shows): string {
  return [
    `${bold(`turnwire ${command.name}`)}: ${command.summary}`,
    section("Usage", [`turnwire ${command.name} ${command.usage}`]),
    ...details(command, shows),
    ...(command.takesSettings && shows !== "all"
      ? ["", `'turnwire ${command.name} --help --all': every setting.`]
      : []),
  ].join("\n");
}

function mostNeeded(): string {
  return section("Settings that are most needed", MOST_NEEDED.flatMap(settingRows));
}

function details(command: Command, shows: Shows): readonly string[] {
  const general: (readonly [string, string])[] = [
    ...command.flags,
    ...(command.takesSettings
      ? [["--config <file>", `Configuration file, instead of ./${DEFAULT_FILE}.`] as const]
      : []),
    ["--help", "This text."],
    ...(shows === "all" ? [["--version", "The version."] as const] : []),
  ];
  const settings =
    shows === "all" ? GROUPS.map((group) => section(group, settingsOf(group).flatMap(settingRows))) : [mostNeeded()];
  return [
    ...(command.takesSettings ? settings : []),
    ...(command.sections ?? []).map(([title, flags]) =>
      section(
        title,
        flags.flatMap(([flag, text]) => row(flag, text).split("\n")),
      ),
    ),
    section(
      "General",
      general.map(([flag, text]) => row(flag, text)),
    ),
    ...(command.takesSettings && shows === "all" ? [section("Sources", SOURCES)] : []),
    section(
      "Examples",
      command.examples.flatMap(([text, line]) => [styleText("dim", `# ${text}`), line]),
    ),
  ];
}

const SOURCES = [
  `Flags go before environment variables, those before ${DEFAULT_FILE}, and that before the defaults.`,
  `--max-message-bytes 16MiB = ${variableOf("maxMessageBytes")}=16MiB = { "maxMessageBytes": "16MiB" }`,
  `--api-key a=1 --api-key b=2 = ${variableOf("apiKeys")}=a=1,b=2 = { "apiKeys": { "a": "1", "b": "2" } }`,
];

function settingsOf(group: (typeof GROUPS)[number]): readonly SettingName[] {
  return SETTING_NAMES.filter((name) => settingOf(name).group === group);
}

function settingRows(name: SettingName): readonly string[] {
  const { value, schema, repeats } = settingOf(name);
  const { description = "", default: fallback } = schema as {
    readonly description?: string;
    readonly default?: unknown;
  };
  const isWorthSaying =
    (typeof fallback === "string" || typeof fallback === "number") && !description.includes("Reserved");
  const notes = [...(repeats ? ["repeatable"] : []), ...(isWorthSaying ? [`default ${fallback}`] : [])];
  const flag = `--${flagOf(name)}${value === null ? "" : ` ${value}`}`;
  return row(flag, `${description}${notes.length === 0 ? "" : ` (${notes.join("; ")})`}`).split("\n");
}

function section(title: string, lines: readonly string[]): string {
  return `\n${bold(title)}\n${lines.map((line) => `  ${line.replaceAll("\n", "\n  ")}`).join("\n")}`;
}

/** A flag, and beside it its text in as many lines as it takes. */
function row(left: string, text: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + word.length + 1 > WIDTH - COLUMN) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  // A flag that fills its column has its text below it.
  const isWide = left.length >= COLUMN;
  const beside = lines.map((part, index) => (index === 0 && !isWide ? left : "").padEnd(COLUMN) + part);
  return [...(isWide ? [left] : []), ...beside].join("\n");
}

function bold(text: string): string {
  return styleText("bold", text);
}
