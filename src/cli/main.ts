#!/usr/bin/env node
// Starts the command, on a Node.js that can run it. Nothing else is imported before that is known: on an older one, what
// the rest is written in would end in a syntax error.

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < 22 || (major === 22 && minor < 13)) {
  console.error(`turnwire needs Node.js 22.13 or later; this is ${process.versions.node}.`);
  process.exit(1);
}

const { runCommand } = await import("./commands.ts");
process.exitCode = await runCommand(process.argv.slice(2));
