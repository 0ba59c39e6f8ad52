import type { CallableTool } from "../protocol/tools.ts";
import { readsOnly, wordsOf } from "./sim-tool-words.ts";

/** Which tools the simulator may call where `tool_choice` leaves it to decide. */
export type SimTools = "safe" | "all" | "none";

/** What the simulator runs: it prints a line, and is the same in every shell. */
const HARMLESS_TEXT = "Hello from the Turnwire simulator";
const HARMLESS_COMMAND = `echo "${HARMLESS_TEXT}"`;

const SHELL_NAMES = new Set(
  (
    "shell bash sh zsh exec exec_command execute_command run_command command shell_command run_shell_command " +
    "shell_exec bash_command run_bash run_shell terminal run_terminal_cmd run_terminal_command run_in_terminal " +
    "execute_bash execute_shell local_shell container_exec unified_exec developer_shell"
  ).split(" "),
);

type Schema = { readonly [keyword: string]: unknown };
type Arguments = { readonly [name: string]: unknown };

/** The tools among these that can do no harm, and how often they may be called after one message of the user. */
export function harmlessTools(
  tools: readonly CallableTool[],
  rounds: number,
): { readonly tools: readonly CallableTool[]; readonly rounds: number } {
  // An agent has one thing run on its user's machine, and no more.
  const shell = tools.find((tool) => harmlessInput(tool) !== undefined);
  return shell === undefined
    ? { tools: tools.filter(readsOnly), rounds }
    : { tools: [shell], rounds: Math.min(rounds, 1) };
}

/** What a tool that runs commands is called with; undefined for every other tool, and for one whose input is unclear. */
export function harmlessInput({ kind, name, tool }: CallableTool): Arguments | string | undefined {
  if (!SHELL_NAMES.has(wordsOf(name).join("_"))) return undefined;
  // A tool named `exec` may want a program in another language.
  const isOtherLanguage = /javascript|typescript|python|\bjs\b/i.test(
    typeof tool["description"] === "string" ? tool["description"] : "",
  );
  if (kind === "function") return commandArguments(asSchema(tool["parameters"]), isOtherLanguage);
  return isOtherLanguage || asSchema(tool["format"])["type"] === "grammar" ? undefined : HARMLESS_COMMAND;
}

const COMMAND_NAMES = ["command", "cmd", "commands"];
/** These hold a program of any language. */
const PROGRAM_NAMES = ["script", "input"];

/** Arguments with a harmless command; undefined when the schema wants something that is not understood. */
function commandArguments(schema: Schema, isOtherLanguage: boolean): Arguments | undefined {
  const properties = asSchema(schema["properties"]);
  const names = isOtherLanguage ? COMMAND_NAMES : [...COMMAND_NAMES, ...PROGRAM_NAMES];
  const name = names.find((one) => Object.hasOwn(properties, one));
  if (name === undefined) return undefined;
  const command = commandFor(name, asSchema(properties[name]));
  if (command === undefined) return undefined;
  const given: Record<string, unknown> = { [name]: command };
  const required: readonly unknown[] = Array.isArray(schema["required"]) ? schema["required"] : [];
  for (const other of required) {
    if (typeof other !== "string" || other === name) continue;
    const value = besides(other, asSchema(properties[other]));
    if (value === undefined) return undefined;
    given[other] = value;
  }
  return given;
}

const LIMITS = ["enum", "const", "pattern", "maxLength", "maxItems", "minItems", "prefixItems", "format"];

function commandFor(name: string, schema: Schema): unknown {
  if (LIMITS.some((keyword) => schema[keyword] !== undefined)) return undefined;
  const types = typesOf(schema);
  if (types.includes("string")) return HARMLESS_COMMAND;
  if (!types.includes("array")) return undefined;
  const items = asSchema(schema["items"]);
  if (LIMITS.some((keyword) => items[keyword] !== undefined)) return undefined;
  if (items["type"] !== undefined && !typesOf(items).includes("string")) return undefined;
  // A list of commands, or the words of one.
  return name === "commands" ? [HARMLESS_COMMAND] : ["echo", HARMLESS_TEXT];
}

/** The value of another argument that the tool requires: the one that changes least. */
function besides(name: string, schema: Schema): unknown {
  const types = typesOf(schema);
  if (types.includes("null")) return null;
  if (schema["const"] !== undefined) return schema["const"];
  if (schema["default"] !== undefined) return schema["default"];
  if (schema["enum"] !== undefined) return undefined;
  const word = wordsOf(name).join("_");
  if (types.includes("boolean")) return false;
  if (types.includes("string") && schema["pattern"] === undefined && schema["format"] === undefined) {
    return /(dir|directory|cwd|path|folder)$/.test(word) ? "." : "Prints one line";
  }
  if (types.includes("integer") || types.includes("number")) return inBounds(10_000, schema);
  return undefined;
}

function inBounds(wanted: number, { minimum, maximum }: Schema): number {
  const low = typeof minimum === "number" ? minimum : wanted;
  const high = typeof maximum === "number" ? maximum : wanted;
  return Math.min(Math.max(wanted, low), high);
}

function typesOf(schema: Schema): readonly unknown[] {
  const { type, anyOf } = schema;
  if (Array.isArray(anyOf)) return anyOf.flatMap((branch) => typesOf(asSchema(branch)));
  return Array.isArray(type) ? type : [type];
}

function asSchema(value: unknown): Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema) : {};
}
