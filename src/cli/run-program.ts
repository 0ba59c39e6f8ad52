import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { constants as systemConstants } from "node:os";
import { delimiter, join } from "node:path";

/** A program in the foreground, as if it had been started directly. */

/** Signals for the program, when somebody sends them to this process in its place. */
const FORWARDED = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/** Where a program is, as a shell would find it. */
export function findProgram(program: string, path = ""): string | undefined {
  if (/[/\\]/.test(program)) return isExecutable(program) ? program : undefined;
  return path
    .split(delimiter)
    .map((folder) => join(folder === "" ? "." : folder, program))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * Runs a program on this process's own terminal, files and pipes. Resolves with its exit code; one that a signal has ended
 * gives what shells make of that.
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const child = spawn(program, args, { stdio: "inherit", env: environment });
  const forward = (signal: NodeJS.Signals): void => {
    child.kill(signal);
  };
  // A terminal gives Ctrl-C to both processes; twice would be once more than was meant.
  const interrupt = process.stdin.isTTY ? () => {} : forward;
  process.on("SIGINT", interrupt);
  for (const signal of FORWARDED) process.on(signal, forward);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve(code ?? 128 + systemConstants.signals[signal ?? "SIGTERM"]));
    });
  } finally {
    process.off("SIGINT", interrupt);
    for (const signal of FORWARDED) process.off(signal, forward);
  }
}
