// Everything that must hold before a change is merged, cheapest first; stops at the first step that fails.

import { spawnSync } from "node:child_process";

const steps = [
  ["format", "biome format ."],
  ["lint", "npm run --silent lint"],
  ["types", "npm run --silent types"],
  ["layers", "npm run --silent layers"],
  ["dead code", "knip"],
  // Before the tests: some of them start the built command.
  ["build", "npm run --silent build"],
  ["test", "npm run --silent test"],
  ["package metadata", "publint --strict"],
  ["packed package", "npm run --silent test:pack"],
] as const;

for (const [title, command] of steps) {
  console.log(`\n== ${title}: ${command}`);
  const started = performance.now();
  const { status } = spawnSync(command, { shell: true, stdio: "inherit" });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (status !== 0) {
    console.error(`\n== check failed at: ${title} (${seconds} s)`);
    process.exit(1);
  }
  console.log(`== ${title} passed (${seconds} s)`);
}
console.log("\n== check passed");
