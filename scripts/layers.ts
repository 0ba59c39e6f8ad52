// Runs the layer rules, and refuses a green result that looked at nothing: with a TypeScript that has no JS API the
// cruiser finds no modules, no violations, and reports success.

import { execFileSync } from "node:child_process";

const FEWEST_MODULES = 20;

type Cruise = {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: {
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string; readonly severity: string };
      readonly cycle?: readonly { readonly name: string }[];
    }[];
  };
};

const output = execFileSync(
  process.execPath,
  [
    "node_modules/dependency-cruiser/bin/dependency-cruiser.mjs",
    "--config",
    ".dependency-cruiser.mjs",
    "--output-type",
    "json",
    "src",
  ],
  { encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "inherit"] },
);
const cruise = JSON.parse(output) as Cruise;

const seen = cruise.modules.filter((module) => /^src\/.*\.ts$/.test(module.source)).length;
const { violations } = cruise.summary;

for (const { rule, from, to, cycle } of violations) {
  const path = cycle ? cycle.map((step) => step.name).join(" → ") : to;
  console.error(`${rule.name}: ${from} → ${path}`);
}
console.log(`${seen} modules of src seen, ${violations.length} broken rules`);

if (seen < FEWEST_MODULES) {
  console.error(`Fewer than ${FEWEST_MODULES} modules were seen, so this result says nothing.`);
}
process.exitCode = violations.length > 0 || seen < FEWEST_MODULES ? 1 : 0;
