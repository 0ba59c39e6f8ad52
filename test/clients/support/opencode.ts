import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { opencode } from "./installed.ts";
import { type Ending, jsonLines, Program } from "./program.ts";
import { bareEnvironment, scratch } from "./scratch.ts";

export type OpencodeOptions = { readonly baseUrl: string; readonly webSocket: boolean; readonly model: string };

type RunEvent = { readonly type: string; readonly sessionID: string; readonly part?: { readonly text?: string } };

export type RunResult = Ending & { readonly answer: string; readonly session: string | undefined };

/** opencode with a home and a working folder of its own, for the time of a test. */
export class Opencode {
  readonly work: string;
  readonly #env: Record<string, string>;
  readonly #model: string;

  private constructor(work: string, env: Record<string, string>, model: string) {
    this.work = work;
    this.#env = env;
    this.#model = model;
  }

  static async create({ baseUrl, webSocket, model }: OpencodeOptions): Promise<Opencode> {
    const folder = await scratch();
    const work = join(folder, "work");
    await mkdir(work);
    const provider = {
      openai: { options: { baseURL: baseUrl, apiKey: "any" }, models: { [model]: { tool_call: true } } },
    };
    return new Opencode(
      work,
      {
        ...bareEnvironment(join(folder, "home")),
        OPENCODE_CONFIG_CONTENT: JSON.stringify({
          provider,
          autoupdate: false,
          share: "disabled",
          permission: "allow",
        }),
        OPENCODE_AUTH_CONTENT: JSON.stringify({ openai: { type: "api", key: "any" } }),
        OPENCODE_DISABLE_AUTOUPDATE: "1",
        OPENCODE_DISABLE_MODELS_FETCH: "1",
        OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
        ...(webSocket && { OPENCODE_EXPERIMENTAL_WEBSOCKETS: "1" }),
      },
      model,
    );
  }

  start(prompt: string, session?: string): Program {
    const { command } = opencode();
    const resumed = session === undefined ? [] : ["--session", session];
    const args = [
      "run",
      "--format",
      "json",
      "--auto",
      "--title",
      "A log",
      "--model",
      `openai/${this.#model}`,
      ...resumed,
      prompt,
    ];
    const program = new Program(command, args, { cwd: this.work, env: this.#env });
    program.closeInput();
    return program;
  }

  /** Runs a prompt, or with `session` the next one of a conversation, to its end. */
  async run(prompt: string, session?: string): Promise<RunResult> {
    const ending = await this.start(prompt, session).ended;
    const events = jsonLines(ending.stdout) as readonly RunEvent[];
    const answer = events.findLast(({ type }) => type === "text")?.part?.text ?? "";
    return { ...ending, answer, session: events[0]?.sessionID };
  }
}
