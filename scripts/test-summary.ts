// Prints the last test runs as one line. Exits 1 when a test failed, and when a run had none: an empty run proves nothing.
// Usage: test-summary.ts [report...], each by its name in test-results/, without `.json`.

import { readFileSync } from "node:fs";

type Report = {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
};

function readReport(name: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(`test-results/${name}.json`, "utf8")) as Report;
  } catch {
    return undefined;
  }
}

/** A file that could not even be loaded has no failed test in it, but it did fail. */
function brokenFiles({ testResults }: Report): number {
  return testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  ).length;
}

const names = process.argv.length > 2 ? process.argv.slice(2) : ["vitest"];
const total = { passed: 0, failed: 0, skipped: 0 };
let areGood = true;

for (const name of names) {
  const report = readReport(name);
  const passed = report?.numPassedTests ?? 0;
  const failed = report ? report.numFailedTests + brokenFiles(report) : 0;
  total.passed += passed;
  total.failed += failed;
  total.skipped += report ? report.numPendingTests + report.numTodoTests : 0;
  if (report?.success === true && failed === 0 && passed > 0) continue;
  areGood = false;
  if (passed === 0) console.error(`${name}: no test has passed, so this run says nothing`);
}

const { passed, failed, skipped } = total;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = areGood ? 0 : 1;
