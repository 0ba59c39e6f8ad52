import { styleText } from "node:util";
import { parseConfig } from "../config.ts";
import { lookAt } from "../first-look.ts";
import type { RunningServer } from "../server.ts";
import type { Config } from "../settings.ts";
import { EXIT, UserError } from "./command.ts";
import { maskUrl } from "./config.ts";
import { type Probe, PROBES, type ProbeResult } from "./doctor-probes.ts";

/**
 * `turnwire doctor --backend`: a model server, as Turnwire meets it. A server of ours is started in front of it, so that
 * what is found is what a server does with the same settings.
 */

type Finding = { readonly check: string } & ProbeResult;

/** What was found out about a model server. */
export type BackendExamination = {
  readonly url: string;
  readonly model: string | null;
  readonly isWell: boolean;
  readonly findings: readonly Finding[];
  /** The traits that refusals have taught: what `backendDialect` may say from the start. */
  readonly learned: { readonly [trait: string]: unknown };
};

/** Whether the arguments ask for a model server to be examined. */
export function asksForBackend(args: readonly string[]): boolean {
  return args.some((arg) => arg === "--backend" || arg.startsWith("--backend="));
}

/** @returns the exit code */
export async function examineBackend(args: readonly string[]): Promise<number> {
  const { own, rest } = split(args);
  const { config } = parseConfig({ args: rest, environment: process.env });
  if (config.backend === undefined)
    throw new UserError("doctor: --backend takes the URL of a model server", EXIT.usage);
  const isJson = own.has("--json");
  const url = maskUrl(config.backend);
  if (!isJson) console.log(`\n${styleText("bold", "turnwire doctor")} model server ${url}\n`);
  const onFinding = (finding: Finding): void => {
    if (!isJson) console.log(line(finding));
  };
  const examination = await examine({
    config,
    url,
    onFinding,
    model: own.get("--model") ?? null,
    withOverflow: own.has("--overflow"),
    timeoutMs: seconds(own.get("--timeout")) * 1000,
  });
  console.log(isJson ? JSON.stringify(examination, null, 2) : summary(examination));
  return examination.isWell ? EXIT.ok : EXIT.failure;
}

const VALUED = new Set(["--model", "--timeout"]);
const SWITCHES = new Set(["--json", "--overflow"]);

/** The flags of the doctor, and the settings of the server behind them. */
function split(args: readonly string[]) {
  const own = new Map<string, string>();
  const rest: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] as string;
    const [name = arg, value] = arg.split(/=(.*)/s);
    if (SWITCHES.has(arg)) own.set(arg, "");
    else if (VALUED.has(name)) {
      const given = value ?? args[(index += 1)];
      if (given === undefined) throw new UserError(`doctor: ${name} needs a value`, EXIT.usage);
      own.set(name, given);
    } else rest.push(arg);
  }
  return { own, rest };
}

function seconds(text = "120"): number {
  const number = Number(text);
  if (Number.isFinite(number) && number > 0) return number;
  throw new UserError(`--timeout must be a number above 0, not '${text}'`, EXIT.usage);
}

type Order = {
  readonly config: Config;
  readonly url: string;
  readonly model: string | null;
  readonly withOverflow: boolean;
  readonly timeoutMs: number;
  readonly onFinding: (finding: Finding) => void;
};

async function examine(order: Order): Promise<BackendExamination> {
  const { startServer } = await import("../server.ts");
  const { createLog } = await import("../observe.ts");
  const learned: { [trait: string]: unknown } = {};
  const destination = { write: (text: string) => void Object.assign(learned, lessonIn(text)) };
  const server = await startServer(
    {
      ...modelSettings(order.config),
      host: "127.0.0.1",
      port: 0,
      store: "memory:",
      coalesceMs: 0,
      logLevel: "warn",
    },
    { log: createLog({ level: "warn", destination }), isTemporary: true },
  );
  try {
    const findings: Finding[] = [];
    const add = (finding: Finding): void => {
      findings.push(finding);
      order.onFinding(finding);
    };
    const model = await look(server, order, add);
    if (model !== null) await runProbes({ server, order, model, learned, add });
    return { url: order.url, model, isWell: findings.every(({ level }) => level !== "problem"), findings, learned };
  } finally {
    await server.close();
  }
}

