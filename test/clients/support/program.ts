import { type ChildProcess, spawn } from "node:child_process";
import { onTestFinished } from "vitest";

export type ProgramOptions = {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** When it is ended at the latest: with the test that started it, unless it serves several. */
  readonly until?: (end: () => Promise<void>) => void;
};

export type Ending = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** A program under test, a process of its own. */
export class Program {
  readonly ended: Promise<Ending>;
  readonly #process: ChildProcess;
  readonly #waiters = new Set<() => void>();
  #stdout = "";
  #stderr = "";

  constructor(command: string, args: readonly string[], { cwd, env, until = onTestFinished }: ProgramOptions) {
    // A group of its own, so that what it started ends with it.
    this.#process = spawn(command, args, { cwd, env, stdio: ["pipe", "pipe", "pipe"], detached: true });
    this.#process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      for (const look of this.#waiters) look();
    });
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    // A program that ends while it is written to is seen by its end.
    this.#process.stdin?.on("error", () => undefined);
    this.ended = new Promise((resolve, reject) => {
      this.#process.once("error", reject);
      this.#process.once("close", (code) => {
        for (const look of this.#waiters) look();
        resolve({ code, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
    until(() => this.kill());
  }

  write(text: string): void {
    this.#process.stdin?.write(text);
  }

  /** Says that nothing more will be written. */
  closeInput(): void {
    this.#process.stdin?.end();
  }

  /** Resolves with the first line of the output, from `after` on, that is wanted, and its number. */
  line(isWanted: (line: string) => boolean, after = 0): Promise<{ readonly text: string; readonly number: number }> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const lines = this.#stdout.split("\n").slice(0, -1);
        const number = lines.findIndex((text, index) => index >= after && isWanted(text));
        if (number >= 0) resolve({ text: lines[number] ?? "", number });
        else if (this.#process.exitCode !== null || this.#process.signalCode !== null) {
          reject(new Error(`it ended without that line:\n${this.#stdout}\n${this.#stderr}`));
        } else return;
        this.#waiters.delete(look);
      };
      this.#waiters.add(look);
      look();
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** Ends it, and everything that it started. */
  async kill(): Promise<void> {
    const { pid } = this.#process;
    if (pid === undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // Nobody is left in the group.
    }
    await this.ended;
  }
}

/** The values of an output that has one of them a line; other lines are left out. */
export function jsonLines(text: string): readonly unknown[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as unknown);
}
