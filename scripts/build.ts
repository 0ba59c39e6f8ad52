// src/ → dist/: what tsc emits, the assets that tsc leaves behind, and a command that can be executed.

import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);

// A file that was deleted in src/ must not survive in the package.
rmSync("dist", { recursive: true, force: true });

try {
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], {
    stdio: "inherit",
  });
} catch {
  // tsc has already said what is wrong; a stack trace of this script would hide it.
  process.exit(1);
}

cpSync("src", "dist", {
  recursive: true,
  filter: (source) => statSync(source).isDirectory() || !/\.(ts|md)$/.test(source),
});
chmodSync("dist/cli/main.js", 0o755);

// Node.js does not run TypeScript inside of node_modules: the examples of the package are plain JavaScript.
mkdirSync("dist/examples");
for (const file of readdirSync("examples").filter((name) => name.endsWith(".ts"))) {
  const code = stripTypeScriptTypes(readFileSync(`examples/${file}`, "utf8"));
  const linked = code.replaceAll("../src/", "../").replaceAll(/(from "\.[^"]*)\.ts"/g, '$1.js"');
  writeFileSync(`dist/examples/${file.replace(/\.ts$/, ".js")}`, linked);
}
