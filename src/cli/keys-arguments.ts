import { parseArgs } from "node:util";
import { flagOf, SETTING_NAMES, settingOf } from "../config-sources.ts";
import type { KeyTerms } from "../server.ts";
import { EXIT, UserError } from "./command.ts";

/** The command line of `turnwire keys`: what to do, to which key, its terms, and the settings of the server. */

const OWN = {
  name: { type: "string" },
  models: { type: "string" },
  "turns-per-minute": { type: "string" },
  "tokens-per-minute": { type: "string" },
  connections: { type: "string" },
  expires: { type: "string" },
  json: { type: "boolean" },
} as const;

type OwnFlag = keyof typeof OWN;

export type KeysArguments = {
  readonly words: readonly string[];
  readonly flags: { readonly [Flag in OwnFlag]?: string | true };
  /** What is left: flags of the server. */
  readonly settings: readonly string[];
};

/** Takes apart what is for the command and what says where the store is. */
export function splitArguments(args: readonly string[]): KeysArguments {
  const settingOptions = SETTING_NAMES.map((name) => {
    const type = settingOf(name).value === null ? ("boolean" as const) : ("string" as const);
    return [flagOf(name), { type }] as const;
  });
  const options = { config: { type: "string" as const }, ...Object.fromEntries(settingOptions), ...OWN };
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const words: string[] = [];
  const flags: { [Flag in OwnFlag]?: string | true } = {};
  const taken = new Set<number>();
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind === "option" && isOwn(token.name)) {
      const needsValue = OWN[token.name].type === "string";
      const lacksValue = token.value === undefined || (!token.inlineValue && token.value.startsWith("--"));
      if (needsValue && lacksValue) throw new UserError(`${token.rawName} needs a value`, EXIT.usage);
      flags[token.name] = token.value ?? true;
      if (token.value !== undefined && !token.inlineValue) taken.add(token.index + 1);
    } else if (token.kind === "option") {
      continue;
    }
    taken.add(token.index);
  }
  return { words, flags, settings: args.filter((_arg, index) => !taken.has(index)) };
}

function isOwn(name: string): name is OwnFlag {
  return Object.hasOwn(OWN, name);
}

/**
 * The terms that the flags give; those that they do not name are left out.
 * @param now milliseconds since 1970
 */
export function termsOf(flags: KeysArguments["flags"], now: number): Partial<KeyTerms> {
  const { models, expires } = flags;
  const turnsPerMinute = count("turns-per-minute", flags);
  const tokensPerMinute = count("tokens-per-minute", flags);
  const connections = count("connections", flags);
  return {
    ...(typeof models === "string" && { models: readModels(models) }),
    ...(turnsPerMinute !== undefined && { turnsPerMinute }),
    ...(tokensPerMinute !== undefined && { tokensPerMinute }),
    ...(connections !== undefined && { connections }),
    ...(typeof expires === "string" && { expiresAt: readExpiry(expires, now) }),
  };
}

function readModels(text: string): readonly string[] | null {
  const models = text
    .split(",")
    .map((model) => model.trim())
    .filter((model) => model !== "");
  if (models.length === 0) throw new UserError("--models needs the names of models, with commas between", EXIT.usage);
  return models.includes("*") ? null : models;
}

function count(flag: "turns-per-minute" | "tokens-per-minute" | "connections", flags: KeysArguments["flags"]) {
  const text = flags[flag];
  if (text === undefined) return undefined;
  if (text === "none") return null;
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new UserError(`--${flag} must be a whole number above 0, or 'none', not '${text}'`, EXIT.usage);
}

const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 } as const;

function readExpiry(text: string, now: number): number | null {
  if (text === "never") return null;
  const [, number, unit] = /^(\d{1,6})([mhdw])$/.exec(text) ?? [];
  const time =
    number === undefined
      ? /^\d{4}-\d\d-\d\d(T.*)?$/.test(text) && Date.parse(text)
      : now + Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS];
  if (typeof time !== "number" || Number.isNaN(time)) {
    throw new UserError(`--expires must be like 12h, 30d, 2030-01-31 or 'never', not '${text}'`, EXIT.usage);
  }
  if (time <= now) throw new UserError(`--expires ${text} is over already`, EXIT.usage);
  return time;
}
