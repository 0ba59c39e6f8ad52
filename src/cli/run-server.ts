import { openSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { destination } from "pino";
import type { ParsedConfig } from "../config.ts";
import { EXIT, UserError } from "./command.ts";
import { Savings } from "./run-savings.ts";

/** The server that `turnwire run` uses: one that is there already, or one of its own. */

export type UsedServer = {
  readonly url: string;
  /** What there is to say about it, in lines for the user. */
  readonly notes: readonly string[];
  readonly close: () => Promise<void>;
  /** What the program's turns sent, in one line; null when none ran, or when the server is not ours to watch. */
  readonly summary: () => string | null;
};

/** What answers at an address. A temporary server goes with the `turnwire run` that has started it. */
type Found = "nothing" | "a stranger" | "turnwire" | "a temporary turnwire";

/** In one line: what answers, what it does on this machine, and how to have a model instead. */
const SIMULATOR =
  "no --backend: the built-in simulator answers, which is no model; it runs one 'echo' at most. " +
  "For a model: turnwire run --backend http://localhost:11434/v1 …";

const PROBE_MS = 3000;
/** Log files are this long at most, and two of them are kept. */
const LOG_BYTES = 16 * 1024 * 1024;

/** Finds the server at the configured address, or starts one there; on a free port when that one is not to be had. */
export async function useServer(parsed: ParsedConfig): Promise<UsedServer> {
  const { config, origins } = parsed;
  const { addressOf } = await import("../server.ts");
  const url = addressOf(config);
  const found = config.port === 0 ? "nothing" : await probe(url);
  const flags = Object.entries(origins).filter(([name, origin]) => origin.startsWith("--") && !ABOUT_WHERE.has(name));
  if (found === "turnwire" && flags.length === 0) {
    return { url, notes: [], close: () => Promise.resolve(), summary: () => null };
  }
  if (found === "nothing") return startOwn(parsed, []);
  const free = { ...parsed, config: { ...config, port: 0 } };
  return startOwn(free, [`${url} is taken by ${whose(found, flags)}`]);
}

/** Settings that say which server is meant, not what it is like. */
const ABOUT_WHERE: ReadonlySet<string> = new Set(["host", "port", "apiKeys", "logLevel"]);

function whose(found: Exclude<Found, "nothing">, flags: readonly (readonly [string, string])[]): string {
  if (found === "a stranger") return "something that is not Turnwire";
  if (found === "a temporary turnwire") return "another 'turnwire run'";
  return `a server that was not started with ${flags.map(([, flag]) => flag).join(", ")}`;
}

async function probe(url: string): Promise<Found> {
  try {
    const answer = await fetch(`${url}/healthz`, { redirect: "manual", signal: AbortSignal.timeout(PROBE_MS) });
    const body: unknown = await answer.json();
    if (typeof body !== "object" || body === null || !("server" in body) || body.server !== "turnwire") {
      return "a stranger";
    }
    return "temporary" in body ? "a temporary turnwire" : "turnwire";
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    return code === "ECONNREFUSED" ? "nothing" : "a stranger";
  }
}

/** A server in this process that leaves the terminal to the program. */
async function startOwn({ config }: ParsedConfig, notes: readonly string[]): Promise<UsedServer> {
  const logFile = join(config.dataDir, "run.log");
  const { createLog } = await import("../observe.ts");
  const { makeFolder, StartError, startServer } = await import("../server.ts");
  const log = createLog({
    level: config.logLevel,
    destination: destination({ dest: openLog(config.dataDir, logFile, makeFolder), sync: false }),
  });
  try {
    const savings = new Savings();
    const server = await startServer(config, { log, isTemporary: true, observer: savings });
    log.info({ url: server.url, pid: process.pid }, "listening for one program");
    const simulator = config.backend === undefined ? [SIMULATOR] : [];
    return {
      url: server.url,
      notes: [...notes, ...simulator, `serving at ${server.url}; log in ${logFile}`],
      close: server.close,
      summary: () => savings.line,
    };
  } catch (error) {
    if (error instanceof StartError) throw new UserError(error.message, EXIT.failure);
    throw error;
  }
}

function openLog(folder: string, file: string, makeFolder: (path: string) => void): number {
  try {
    makeFolder(folder);
    const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    if (size > LOG_BYTES) renameSync(file, `${file}.1`);
    return openSync(file, "a", 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UserError(
      `the log file ${file} cannot be written (${code}); choose another folder with --data-dir`,
      EXIT.failure,
    );
  }
}
