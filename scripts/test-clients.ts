// Installs the real clients, beside the project and not in it, and runs their tests. Arguments go to vitest.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const HERE = join(ROOT, "test/clients");
/** Files of pins that do not go together, each with its virtual environment. */
const PYTHONS = ["", "-newest", "-frameworks", "-frameworks-2"];

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

function installPython(file: string, folder: string): boolean {
  rmSync(folder, { recursive: true, force: true });
  return (
    run("python3", ["-m", "venv", folder]) &&
    run(join(folder, "bin/pip"), ["install", "--quiet", "--disable-pip-version-check", "-r", file])
  );
}

if (!install("package-lock.json", join(HERE, "node_modules"), () => run("npm", ["ci", "--no-audit", "--no-fund"]))) {
  console.error("The clients could not be installed.");
  process.exit(1);
}
for (const name of PYTHONS) {
  const file = `requirements${name}.txt`;
  const folder = join(HERE, `.venv${name}`);
  if (install(file, folder, () => installPython(file, folder))) continue;
  rmSync(folder, { recursive: true, force: true });
  console.error(`Python's clients of ${file} could not be installed: their tests are skipped.`);
}

const isTyped = run("tsc", ["-p", "test/clients"], ROOT);
const hasPassed = run("vitest", ["run", "--config", "test/clients/vitest.config.ts", ...process.argv.slice(2)], ROOT);
process.exitCode = isTyped && hasPassed ? 0 : 1;
