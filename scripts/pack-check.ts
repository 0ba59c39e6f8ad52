// Installs what would be published into an empty folder, as a user would, and runs its command there: a file missing
// from `files`, or an import of a dev dependency, shows up nowhere else.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
const folder = mkdtempSync(join(tmpdir(), "turnwire-pack-"));

function run(cwd: string, command: string, args: readonly string[]): string {
  return execFileSync(command, args, {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    shell: process.platform === "win32",
  });
}

function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

try {
  // Packing would build again; dist/ is what `npm run build` has just made.
  run(root, "npm", ["pack", "--ignore-scripts", "--pack-destination", folder]);

  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  run(folder, "npm", ["install", `./turnwire-${version}.tgz`, "--prefer-offline", "--no-audit", "--no-fund"]);

  const printed = run(folder, "npx", ["--no-install", "turnwire", "--version"]).trim();
  expect(printed.includes(version), `--version printed '${printed}', package.json says '${version}'`);

  const help = run(folder, "npx", ["--no-install", "turnwire", "--help"]);
  expect(/turnwire/i.test(help), `--help does not name the command:\n${help}`);

  for (const name of ["turnwire", "turnwire/testing", "turnwire/conformance"]) {
    run(folder, process.execPath, ["--input-type=module", "--eval", `await import(${JSON.stringify(name)})`]);
  }
  const schema = "import schema from 'turnwire/config.schema.json' with { type: 'json' }; if (!schema) process.exit(1)";
  run(folder, process.execPath, ["--input-type=module", "--eval", schema]);

  console.log(`turnwire ${version} installs from its tarball and runs`);
} catch (error) {
  const { message, stdout, stderr } = error as Error & { stdout?: string; stderr?: string };
  console.error([message, stdout, stderr].filter(Boolean).join("\n"));
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
