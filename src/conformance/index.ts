/**
 * The conformance suite as a library: the same cases as `turnwire conformance`, against any server.
 *
 * ```ts
 * import { runConformance } from "turnwire/conformance";
 *
 * const report = await runConformance({ url: "http://localhost:4400", level: "must" });
 * console.log(report.conforms, report.results.filter(({ outcome }) => outcome === "failed"));
 * ```
 */

export { type ConformanceOptions, type Progress, runConformance } from "./runner.ts";
export { CASES as cases, GROUPS as groups } from "./cases/index.ts";
export type { Case, Group } from "./case.ts";
export { type CaseResult, type Count, type Outcome, type Report, scoreboard } from "./report.ts";
export { selectCases, type Selection } from "./select.ts";
export { textReport } from "./text-report.ts";
export { junitReport } from "./junit-report.ts";
export { type Level, LEVELS } from "./types.ts";
export { Unreachable, UsageError } from "./violation.ts";
