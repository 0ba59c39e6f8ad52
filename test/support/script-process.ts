import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A script of the tests in a process of its own, to be killed. */
export class ScriptProcess {
  readonly #process: ChildProcess;
  /** What it has said on standard output. */
  readonly lines: string[] = [];
  /** Resolves when it is gone and all that it said has been read. */
  readonly ended: Promise<readonly string[]>;
  readonly #waiters = new Set<{ readonly count: number; readonly resolve: () => void }>();

  constructor(script: URL, args: readonly string[], options: { readonly env?: NodeJS.ProcessEnv } = {}) {
    this.#process = spawn(process.execPath, [script.pathname, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
      ...options,
    });
    const { stdout } = this.#process;
    if (stdout === null) throw new Error("The script has no standard output.");
    const reader = createInterface({ input: stdout });
    reader.on("line", (line) => {
      this.lines.push(line);
      for (const waiter of this.#waiters) if (this.lines.length >= waiter.count) this.#release(waiter);
    });
    this.ended = new Promise((resolve) => {
      reader.once("close", () => {
        for (const waiter of this.#waiters) this.#release(waiter);
        resolve(this.lines);
      });
    });
  }

  /** Resolves when it has said so many lines, or is gone. */
  said(count: number): Promise<void> {
    if (this.lines.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.add({ count, resolve }));
  }

  /** Ends it as no process can notice; fails if it has ended by itself. */
  async kill(): Promise<readonly string[]> {
    const { exitCode } = this.#process;
    if (exitCode !== null) throw new Error(`the script ended by itself, with ${exitCode}`);
    this.#process.kill("SIGKILL");
    return this.ended;
  }

  #release(waiter: { readonly count: number; readonly resolve: () => void }): void {
    this.#waiters.delete(waiter);
    waiter.resolve();
  }
}
