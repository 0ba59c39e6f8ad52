import { createHash } from "node:crypto";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { Codex, result } from "./support/codex.ts";
import { codex, type Installed, opencode } from "./support/installed.ts";
import { jsonLines, Program } from "./support/program.ts";
import { bareEnvironment, linesOf, scratch } from "./support/scratch.ts";
import { ScriptedModel, type Step } from "./support/scripted-model.ts";
import { Turnwire } from "./support/turnwire.ts";

/** `turnwire run` with the real programs: one command, and nothing of theirs configured. */

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** A home, a working folder, a program in PATH by the name that people know it by, and a model. */
async function openDesk(name: string, { command, args }: Installed, loop: readonly Step[]) {
  const model = await ScriptedModel.start({ loop });
  onTestFinished(() => model.close());
  const folder = await scratch();
  const [home, work, bin] = ["home", "work", "bin"].map((part) => join(folder, part)) as [string, string, string];
  await Promise.all([home, work, bin].map((each) => mkdir(each)));
  const program = join(bin, name);
  await writeFile(program, `#!/bin/sh\nexec ${[command, ...args].map((part) => `'${part}'`).join(" ")} "$@"\n`);
  await chmod(program, 0o755);
  const env = bareEnvironment(home);
  const run = async (...own: readonly string[]) => {
    const flags = ["run", "--port", "0", "--backend", model.upstream.url, "--max-loop-delay-ms", "0", name, "--"];
    const started = new Program(process.execPath, [MAIN, ...flags, ...own], {
      cwd: work,
      env: {
        ...env,
        PATH: [bin, env["PATH"]].join(delimiter),
        OPENCODE_DISABLE_AUTOUPDATE: "1",
        OPENCODE_DISABLE_MODELS_FETCH: "1",
        OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
      },
    });
    started.closeInput();
    return started.ended;
  };
  const turns = async () => {
    const log = jsonLines(await readFile(join(home, ".turnwire/run.log"), "utf8"));
    return (log as readonly { readonly msg: string; readonly transport: string }[]).filter(({ msg }) => msg === "turn");
  };
  return { model, home, work, run, turns };
}

/** Two commands of a shell, by the client's own tool for it, and an answer. */
function loop(shell: (command: string) => { readonly name: string; readonly input: object }): readonly Step[] {
  return [{ calls: [shell("echo one >> log.txt")] }, { calls: [shell("cat log.txt")] }, { text: "All done." }];
}

const codexProgram = codex();
const whyNoCodex = codexProgram.missing === null ? "" : ` (skipped: ${codexProgram.missing})`;

describe.skipIf(codexProgram.missing !== null)(`turnwire run codex${whyNoCodex}`, () => {
  test("does a task over one WebSocket, past a configuration that leads elsewhere and is left as it is", async () => {
    const desk = await openDesk(
      "codex",
      codexProgram,
      loop((cmd) => ({ name: "exec_command", input: { cmd } })),
    );
    const file = join(desk.home, ".codex/config.toml");
    const login = join(desk.home, ".codex/auth.json");
    await mkdir(join(desk.home, ".codex"));
    await writeFile(
      file,
      'model_provider = "x"\n[model_providers.x]\nname = "x"\nbase_url = "http://127.0.0.1:9/v1"\n',
    );
    await writeFile(login, '{"OPENAI_API_KEY":"sk-real"}');
    const before = [await digest(file), await digest(login)];
    const options = ["--json", "--skip-git-repo-check", "-s", "danger-full-access"];
    const ending = await desk.run("exec", ...options, "-C", desk.work, "[task:loop] Write a log.");
    expect({ code: ending.code, answer: result(ending).answer }).toEqual({ code: 0, answer: "All done." });
    expect(desk.model.wrong).toEqual([]);
    expect(await linesOf(join(desk.work, "log.txt"))).toEqual(["one"]);
    expect(new Set((await desk.turns()).map(({ transport }) => transport))).toEqual(new Set(["websocket"]));
    expect([await digest(file), await digest(login)]).toEqual(before);
  });

  test("begins sessions that plain Codex resumes with a provider of the same name, and resumes them again", async () => {
    const desk = await openDesk("codex", codexProgram, [{ text: "One." }]);
    desk.model.plan("two", [{ text: "Two." }]);
    desk.model.plan("three", [{ text: "Three." }]);
    const options = ["--json", "--skip-git-repo-check"];
    const first = result(await desk.run("exec", ...options, "[task:loop] Begin."));
    const thread = first.events.find(({ thread_id: id }) => id !== undefined)?.thread_id ?? "";
    const server = await Turnwire.start(desk.model);
    const client = await Codex.create({ baseUrl: `${server.url}/v1`, provider: "custom" });
    client.env["HOME"] = desk.home;
    await mkdir(join(desk.home, ".codex"), { recursive: true });
    await client.configure({ baseUrl: `${server.url}/v1`, provider: "custom" });
    const second = await client.exec("[task:two] Go on.", thread);
    const third = result(await desk.run("exec", "resume", ...options, thread, "[task:three] Go on."));
    expect([first.answer, second.answer, third.answer]).toEqual(["One.", "Two.", "Three."]);
    expect(desk.model.messages().filter(({ role }) => role === "assistant")).toMatchObject([
      { content: "One." },
      { content: "Two." },
    ]);
  });
});

const opencodeProgram = opencode();
const whyNoOpencode = opencodeProgram.missing === null ? "" : ` (skipped: ${opencodeProgram.missing})`;

describe.skipIf(opencodeProgram.missing !== null)(`turnwire run opencode${whyNoOpencode}`, () => {
  test("does a task over a WebSocket, without a login", async () => {
    const desk = await openDesk(
      "opencode",
      opencodeProgram,
      loop((command) => ({ name: "bash", input: { command, description: "Writes a log" } })),
    );
    const { code, stdout } = await desk.run(
      "run",
      "--format",
      "json",
      "--auto",
      "--title",
      "A log",
      "[task:loop] Write a log.",
    );
    expect({ code, isDone: stdout.includes("All done.") }).toEqual({ code: 0, isDone: true });
    expect(desk.model.wrong).toEqual([]);
    expect(await linesOf(join(desk.work, "log.txt"))).toEqual(["one"]);
    expect(new Set((await desk.turns()).map(({ transport }) => transport))).toEqual(new Set(["websocket"]));
  });
});

async function digest(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}
