import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Setting, type SettingName, SETTINGS } from "./settings.ts";
import { closest } from "./suggest.ts";

/** Where settings come from: the command line, the environment and the configuration file. */

/** One thing that is wrong with a configuration. */
export type Problem = {
  /** The flag, variable or file key that says it. */
  readonly where: string;
  readonly what: string;
};

/** A setting as one source gives it. A text has still to be read as what the setting holds. */
export type Given = { readonly origin: string } & (
  | { readonly text: string | readonly string[] }
  | { readonly value: unknown }
);

export type Source = ReadonlyMap<SettingName, Given>;

export const DEFAULT_FILE = "turnwire.config.json";
const FILE_FLAG = "config";
const PREFIX = "TURNWIRE_";
const FILE_VARIABLE = `${PREFIX}CONFIG`;

export const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[];

export function settingOf(name: SettingName): Setting {
  return SETTINGS[name];
}

/** `maxMessageBytes` → `max-message-bytes`. */
export function flagOf(name: SettingName): string {
  return settingOf(name).flag ?? name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `maxMessageBytes` → `TURNWIRE_MAX_MESSAGE_BYTES`. */
export function variableOf(name: SettingName): string {
  return `${PREFIX}${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** Reads the flags, and the name of the file that `--config` gives. */
export function readFlags(args: readonly string[], problems: Problem[]) {
  const byFlag = new Map(SETTING_NAMES.map((name) => [flagOf(name), name]));
  const options: Record<string, { type: "string" | "boolean" }> = { [FILE_FLAG]: { type: "string" } };
  for (const [flag, name] of byFlag) options[flag] = { type: settingOf(name).value === null ? "boolean" : "string" };

  // A flag that lacks its value would take the next flag for it.
  const complete = args.filter((arg, index) => {
    const lacksValue = options[arg.slice(2)]?.type === "string" && /^(--.*)?$/.test(args[index + 1] ?? "");
    if (arg.startsWith("--") && lacksValue) problems.push({ where: arg, what: "needs a value" });
    return !(arg.startsWith("--") && lacksValue);
  });

  const given = new Map<SettingName, Given>();
  let file: string | undefined;
  let afterUnknownFlag = false;
  // Not strict: that would stop at the first problem, and knows no suggestions.
  const { tokens } = parseArgs({ args: complete, options, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    const mayBeValue = afterUnknownFlag;
    afterUnknownFlag = false;
    if (token.kind === "positional" && !mayBeValue) problems.push({ where: token.value, what: "is not expected here" });
    if (token.kind !== "option") continue;
    const where = token.rawName;
    const negated = token.name.startsWith("no-") ? byFlag.get(token.name.slice(3)) : undefined;
    const name = byFlag.get(token.name) ?? negated;
    const isSwitch = name !== undefined && settingOf(name).value === null;
    if (name === undefined && token.name !== FILE_FLAG) {
      problems.push(unknown(where, "a flag", "--", [...Object.keys(options), "help", "version"]));
      afterUnknownFlag = token.inlineValue !== true;
    } else if (isSwitch) {
      const text = token.value ?? "true";
      given.set(name, negated === undefined ? { origin: where, text } : { origin: where, value: false });
    } else if (negated !== undefined) {
      problems.push({ where, what: `is not a flag; --${flagOf(negated)} takes a value and cannot be negated` });
    } else if (token.value === undefined) {
      problems.push({ where, what: "needs a value" });
    } else if (name === undefined) {
      file = token.value;
    } else if (settingOf(name).repeats) {
      const before = given.get(name);
      const list = before !== undefined && "text" in before ? [before.text].flat() : [];
      given.set(name, { origin: where, text: [...list, token.value] });
    } else {
      given.set(name, { origin: where, text: token.value });
    }
  }
  return { given, file };
}

// Kubernetes describes a service named `turnwire` to every pod beside it in variables of these names.
const NOT_OURS = /^TURNWIRE_(SERVICE|PORT)_|^TURNWIRE_PORT=tcp:/;

/** Reads the environment. An empty variable counts as absent, as it comes from `X=${X:-}` in a compose file. */
export function readEnvironment(environment: NodeJS.ProcessEnv, problems: Problem[]) {
  const byVariable = new Map(SETTING_NAMES.map((name) => [variableOf(name), name]));
  const known = [...byVariable.keys(), FILE_VARIABLE].map((variable) => variable.slice(PREFIX.length));
  const given = new Map<SettingName, Given>();
  let file: string | undefined;
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || !text || NOT_OURS.test(`${variable}=${text}`)) continue;
    const name = byVariable.get(variable);
    if (name !== undefined) given.set(name, { origin: variable, text });
    else if (variable === FILE_VARIABLE) file = text;
    // A misspelt TURNWIRE_API_KEYS must not leave a server open; a variable that resembles none is somebody else's.
    else if (closest(variable.slice(PREFIX.length), known) !== undefined) {
      problems.push(unknown(variable, "a setting", PREFIX, known));
    }
  }
  return { given, file };
}

/** Reads the configuration file; the default one may be absent. */
export function readFile(folder: string, file: string | undefined, problems: Problem[]): Source {
  const given = new Map<SettingName, Given>();
  const where = file ?? DEFAULT_FILE;
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(resolve(folder, where), "utf8"));
  } catch (error) {
    if (file === undefined && (error as NodeJS.ErrnoException).code === "ENOENT") return given;
    problems.push({ where, what: whyUnreadable(error) });
    return given;
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    problems.push({ where, what: "must hold a JSON object" });
    return given;
  }
  for (const [key, value] of Object.entries(content)) {
    const origin = `${where}: ${JSON.stringify(key)}`;
    if (Object.hasOwn(SETTINGS, key)) given.set(key as SettingName, { origin, value });
    // Editors look for the JSON schema here.
    else if (key !== "$schema") problems.push(unknown(origin, "a setting", "", SETTING_NAMES, key));
  }
  return given;
}

function unknown(
  where: string,
  noun: string,
  prefix: string,
  candidates: readonly string[],
  word = where.slice(prefix.length),
): Problem {
  const meant = closest(word, candidates);
  return { where, what: `is not ${noun}${meant === undefined ? "" : `; did you mean ${prefix}${meant}?`}` };
}

/** JSON.parse quotes the text around a mistake, and that may be a key: only the place is passed on. */
function whyUnreadable(error: unknown): string {
  if (error instanceof SyntaxError) {
    const [place] = /line \d+ column \d+/.exec(error.message) ?? [];
    return `is not valid JSON${place === undefined ? "" : ` (${place})`}`;
  }
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" ? "does not exist" : `cannot be read (${code ?? "unknown reason"})`;
}
