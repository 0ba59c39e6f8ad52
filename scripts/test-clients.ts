// Installs the real clients, beside the project and not in it, and runs their tests. Arguments go to vitest.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const HERE = join(ROOT, "test/clients");
const VENV = join(HERE, ".venv");

function run(command: string, args: readonly string[], cwd = HERE): boolean {
  console.log(`\n== ${command} ${args.join(" ")}`);
  return spawnSync(command, args, { cwd, stdio: "inherit" }).status === 0;
}

/** Installs what a file pins, unless that has been done for this very file. */
function install(file: string, folder: string, act: () => boolean): boolean {
  const stamp = join(folder, ".installed");
  const pinned = createHash("sha256")
    .update(readFileSync(join(HERE, file)))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === pinned) return true;
  if (!act()) return false;
  writeFileSync(stamp, pinned);
  return true;
}

function installPython(): boolean {
  rmSync(VENV, { recursive: true, force: true });
  return (
    run("python3", ["-m", "venv", VENV]) &&
    run(join(VENV, "bin/pip"), ["install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"])
  );
}

if (!install("package-lock.json", join(HERE, "node_modules"), () => run("npm", ["ci", "--no-audit", "--no-fund"]))) {
  console.error("The clients could not be installed.");
  process.exit(1);
}
if (!install("requirements.txt", VENV, installPython)) {
  rmSync(VENV, { recursive: true, force: true });
  console.error("Python's clients could not be installed: their tests are skipped.");
}

const isTyped = run("tsc", ["-p", "test/clients"], ROOT);
const hasPassed = run("vitest", ["run", "--config", "test/clients/vitest.config.ts", ...process.argv.slice(2)], ROOT);
process.exitCode = isTyped && hasPassed ? 0 : 1;
