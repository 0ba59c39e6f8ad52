import type { CaseResult, Report } from "./report.ts";

/** The report in the XML that CI systems read. A broken should is no failure there: only a must breaks a build. */
export function junitReport(report: Report): string {
  const groups = Map.groupBy(report.results, ({ group }) => group);
  const suites = [...groups].map(([name, results]) => suite(name, results));
  const head = attributes({ name: "turnwire conformance", ...totals(report.results), time: time(report.durationMs) });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ${head}>\n${suites.join("\n")}\n</testsuites>\n`;
}

function suite(name: string, results: readonly CaseResult[]): string {
  const spent = results.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const head = attributes({ name, ...totals(results), errors: "0", time: time(spent) });
  return `  <testsuite ${head}>\n${results.map(testCase).join("\n")}\n  </testsuite>`;
}

function testCase(result: CaseResult): string {
  const head = attributes({
    classname: result.group,
    name: `${result.id}: ${result.title}`,
    time: time(result.durationMs),
  });
  if (result.outcome === "passed") return `    <testcase ${head}/>`;
  const message = attributes({ message: result.message ?? "" });
  if (result.outcome === "skipped") return `    <testcase ${head}><skipped ${message}/></testcase>`;
  const details = [
    `level: ${result.level}`,
    `rule: ${result.rule ?? "-"} (${result.from})`,
    `expected: ${result.expected ?? "-"}`,
    `got: ${result.got ?? "-"}`,
    `mend: ${result.mend ?? "-"}`,
    ...result.transcript,
  ].join("\n");
  if (!breaks(result)) {
    const text = attributes({ message: `broken ${result.level}: ${result.message ?? ""}` });
    return `    <testcase ${head}><skipped ${text}/><system-out>${escape(details)}</system-out></testcase>`;
  }
  return `    <testcase ${head}><failure ${message}>${escape(details)}</failure></testcase>`;
}

function breaks({ outcome, level }: CaseResult): boolean {
  return outcome === "failed" && level === "must";
}

function totals(results: readonly CaseResult[]): { tests: string; failures: string; skipped: string } {
  const passed = results.filter(({ outcome }) => outcome === "passed").length;
  const failures = results.filter(breaks).length;
  const skipped = results.length - passed - failures;
  return { tests: String(results.length), failures: String(failures), skipped: String(skipped) };
}

function time(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(3);
}

function attributes(values: { readonly [name: string]: string }): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${escape(value)}"`)
    .join(" ");
}

const ENTITIES: { readonly [character: string]: string } = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\n": "&#10;",
};

/** XML has no way to say most control characters, so they are left out. */
function escape(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[^\P{Cc}\t\n]|[\ufffe\uffff]/gu, "")
    .replaceAll(/[&<>"\n]/g, (character) => ENTITIES[character] ?? character);
}