/** The settings that are about the model server; keys, limits and the store of the configured server are none of it. */
function modelSettings(config: Config): Partial<Config> {
  const { connectTimeout, firstByteTimeout, silenceTimeout, thinkTags, strictTools, tokenizer } = config;
  const backend = Object.fromEntries(Object.entries(config).filter(([name]) => name.startsWith("backend")));
  const { reasoningPassback } = config;
  return {
    ...backend,
    backendRetries: 0,
    reasoningPassback,
    connectTimeout,
    firstByteTimeout,
    silenceTimeout,
    thinkTags,
    strictTools,
    tokenizer,
  };
}

/** What a line of the log says about the dialect. */
function lessonIn(text: string): object {
  const { learned } = JSON.parse(text) as { readonly learned?: object };
  return learned ?? {};
}

/** Looks at the list of models. @returns the model to ask for; null when there is none */
async function look(server: RunningServer, order: Order, add: (finding: Finding) => void): Promise<string | null> {
  const { isWell, text } = await lookAt(server, order.url);
  const names = isWell ? await server.models().catch((): readonly string[] => []) : [];
  const { model } = order;
  if (isWell && (model === null || names.includes(model))) {
    add({ check: "models", level: "ok", text });
  } else if (isWell) {
    add({ check: "models", level: "warning", text: `${text}; '${String(model)}' is not among them` });
  } else if (model !== null) {
    add({ check: "models", level: "warning", text });
  } else {
    add({ check: "models", level: "problem", text, advice: await adviceFor(order, text) });
  }
  return model ?? names[0] ?? null;
}

async function adviceFor({ config, url }: Order, text: string): Promise<string> {
  const base = String(config.backend).replace(/\/+$/, "");
  if (!/connection refused|name is not known|in time/.test(text) && !base.endsWith("/v1")) {
    const headers = config.backendKey === undefined ? {} : { authorization: `Bearer ${config.backendKey}` };
    const other = await fetch(`${base}/v1/models`, { headers, signal: AbortSignal.timeout(5000) }).catch(() => null);
    await other?.body?.cancel();
    if (other?.ok === true) return `there is one at ${url.replace(/\/+$/, "")}/v1: give --backend that URL`;
  }
  if (/\b40[13]\b|key/i.test(text)) return "give its key by --backend-key or TURNWIRE_BACKEND_KEY";
  return "see that the server runs and that the URL is right, or name a model by --model if it has no list";
}

type Run = {
  readonly server: RunningServer;
  readonly order: Order;
  readonly model: string;
  readonly learned: { readonly [trait: string]: unknown };
  readonly add: (finding: Finding) => void;
};

async function runProbes({ server, order, model, learned, add }: Run): Promise<void> {
  const visit = { url: server.url, model, timeoutMs: order.timeoutMs };
  let known = "{}";
  const probes: readonly (readonly [string, Probe])[] = PROBES;
  for (const [check, probe] of probes) {
    if (check === "overflow" && !order.withOverflow) {
      add({
        check,
        level: "skipped",
        text: "--overflow sends about 4 MB to see how a context that is too long is refused",
      });
      continue;
    }
    const result = await probe(visit).catch(
      (error: unknown): ProbeResult => ({ level: "problem", text: (error as Error).message }),
    );
    const now = JSON.stringify(learned);
    add({ check, ...result, ...(now !== known && { text: `${result.text}; learned: ${now}` }) });
    known = now;
    // Without any answer, all others would fail for the same reason.
    if (check === "answer" && result.level === "problem") return;
  }
}

const STYLES = { ok: "green", warning: "yellow", problem: "red", skipped: "dim" } as const;

function line({ check, level, text, advice }: Finding): string {
  const head = `  ${styleText(STYLES[level], level.padEnd(8))} ${check.padEnd(10)} ${text}`;
  return advice === undefined ? head : `${head}\n${" ".repeat(22)}${styleText("dim", "→")} ${advice}`;
}

function summary({ learned, isWell, model }: BackendExamination): string {
  const traits = Object.keys(learned).length;
  const dialect =
    traits === 0
      ? "  Nothing had to be learned: the server takes the common form of requests."
      : `  Learned, and kept from the start with --backend-dialect '${JSON.stringify(learned)}'`;
  const verdict = isWell ? "  No problem was found." : "  There are problems.";
  return model === null ? `\n${verdict}\n` : `\n${dialect}\n${verdict}\n`;
}
