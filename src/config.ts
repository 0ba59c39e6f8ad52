import { isIPv4 } from "node:net";
import Type, { type TSchema } from "typebox";
import { Check } from "typebox/value";
import {
  flagOf,
  type Given,
  type Problem,
  readEnvironment,
  readFile,
  readFlags,
  SETTING_NAMES,
  settingOf,
} from "./config-sources.ts";
import type { Config, SettingName } from "./settings.ts";

/** Flags, environment, file and defaults, in this order, to one checked configuration. */

/** What the configuration file may hold; published as `turnwire/config.schema.json`. */
export const ConfigSchema: TSchema = Type.Object(
  {
    $schema: Type.Optional(Type.String()),
    ...Object.fromEntries(SETTING_NAMES.map((name) => [name, Type.Optional(settingOf(name).schema)])),
  },
  {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Turnwire",
    description: "turnwire.config.json",
    additionalProperties: false,
  },
);

/** Everything that is wrong with a configuration, at once. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(({ where, what }) => `${where} ${what}`).join("\n"));
    this.problems = problems;
  }
}

export type ConfigSources = {
  /** The command line, without the program and the command. */
  readonly args?: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
  /** Where `turnwire.config.json` and relative file names are looked for. */
  readonly folder?: string;
};

export type ParsedConfig = {
  readonly config: Config;
  /** Where each setting comes from: a flag, a variable, a key of the file, or `default`. */
  readonly origins: { readonly [Name in SettingName]: string };
};

/**
 * Reads a configuration: flags go before the environment, that before the file, and that before the defaults. A list
 * replaces the list of a later source.
 * @throws ConfigError with every problem
 */
export function parseConfig(sources: ConfigSources = {}): ParsedConfig {
  const problems: Problem[] = [];
  const flags = readFlags(sources.args ?? [], problems);
  const environment = readEnvironment(sources.environment ?? {}, problems);
  const file = readFile(sources.folder ?? ".", flags.file ?? environment.file, problems);

  const values: Partial<Record<SettingName, unknown>> = {};
  const origins = {} as Record<SettingName, string>;
  const broken = new Set<SettingName>();
  for (const name of SETTING_NAMES) {
    const given = flags.given.get(name) ?? environment.given.get(name) ?? file.get(name);
    origins[name] = given?.origin ?? "default";
    if (given === undefined) continue;
    try {
      values[name] = read(name, given);
    } catch (error) {
      broken.add(name);
      problems.push({ where: given.origin, what: `${quote(name, given)}${(error as Error).message}` });
    }
  }
  const config = withDefaults(values);
  problems.push(...findConflicts(config, origins, broken));
  if (problems.length > 0) throw new ConfigError(problems);
  return { config, origins };
}

/**
 * Completes settings that a program gives, by the same rules as any other configuration.
 * @throws ConfigError when they do not go together
 */
export function completeConfig(settings: Partial<Config>): Config {
  const config = withDefaults(settings);
  const problems = findConflicts(config, {}, new Set());
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

function withDefaults(values: { readonly [Name in SettingName]?: unknown }): Config {
  const config: Partial<Record<SettingName, unknown>> = {};
  for (const name of SETTING_NAMES) {
    const fallback = (settingOf(name).schema as { readonly default?: unknown }).default;
    const value = values[name] ?? (fallback === undefined ? undefined : decode(name, fallback));
    if (value !== undefined) config[name] = value;
  }
  return Object.freeze(config) as Config;
}

function read(name: SettingName, given: Given): unknown {
  const { schema, expects, repeats } = settingOf(name);
  const value = "text" in given ? fromText(name, given.text) : given.value;
  if (!Check(schema, value)) throw new Error(repeats ? `must be ${expects}` : `is not ${expects}`);
  return decode(name, value);
}

function fromText(name: SettingName, text: string | readonly string[]): unknown {
  const { fromText, expects } = settingOf(name);
  // A flag that repeats is a list already; what it holds may well contain a comma.
  if (typeof text !== "string") return text;
  try {
    return fromText(text);
  } catch {
    throw new Error(`is not ${expects}`);
  }
}

function decode(name: SettingName, value: unknown): unknown {
  const { decode } = settingOf(name);
  // The schema has proved that the value is what the row's `decode` takes.
  return decode === undefined ? value : decode(value as never);
}

function quote(name: SettingName, given: Given): string {
  if (settingOf(name).secret) return "";
  const shown = "text" in given ? String(given.text) : JSON.stringify(given.value);
  return `"${(shown.length > 60 ? `${shown.slice(0, 57)}...` : shown).replaceAll('"', "'")}" `;
}

/** Characters of a key in the configuration. */
const SHORTEST_KEY = 16;

/** What is wrong although each setting is right by itself. */
function findConflicts(
  config: Config,
  origins: { readonly [Name in SettingName]?: string },
  broken: ReadonlySet<SettingName>,
): readonly Problem[] {
  const problems: Problem[] = [];
  const where = (name: SettingName): string => origins[name] ?? name;
  for (const [one, other] of [
    ["tlsCert", "tlsKey"],
    ["tlsKey", "tlsCert"],
  ] as const) {
    if (config[one] !== undefined && config[other] === undefined && !broken.has(other)) {
      problems.push({ where: where(one), what: `needs --${flagOf(other)} as well` });
    }
  }
  for (const { tenant, key } of config.apiKeys) {
    if (key.length >= SHORTEST_KEY) continue;
    const what = `needs a key of at least ${SHORTEST_KEY} characters for the tenant '${tenant}': shorter ones can be guessed`;
    problems.push({ where: where("apiKeys"), what });
  }
  return problems;
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}
