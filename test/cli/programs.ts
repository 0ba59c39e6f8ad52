import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { onTestFinished } from "vitest";

/** A folder that a test's programs are in, and a home for them. */
export class Programs {
  readonly folder = mkdtempSync(join(tmpdir(), "turnwire-programs-"));

  constructor() {
    onTestFinished(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  /** Puts a program into the folder; `body` is a module. */
  add(name: string, body: string): string {
    const file = join(this.folder, name);
    writeFileSync(`${file}.mjs`, body);
    writeFileSync(file, `#!/bin/sh\nexec "${process.execPath}" "${file}.mjs" "$@"\n`);
    chmodSync(file, 0o755);
    return file;
  }

  get environment(): NodeJS.ProcessEnv {
    return { PATH: `${this.folder}${delimiter}${process.env["PATH"]}`, HOME: this.folder };
  }
}

/** Tells what it was started with, and asks the server that it was pointed at for one response. */
export const TELLS_ALL = `
const { env, argv } = process;
const answer = await fetch(env.OPENAI_BASE_URL + "/responses", {
  method: "POST",
  headers: { "content-type": "application/json", authorization: "Bearer " + env.OPENAI_API_KEY },
  body: JSON.stringify({ model: "sim", input: "Hello" }),
});
const health = await (await fetch(new URL("/healthz", env.OPENAI_BASE_URL))).json();
console.log(JSON.stringify({ args: argv.slice(2), env, status: answer.status, health }));
`;

export type Told = {
  readonly args: readonly string[];
  readonly env: { readonly [name: string]: string };
  readonly status: number;
  readonly health: object;
};
