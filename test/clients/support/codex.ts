import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { codex, type CodexVersion } from "./installed.ts";
import { type Ending, jsonLines, Program } from "./program.ts";
import { bareEnvironment, scratch } from "./scratch.ts";

export type CodexOptions = {
  /** The base URL, with its `/v1`. */
  readonly baseUrl: string;
  /** OpenAI's own provider with another URL, or one that the user defines. */
  readonly provider: "built-in" | "custom";
  readonly model?: string;
  readonly version?: CodexVersion;
  readonly webSocket?: boolean;
  /** More lines for the top of the configuration. */
  readonly config?: string;
  /** More lines for the provider, if it is the user's. */
  readonly providerConfig?: string;
};

/** An event of `codex exec --json`. */
export type ExecEvent = {
  readonly type: string;
  readonly thread_id?: string;
  readonly message?: string;
  readonly error?: { readonly message: string };
  readonly item?: { readonly type: string; readonly text?: string; readonly message?: string };
};

export type ExecResult = Ending & { readonly events: readonly ExecEvent[]; readonly answer: string };

/** Codex with a home and a working folder of its own, for the time of a test. */
export class Codex {
  readonly work: string;
  readonly env: Record<string, string>;

  readonly #version: CodexVersion;

  private constructor(work: string, env: Record<string, string>, version: CodexVersion) {
    this.work = work;
    this.env = env;
    this.#version = version;
  }

  static async create(options: CodexOptions): Promise<Codex> {
    const folder = await scratch();
    const home = join(folder, "home");
    const work = join(folder, "work");
    await mkdir(join(home, ".codex"), { recursive: true });
    await mkdir(work);
    await writeFile(join(home, ".codex/config.toml"), configOf(options));
    return new Codex(
      work,
      { ...bareEnvironment(home), CODEX_API_KEY: "any", TURNWIRE_KEY: "any" },
      options.version ?? "pinned",
    );
  }

  /** Gives the same home another configuration. */
  async configure(options: CodexOptions): Promise<void> {
    await writeFile(join(this.env["HOME"] ?? "", ".codex/config.toml"), configOf(options));
  }

  /** Runs a prompt, or with `resume` the next one of a conversation, to its end. */
  async exec(prompt: string, resume?: string): Promise<ExecResult> {
    const program = this.startExec(prompt, resume);
    return result(await program.ended);
  }

  startExec(prompt: string, resume?: string): Program {
    const common = ["--json", "--skip-git-repo-check"];
    const args = resume === undefined ? ["-C", this.work, prompt] : ["resume", resume, prompt];
    const program = this.#start(["exec", ...common, ...args]);
    program.closeInput();
    return program;
  }

  startAppServer(): Program {
    return this.#start(["app-server"]);
  }

  #start(args: readonly string[]): Program {
    const program = codex(this.#version);
    return new Program(program.command, [...program.args, ...args], { cwd: this.work, env: this.env });
  }
}

export function result(ending: Ending): ExecResult {
  const events = jsonLines(ending.stdout) as readonly ExecEvent[];
  const said = events.findLast(({ type, item }) => type === "item.completed" && item?.type === "agent_message");
  return { ...ending, events, answer: said?.item?.text ?? "" };
}

function configOf({ baseUrl, provider, model, webSocket = true, config = "", providerConfig = "" }: CodexOptions) {
  const isOwn = provider === "custom";
  return `${isOwn ? 'model_provider = "turnwire"' : `openai_base_url = "${baseUrl}"`}
model = "${model ?? "local-model"}"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
${config}
[analytics]
enabled = false
[features]
plugins = false
apps = false
${
  isOwn
    ? `[model_providers.turnwire]
name = "Turnwire"
base_url = "${baseUrl}"
env_key = "TURNWIRE_KEY"
wire_api = "responses"
supports_websockets = ${webSocket}
${providerConfig}`
    : ""
}`;
}
