import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

export type Ending = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

type Waiter = { readonly matches: (line: string) => boolean; readonly resolve: (line: string) => void };

/** The command as a user starts it: a process of its own, in an empty folder, with a bare environment. */
export class Child {
  readonly #process: ChildProcess;
  readonly #folder = mkdtempSync(join(tmpdir(), "turnwire-cli-"));
  readonly #waiters = new Set<Waiter>();
  readonly ended: Promise<Ending>;
  #stdout = "";
  #stderr = "";

  constructor(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    this.#process = spawn(process.execPath, [MAIN, ...args], {
      cwd: this.#folder,
      env: { PATH: process.env["PATH"], HOME: this.#folder, NO_COLOR: "1", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      this.#look();
    });
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.ended = new Promise((resolve) => {
      this.#process.once("close", (code) => {
        rmSync(this.#folder, { recursive: true, force: true });
        resolve({ code, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  /** Resolves with the first line of the output that has the text. */
  line(text: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#waiters.add({ matches: (line) => line.includes(text), resolve });
    this.#look();
    void this.ended.then(({ code, stdout, stderr }) =>
      reject(new Error(`it ended with ${code} before it said '${text}':\n${stdout}${stderr}`)),
    );
    return promise;
  }

  /** Resolves with the address of a server that has said that it is listening. */
  async url(): Promise<string> {
    const { url } = JSON.parse(await this.line('"listening"')) as { readonly url: string };
    return url;
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  #look(): void {
    const lines = this.#stdout.split("\n").slice(0, -1);
    for (const waiter of this.#waiters) {
      const line = lines.find(waiter.matches);
      if (line === undefined) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(line);
    }
  }
}

const children = new Set<Child>();

export function start(args: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Child {
  const child = new Child(args, environment);
  children.add(child);
  return child;
}

/** Runs a command that ends by itself. */
export function run(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Ending> {
  return start(args, environment).ended;
}

/** Ends whatever a test has left running. */
export async function endAll(): Promise<void> {
  for (const child of children) child.signal("SIGKILL");
  await Promise.all([...children].map((child) => child.ended));
  children.clear();
}
