import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** A program of the suite: how it is started, and why it cannot be, if so. */
export type Installed = {
  readonly command: string;
  readonly args: readonly string[];
  readonly missing: string | null;
};

const require = createRequire(import.meta.url);

function installed(command: string, args: readonly string[], check: readonly string[]): Installed {
  const { status, error, stderr } = spawnSync(command, [...args, ...check], { encoding: "utf8", timeout: 30_000 });
  const why = status === 0 ? null : (error?.message ?? stderr.trim().split("\n").at(-1) ?? `it ends with ${status}`);
  return { command, args, missing: why };
}

function absent(missing: string): Installed {
  return { command: "", args: [], missing };
}

/** Versions of Codex: the one that most tests are about, and the newest. */
export const CODEXES = { pinned: "@openai/codex", newest: "codex-newest" } as const;
export type CodexVersion = keyof typeof CODEXES;

/** Codex of the package itself, or of the one that needs it. */
export function codex(version: CodexVersion = "pinned"): Installed {
  const main = join(dirname(require.resolve(`${CODEXES[version]}/package.json`)), "bin/codex.js");
  return installed(process.execPath, [main], ["--version"]);
}

/** Its package puts the program for this machine in place by a script, which is not run; the program is beside it. */
export function opencode(): Installed {
  const { platform, arch } = process;
  const modules = fileURLToPath(new URL("../node_modules", import.meta.url));
  const program = [`opencode-${platform}-${arch}-baseline`, `opencode-${platform}-${arch}`]
    .map((name) => join(modules, name, "bin/opencode"))
    .find((path) => existsSync(path));
  return program === undefined ? absent(`no build for ${platform}-${arch}`) : installed(program, [], ["--version"]);
}

/** What each virtual environment has, and a line of Python that needs all of it. Their pins do not go together. */
const ENVIRONMENTS = {
  pinned: { folder: ".venv", imports: "openai, agents, websockets" },
  newest: { folder: ".venv-newest", imports: "openai, agents, websockets" },
  frameworks: { folder: ".venv-frameworks", imports: "pydantic_ai, haystack, livekit.agents, semantic_kernel" },
  /** Those that still need the SDK's second major version. */
  "frameworks-2": { folder: ".venv-frameworks-2", imports: "llama_index.llms.openai, strands" },
} as const;

/** The Python that has what the requirements of that name pin. */
export function python(name: keyof typeof ENVIRONMENTS = "pinned"): Installed {
  const { folder, imports } = ENVIRONMENTS[name];
  const program = fileURLToPath(new URL(`../${folder}/bin/python`, import.meta.url));
  if (!existsSync(program)) return absent("no Python that can make this virtual environment");
  return installed(program, [], ["-c", `import ${imports}`]);
}
