import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Item } from "../../src/protocol/items.ts";

/** Recorded agent runs, where they are at hand: in TURNWIRE_TRACES, or in `shared/traces` beside the project. */

const FOLDER = process.env["TURNWIRE_TRACES"] ?? resolve(import.meta.dirname, "../../../shared/traces");

/** Why tests with recorded runs are skipped; null when they are not. */
export const TRACES_ARE_MISSING: string | null = existsSync(FOLDER)
  ? null
  : "the recorded agent runs are not here: set TURNWIRE_TRACES";

export const TRACE_FILES: readonly string[] =
  TRACES_ARE_MISSING === null ? readdirSync(FOLDER).filter((name) => name.endsWith(".json")) : [];

export type Trace = {
  readonly id: string;
  readonly model: string;
  readonly instructions: string;
  readonly tools: readonly object[];
  readonly turns: readonly { readonly input: readonly Item[]; readonly output: readonly Item[] }[];
};

export function readTrace(name: string): Trace {
  return JSON.parse(readFileSync(resolve(FOLDER, name), "utf8")) as Trace;
}
