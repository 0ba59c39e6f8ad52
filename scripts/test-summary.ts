// Prints the last test run as one line. Exits 1 when a test failed, and when none ran: an empty run proves nothing.

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

function readReport(): Report | undefined {
  try {
    return JSON.parse(readFileSync("test-results/vitest.json", "utf8")) as Report;
  } catch {
    return undefined;
  }
}

const report = readReport();
// A file that could not even be loaded has no failed test in it, but it did fail.
const brokenFiles = (report?.testResults ?? []).filter(
  (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
).length;

const passed = report?.numPassedTests ?? 0;
const failed = (report?.numFailedTests ?? 0) + brokenFiles;
const skipped = (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0);

console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = report?.success === true && failed === 0 && passed > 0 ? 0 : 1;
