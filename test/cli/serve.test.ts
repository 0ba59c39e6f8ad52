import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { endAll, run, start } from "./child.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

afterEach(endAll);

type Line = { readonly [field: string]: unknown };

function linesOf(stdout: string): readonly Line[] {
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

function create(url: string, body: object): Promise<Response> {
  return fetch(`${url}/v1/responses`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "sim", ...body }),
  });
}

describe("serve", () => {
  test("says where it listens, in JSON where there is no terminal, and answers there", async () => {
    const child = start(["serve", "--port", "0"]);
    const url = await child.url();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(await (await create(url, { input: "Hello" })).json()).toMatchObject({ status: "completed" });
    await child.line('"turn"');
    child.signal("SIGTERM");
    const { code, stdout, stderr } = await child.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = linesOf(stdout);
    expect(lines.map(({ msg }) => msg)).toEqual([
      "no --backend: a simulator answers, not a model",
      "no API keys: only this machine can connect",
      "listening",
      "turn",
      "stopping: running turns may still end",
    ]);
    expect(lines[2]).toMatchObject({
      url,
      address: new URL(url).host,
      modelServer: "simulator",
      access: "no API key needed",
      tenants: [],
      data: "sqlite:",
    });
  });

  test("is what runs without a command, with settings from the environment", async () => {
    const child = start([], { TURNWIRE_PORT: "0", TURNWIRE_API_KEYS: "acme=sk-secret-of-acme" });
    const url = await child.url();
    expect((await create(url, { input: "Hello" })).status).toBe(401);
    child.signal("SIGINT");
    const { code, stdout } = await child.ended;
    expect(code).toBe(0);
    expect(stdout).toContain("acme");
    expect(stdout).not.toContain("sk-secret");
  });

  test("told to stop, lets a running turn end and then ends well", async () => {
    // The turn lasts until the test has seen it run and has told the server to stop.
    const child = start(["--port", "0", "--sim-delay-ms", "500", "--log-level", "debug"]);
    const url = await child.url();
    const turn = create(url, { input: "Hello" });
    await child.line('"turn.started"');
    child.signal("SIGTERM");
    await child.line('"stopping');
    expect(await (await turn).json()).toMatchObject({ status: "completed" });
    const { code, stdout } = await child.ended;
    expect(code).toBe(0);
    expect(linesOf(stdout).find(({ msg }) => msg === "turn")).toMatchObject({ outcome: "completed" });
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("told twice, ends at once: %s gives %i", async (signal, expected) => {
    const child = start(["--port", "0", "--sim-delay-ms", "600000", "--log-level", "debug"]);
    const url = await child.url();
    const turn = create(url, { input: "Hello" }).catch(() => "cut");
    await child.line('"turn.started"');
    child.signal(signal);
    await child.line('"stopping');
    child.signal(signal);
    expect((await child.ended).code).toBe(expected);
    expect(await turn).toBe("cut");
  });
});

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("SIGHUP after %s cuts nothing", async (first) => {
  const child = start(["--port", "0", "--sim-delay-ms", "500", "--log-level", "debug"]);
  const turn = create(await child.url(), { input: "Hello" });
  await child.line('"turn.started"');
  child.signal(first);
  await child.line('"stopping');
  child.signal("SIGHUP");
  child.signal("SIGHUP");
  expect(await (await turn).json()).toMatchObject({ status: "completed" });
  expect((await child.ended).code).toBe(0);
});

/** Starts a command line in a folder that has the server as npm would install it, and waits for its address. */
async function underNpm(command: string, args: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-npm-"));
  mkdirSync(join(folder, "node_modules/.bin"), { recursive: true });
  const bin = join(folder, "node_modules/.bin/turnwire");
  const { scripts } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    readonly scripts: { readonly start: string };
  };
  const serve = scripts.start.replace(/^(exec )?node \S+/, `$1"${process.execPath}" "${MAIN}"`);
  writeFileSync(bin, `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`, { mode: 0o755 });
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "x", version: "1.0.0", scripts: { start: serve } }),
  );
  const child = spawn(command, args, {
    cwd: folder,
    env: {
      PATH: process.env["PATH"],
      HOME: folder,
      TURNWIRE_PORT: "0",
      TURNWIRE_SIM_DELAY_MS: "500",
      TURNWIRE_LOG_LEVEL: "debug",
      npm_config_update_notifier: "false",
      npm_config_offline: "true",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      for (const look of waiting) look();
    });
  }
  // Its output ends with the last process that can write to it: with the server.
  const ended = new Promise<string>((resolve) => {
    child.once("close", () => resolve(output));
  });
  onTestFinished(async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  const says = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = pattern.exec(output);
        if (found !== null) resolve(found);
      };
      waiting.add(look);
      look();
      void ended.then((text) => reject(new Error(`it ended before it said ${String(pattern)}:\n${text}`)));
    });
  return { child, ended, says };
}

describe("under npm", () => {
  test.each([
    ["npm start", "npm", ["start"], "SIGTERM"],
    ["npm start", "npm", ["start"], "SIGINT"],
    ["npx turnwire", "npx", ["--no-install", "turnwire"], "SIGTERM"],
  ] as const)(
    "%s: the server hears of a signal to npm, and drains",
    async (_name, command, args, signal) => {
      const { child, ended, says } = await underNpm(command, args);
      const [, url = ""] = await says(/"url":"([^"]+)"[^\n]*"listening"/);
      const turn = create(url, { input: "Hello" });
      await says(/"turn.started"/);
      child.kill(signal);
      expect(await (await turn).json()).toMatchObject({ status: "completed" });
      expect(await ended).toContain("stopping: running turns may still end");
    },
    30_000,
  );
});

describe("a server that cannot start", () => {
  test("because its port is in use, says so in one line", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => {
      other.listen(0, "127.0.0.1", resolve);
    });
    const { port } = other.address() as AddressInfo;
    try {
      expect(await run(["--port", String(port)])).toEqual({
        code: 1,
        stdout: "",
        stderr: `turnwire: port ${port} of 127.0.0.1 is in use; choose another with --port\n`,
      });
    } finally {
      other.close();
    }
  });

  test("because its certificate cannot be read, says so in one line", async () => {
    expect(await run(["--tls-cert", "absent.pem", "--tls-key", "absent.pem"])).toEqual({
      code: 1,
      stdout: "",
      stderr: "turnwire: absent.pem does not exist\n",
    });
  });

  test("because others could use it without a key, says what to do", async () => {
    const { code, stderr } = await run(["--host", "0.0.0.0"]);
    expect(code).toBe(1);
    expect(stderr).toContain("turnwire keys add");
    expect(stderr).toContain("--allow-unauthenticated");
  });
});
