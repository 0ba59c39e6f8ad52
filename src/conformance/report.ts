import { LEVELS, type Level } from "./types.ts";

export type Outcome = "passed" | "failed" | "skipped";

export type CaseResult = {
  readonly id: string;
  readonly group: string;
  readonly level: Level;
  readonly title: string;
  /** The id of the rule in PROTOCOL.md; null where it has none. */
  readonly rule: string | null;
  readonly from: string;
  readonly outcome: Outcome;
  readonly durationMs: number;
  /** Why it was skipped, or what was broken; null when it passed. */
  readonly message: string | null;
  readonly expected: string | null;
  readonly got: string | null;
  /** What to look at first in a server that breaks the rule; null when it does not. */
  readonly mend: string | null;
  /** The last frames of a case that failed. */
  readonly transcript: readonly string[];
};

export type Count = { readonly passed: number; readonly failed: number; readonly skipped: number };

export type Report = {
  readonly target: string;
  readonly model: string;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly results: readonly CaseResult[];
  readonly counts: { readonly [level in Level]: Count };
  /** Whether no must failed, and at least one passed. */
  readonly conforms: boolean;
};

export function countOf(results: readonly CaseResult[]): Count {
  const number = (outcome: Outcome): number => results.filter((result) => result.outcome === outcome).length;
  return { passed: number("passed"), failed: number("failed"), skipped: number("skipped") };
}

export function summarise(
  about: Pick<Report, "target" | "model" | "startedAt" | "durationMs">,
  results: readonly CaseResult[],
): Report {
  const ofLevel = (level: Level): Count => countOf(results.filter((result) => result.level === level));
  const counts = { must: ofLevel("must"), should: ofLevel("should"), extension: ofLevel("extension") };
  const conforms = counts.must.failed === 0 && results.some(({ outcome }) => outcome === "passed");
  return { ...about, results, counts, conforms };
}

/** The result in one line, as it would stand in a README. */
export function scoreboard({ counts, conforms, results }: Report): string {
  const isKnown = results.some(({ outcome }) => outcome !== "skipped");
  const verdict = conforms ? "conforms" : isKnown ? "does not conform" : "cannot be told";
  const parts = LEVELS.flatMap((level) => {
    const { passed, failed, skipped } = counts[level];
    if (passed + failed + skipped === 0) return [];
    return [`${passed}/${passed + failed} ${level}${skipped === 0 ? "" : ` (${skipped} skipped)`}`];
  });
  return `Responses API, WebSocket mode: ${verdict} · ${parts.join(" · ")}`;
}
