import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { EXIT, UserError } from "./command.ts";

/** The Turnwire that `turnwire bench` measures when it is given no other target: a process of its own. */

export type OwnServer = { readonly url: string; readonly pid: number; readonly close: () => Promise<void> };

const POLL_MS = 30;

/**
 * Starts it in front of this model server: with the settings that every server has, but that it takes compression from
 * this machine too, and that all sessions belong to one tenant. Its log and its store are in a folder that goes with it.
 */
export async function startOwnServer(upstreamUrl: string): Promise<OwnServer> {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-bench-"));
  const log = join(folder, "log");
  const output = openSync(log, "a");
  const program = join(import.meta.dirname, `main${extname(import.meta.filename)}`);
  const limits = ["--max-turns", "1000000", "--max-turns-per-tenant", "1000000", "--max-connections-per-tenant", "0"];
  const flags = ["--port", "0", "--backend", upstreamUrl, "--data-dir", folder, "--deflate", "on", ...limits];
  const child = spawn(process.execPath, [program, "serve", ...flags], {
    // Neither a configuration file nor variables that are meant for another server.
    cwd: folder,
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TURNWIRE_"))),
    stdio: ["ignore", output, output],
  });
  const close = async (): Promise<void> => {
    await ended(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    return { url: await listening(child, log), pid: child.pid ?? 0, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The address that its log tells. */
async function listening(child: ChildProcess, log: string): Promise<string> {
  for (;;) {
    const text = readFileSync(log, "utf8");
    const url = /"url":"([^"]+)"/.exec(text)?.[1];
    if (url !== undefined) return url;
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new UserError(`the server to measure did not start: ${text.trim()}`, EXIT.failure);
    }
    await wait(POLL_MS);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  // It has nothing that has to end well: its store goes with it.
  child.kill("SIGKILL");
  await exit;
}
