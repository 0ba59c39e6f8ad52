import type { Case } from "./case.ts";
import { type Level, LEVELS } from "./types.ts";
import { UsageError } from "./violation.ts";

export type Selection = {
  /** Parts of ids, with `*` for anything, and several of them with commas between; `!` before one leaves cases out. */
  readonly filter?: string;
  /** The least weight that a case has to have: `must` runs the musts only, `extension` runs all. */
  readonly level?: Level;
};

/** The cases that were asked for. @throws UsageError when there are none */
export function selectCases(cases: readonly Case[], { filter, level }: Selection): readonly Case[] {
  const patterns = (filter ?? "")
    .split(",")
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== "");
  const wanted = patterns.filter((pattern) => !pattern.startsWith("!")).map(toRegExp);
  const unwanted = patterns.filter((pattern) => pattern.startsWith("!")).map((pattern) => toRegExp(pattern.slice(1)));
  const levels = LEVELS.slice(0, LEVELS.indexOf(level ?? "extension") + 1);
  const selected = cases.filter(
    (one) =>
      levels.includes(one.level) &&
      (wanted.length === 0 || wanted.some((pattern) => pattern.test(one.id))) &&
      !unwanted.some((pattern) => pattern.test(one.id)),
  );
  if (selected.length === 0) {
    throw new UsageError(`no case matches '${filter ?? ""}' at level ${level ?? "extension"}; --list shows them all`);
  }
  return selected;
}

/** A pattern with a `*` fits the whole id; one without fits any part of it. */
function toRegExp(pattern: string): RegExp {
  const source = pattern.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`).replaceAll("*", ".*");
  return new RegExp(pattern.includes("*") ? `^${source}$` : source, "i");
}
