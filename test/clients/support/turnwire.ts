import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { jsonLines, Program } from "./program.ts";
import { bareEnvironment, scratch } from "./scratch.ts";
import type { ScriptedModel } from "./scripted-model.ts";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));

type LoggedTurn = {
  readonly msg: string;
  readonly session: string;
  readonly transport: string;
  readonly previousResponseId: string | null;
  readonly itemsIn: number;
  readonly outcome: string;
  readonly errorCode: string | null;
};

/** Turnwire as a user runs it: a process of its own, in front of the scripted model. */
export class Turnwire {
  readonly url: string;
  readonly #program: Program;
  readonly #start: (port: number) => Promise<Turnwire>;

  private constructor(url: string, program: Program, again: (port: number) => Promise<Turnwire>) {
    this.url = url;
    this.#program = program;
    this.#start = again;
  }

  static async start(model: ScriptedModel, flags: readonly string[] = []): Promise<Turnwire> {
    const folder = await scratch();
    const start = async (port: number): Promise<Turnwire> => {
      // The clients run on the same few processors, which the server must not take for load.
      const own = ["--port", String(port), "--backend", model.upstream.url, "--max-loop-delay-ms", "0"];
      const program = new Program(process.execPath, [MAIN, "serve", ...own, ...flags], {
        cwd: folder,
        env: { ...bareEnvironment(join(folder, "home")), TURNWIRE_GRACE_SECONDS: "1" },
      });
      const { text } = await program.line((line) => line.includes('"listening"'));
      return new Turnwire((JSON.parse(text) as { readonly url: string }).url, program, start);
    };
    return start(0);
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Resolves when it logs a line that has the text. */
  async logged(text: string): Promise<void> {
    await this.#program.line((line) => line.includes(text));
  }

  /** The turns that it ran, when it has ended. */
  async turns(): Promise<readonly LoggedTurn[]> {
    const { stdout } = await this.#program.ended;
    return (jsonLines(stdout) as readonly LoggedTurn[]).filter(({ msg }) => msg === "turn");
  }

  /** Ends it at once, as a crash does. */
  async crash(): Promise<void> {
    await this.#program.kill();
  }

  /** Ends it as an operator does. */
  async stop(): Promise<void> {
    this.#program.signal("SIGTERM");
    await this.#program.ended;
  }

  /** A new process at the same address, with what is on disk. */
  again(): Promise<Turnwire> {
    return this.#start(this.port);
  }
}
