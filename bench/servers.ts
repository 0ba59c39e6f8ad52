// Starts the servers that are compared, each in a process of its own that tells what it uses.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, rmSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Target } from "../src/bench/target.ts";
import type { ProbeAnswer } from "./probe.ts";

const ROOT = join(import.meta.dirname, "..");

export type Contestant = {
  readonly name: string;
  /** The program and its arguments. */
  readonly program: (port: number, upstream: string, folder: string) => readonly string[];
};

export const FLOOR: Contestant = {
  name: "floor",
  program: (port, upstream) => ["bench/floor.ts", "--port", String(port), "--upstream", upstream, "--deflate"],
};

/** Turnwire with its settings as they are, but for a store that ends with it and compression for this machine; further flags come last. */
export function turnwire(flags: readonly string[], name = "turnwire"): Contestant {
  return {
    name,
    program: (port, upstream, folder) =>
      `src/cli/main.ts serve --deflate on --port ${port} --backend ${upstream} --data-dir ${folder}`
        .split(" ")
        .concat(flags),
  };
}

/** A server that is running, and can be asked. */
export type Running = Target & {
  readonly usage: (question?: "usage" | "collect") => Promise<ProbeAnswer>;
  readonly stop: () => Promise<void>;
};

export async function start(contestant: Contestant, upstream: string): Promise<Running> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "turnwire-bench-"));
  const quiet = openSync("/dev/null", "w");
  const [program = "", ...args] = contestant.program(port, upstream, folder);
  const child = spawn(
    process.execPath,
    ["--expose-gc", "--import", join(ROOT, "bench/probe.ts"), join(ROOT, program), ...args],
    { stdio: ["ignore", quiet, "inherit", "ipc"], cwd: folder },
  );
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  await untilListening(port, child).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    name: contestant.name,
    url: `http://127.0.0.1:${port}`,
    key: null,
    pid: child.pid ?? null,
    usage: async (question = "usage") => {
      child.send(question);
      const [answer] = (await once(child, "message")) as [ProbeAnswer];
      return answer;
    },
    stop,
  };
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function untilListening(port: number, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`a server ended before it listened (exit code ${child.exitCode})`);
    const socket = connect(port, "127.0.0.1");
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
