import { performance } from "node:perf_hooks";
import type { Case } from "./case.ts";
import { CASES } from "./cases/index.ts";
import { preflight } from "./preflight.ts";
import { type CaseResult, type Report, summarise } from "./report.ts";
import { selectCases, type Selection } from "./select.ts";
import { parseTarget } from "./target.ts";
import { type Setup, Trial } from "./trial.ts";
import { shorten, Skip, Violation } from "./violation.ts";

export type ConformanceOptions = Selection & {
  /** The base URL of the server: http, https, ws or wss, with or without `/v1`. */
  readonly url: string;
  /** The API key to show; without it none is shown. */
  readonly key?: string;
  /** The key of another tenant; without it, what needs two tenants is skipped. */
  readonly secondKey?: string;
  /** The model to ask for; without it, the first one that the server lists. */
  readonly model?: string;
  /** How long each single wait may take. */
  readonly timeoutMs?: number;
  /** How many cases run at the same time. */
  readonly concurrency?: number;
  /** Takes TLS certificates that nobody vouches for. */
  readonly insecure?: boolean;
  /** Called whenever a case has ended. */
  readonly onResult?: (result: CaseResult, progress: Progress) => void;
};

export type Progress = { readonly done: number; readonly total: number };

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_CONCURRENCY = 8;
/** A case as a whole may take this many waits: nothing of it hangs for ever. */
const WAITS_PER_CASE = 4;

/**
 * Runs the cases against a server.
 * @throws Unreachable when nobody answers there
 * @throws UsageError when the URL, the key, the model or the filter makes no sense
 */
export async function runConformance(options: ConformanceOptions): Promise<Report> {
  const startedAt = new Date().toISOString();
  const started = performance.now();
  const target = parseTarget(options.url, options.insecure);
  const selected = selectCases(CASES, options);
  const key = options.key ?? null;
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const known = await preflight({ target, key, timeoutMs, model: options.model ?? null });
  const setup: Setup = { ...known, target, key, secondKey: options.secondKey ?? null, timeoutMs, once: new Map() };

  const results = new Map<Case, CaseResult>();
  const run = async (one: Case): Promise<void> => {
    const result = await runCase(one, setup);
    results.set(one, result);
    options.onResult?.(result, { done: results.size, total: selected.length });
  };
  await inParallel(
    selected.filter(({ alone }) => alone !== true),
    options.concurrency ?? DEFAULT_CONCURRENCY,
    run,
  );
  await inParallel(
    selected.filter(({ alone }) => alone === true),
    1,
    run,
  );
  return summarise(
    { target: target.base, model: known.model, startedAt, durationMs: Math.round(performance.now() - started) },
    selected.flatMap((one) => results.get(one) ?? []),
  );
}

async function inParallel(cases: readonly Case[], lanes: number, run: (one: Case) => Promise<void>): Promise<void> {
  const waiting = cases.values();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const one of waiting) await run(one);
    }),
  );
}

async function runCase(one: Case, setup: Setup): Promise<CaseResult> {
  const { id, level, title, rule, from, mend } = one;
  const trial = new Trial(setup);
  const started = performance.now();
  const about = { id, group: id.slice(0, id.indexOf(".")), level, title, rule: rule ?? null, from };
  const blank = { message: null, expected: null, got: null, mend: null, transcript: [] };
  const ended = (): number => Math.round(performance.now() - started);
  try {
    await inTime(one.run(trial), setup.timeoutMs * (one.waits ?? WAITS_PER_CASE));
    return { ...about, ...blank, outcome: "passed", durationMs: ended() };
  } catch (error) {
    if (!(error instanceof Violation)) {
      const message = error instanceof Skip ? error.message : mistake(error);
      return { ...about, ...blank, outcome: "skipped", durationMs: ended(), message };
    }
    const { message, expected, got } = error;
    const transcript = trial.transcript.lines();
    return { ...about, outcome: "failed", durationMs: ended(), message, expected, got, mend, transcript };
  } finally {
    trial.close();
  }
}

/** An error that no case foresaw is a mistake of the suite: it is shown with its place, and accuses no server. */
function mistake(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `the case itself broke, which is a mistake of the suite: ${shorten(text, 1000)}`;
}

async function inTime(promise: Promise<void>, timeoutMs: number): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Violation(`The case was not over after ${timeoutMs / 1000} s.`)),
    timeoutMs,
  );
  try {
    await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
