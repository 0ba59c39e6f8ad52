import { styleText } from "node:util";
import type { Case, Group } from "./case.ts";
import { type CaseResult, countOf, type Report, scoreboard } from "./report.ts";
import { LEVELS } from "./types.ts";

/** What a person reads at the end of a run: the groups, then what failed and how to mend it, then one line for it all. */
export function textReport(report: Report, groups: readonly Group[]): string {
  const failed = report.results.filter(({ outcome }) => outcome === "failed");
  return [
    "",
    ...groupTable(report, groups),
    "",
    ...skips(report.results),
    ...LEVELS.flatMap((level) => failed.filter((result) => result.level === level)).flatMap(failure),
    `${report.target} · model ${report.model} · ${report.results.length} cases in ${seconds(report.durationMs)}`,
    styleText(report.conforms ? ["green", "bold"] : ["red", "bold"], scoreboard(report)),
  ].join("\n");
}

function groupTable(report: Report, groups: readonly Group[]): readonly string[] {
  const head = `  ${"group".padEnd(14)}${"passed".padStart(7)}${"failed".padStart(7)}${"skipped".padStart(8)}   about`;
  const rows = groups.flatMap(({ name, title }) => {
    const results = report.results.filter(({ group }) => group === name);
    if (results.length === 0) return [];
    const { passed, failed, skipped } = countOf(results);
    const breaksMust = results.some(({ outcome, level }) => outcome === "failed" && level === "must");
    const mark = failed === 0 ? styleText("green", "✓") : breaksMust ? styleText("red", "✗") : styleText("yellow", "!");
    const cells = `${name.padEnd(14)}${cell(passed, 7)}${cell(failed, 7)}${cell(skipped, 8)}`;
    return [`${mark} ${cells}   ${styleText("dim", title)}`];
  });
  return [styleText("bold", head), ...rows];
}

function cell(count: number, width: number): string {
  return (count === 0 ? "·" : String(count)).padStart(width);
}

/** Reasons for skipping, each once, with how many cases it kept back. */
function skips(results: readonly CaseResult[]): readonly string[] {
  const reasons = Map.groupBy(
    results.filter(({ outcome }) => outcome === "skipped"),
    ({ message }) => message ?? "",
  );
  if (reasons.size === 0) return [];
  const lines = [...reasons].map(([reason, skipped]) => `  ${String(skipped.length).padStart(3)}  ${reason}`);
  return [styleText("bold", "Skipped, since"), ...lines, ""];
}

function failure(result: CaseResult): readonly string[] {
  const { id, level, title, rule, from, message, expected, got, mend, transcript } = result;
  const style = level === "must" ? "red" : "yellow";
  return [
    `${styleText([style, "bold"], `✗ ${id}`)} ${styleText(style, `(${level})`)} ${title}`,
    ...row("rule", rule === null ? from : `${rule} of PROTOCOL.md; ${from}`),
    ...row("broken", message),
    ...row("expected", expected),
    ...row("got", got),
    ...row("mend", mend),
    ...transcript.map((line, index) => (index === 0 ? row("wire", line) : row("", line))).flat(),
    "",
  ];
}

function row(name: string, text: string | null): readonly string[] {
  if (text === null) return [];
  return [`  ${styleText("dim", name.padEnd(9))} ${text.replaceAll("\n", `\n  ${" ".repeat(10)}`)}`];
}

/** All cases by group: what `--list` prints. */
export function caseList(cases: readonly Case[]): string {
  const width = Math.max(...cases.map(({ id }) => id.length)) + 2;
  return cases
    .map(({ id, level, rule, title, from }) => {
      const about = `${id.padEnd(width)}${level.padEnd(11)}${(rule ?? "-").padEnd(6)}${title}`;
      return `${about} ${styleText("dim", `[${from}]`)}`;
    })
    .join("\n");
}

function seconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
