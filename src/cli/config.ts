import { styleText } from "node:util";
import { ConfigSchema, parseConfig } from "../config.ts";
import { SETTING_NAMES, settingOf } from "../config-sources.ts";
import type { SettingName } from "../settings.ts";
import { type Command, EXIT } from "./command.ts";

/** `turnwire config`: what is in force, and who said so. */
export const printConfig: Command = {
  name: "config",
  summary: "print every setting in force and where it comes from; secrets are masked",
  usage: "[flags of serve] [--json | --schema]",
  takesSettings: true,
  flags: [
    ["--json", "Print values and their sources as JSON; secrets are masked."],
    ["--schema", "Print the JSON schema of the configuration file instead."],
  ],
  examples: [
    ["what would be used here", "turnwire config"],
    ["what a container would use", "docker run --rm -e TURNWIRE_PORT=8080 <image> config"],
  ],
  run: async (args) => {
    if (args.includes("--schema")) {
      console.log(JSON.stringify(ConfigSchema, null, 2));
      return EXIT.ok;
    }
    const isJson = args.includes("--json");
    const own = args.filter((arg) => arg !== "--json");
    const { config, origins } = parseConfig({ args: own, environment: process.env });
    if (isJson) {
      const entries = SETTING_NAMES.map((name) => [name, { value: plain(name, config[name]), from: origins[name] }]);
      console.log(JSON.stringify(Object.fromEntries(entries), null, 2));
      return EXIT.ok;
    }
    const rows = SETTING_NAMES.map((name) => [name, show(name, config[name]), origins[name]] as const);
    const widths = [0, 1].map((column) => Math.max(...rows.map((row) => (row[column] ?? "").length)) + 2);
    for (const [name, value, origin] of rows) {
      const line = `${name.padEnd(widths[0] ?? 0)}${value.padEnd(widths[1] ?? 0)}${origin}`;
      console.log(origin === "default" ? styleText("dim", line) : line);
    }
    return EXIT.ok;
  },
};

/** A value for programs: as it is, where nothing in it is secret. */
function plain(name: SettingName, value: unknown): unknown {
  if (value === undefined) return null;
  if (name === "apiKeys" || settingOf(name).secret || name === "backend" || name === "store") return show(name, value);
  if (value instanceof Map) return Object.fromEntries(value);
  return value === Number.POSITIVE_INFINITY ? "unlimited" : value;
}

/** A value as a person reads it. Of a secret only whose it is. */
function show(name: SettingName, value: unknown): string {
  if (value === undefined) return "-";
  if (name === "apiKeys") {
    const keys = value as readonly { readonly tenant: string }[];
    return keys.length === 0 ? "none" : keys.map(({ tenant }) => `${tenant}=****`).join(", ");
  }
  if (settingOf(name).secret) return "****";
  if (/Bytes/.test(name) && typeof value === "number") return showBytes(value);
  if (name === "backend" || name === "store") return maskUrl(value as string);
  if (value instanceof Map) {
    return value.size === 0 ? "as the model server names them" : [...value].map((pair) => pair.join("=")).join(", ");
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function showBytes(bytes: number): string {
  for (const [unit, factor] of [
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ] as const) {
    if (bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}

/** A password may be in it. */
export function maskUrl(url: string): string {
  return url.replace(/^(\w+:\/\/)[^/]*@/, "$1****@");
}
