import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { flagOf, SETTING_NAMES } from "../../src/config-sources.ts";
import { endAll, run } from "./child.ts";

afterEach(endAll);

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};

test.each(["--version", "-v"])("%s prints the version", async (flag) => {
  expect(await run([flag])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
});

test("a Node.js that is too old gets one sentence", async () => {
  const pretend = 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "22.12.0" } })';
  const environment = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(pretend)}` };
  expect(await run(["--version"], environment)).toEqual({
    code: 1,
    stdout: "",
    stderr: "turnwire needs Node.js 22.13 or later; this is 22.12.0.\n",
  });
});

describe("help", () => {
  test.each([["--help"], ["-h"], ["help"]])("%s fits a screen", async (flag) => {
    const { code, stdout } = await run([flag]);
    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n").length).toBeLessThanOrEqual(30);
    for (const word of ["serve", "demo", "bench", "--backend <url>", "--help --all"]) expect(stdout).toContain(word);
  });

  test.each([["serve"], ["run"], ["demo"], ["keys"], ["doctor"], ["conformance"], ["config"]])(
    "%s has its own",
    async (name) => {
      const { code, stdout } = await run([name, "--help"]);
      expect({ code, first: stdout.split(":", 1)[0] }).toEqual({ code: 0, first: `turnwire ${name}` });
      expect(stdout).toContain("Examples");
    },
  );

  test("no flag runs into its text", async () => {
    const { stdout } = await run(["--help", "--all"]);
    for (const line of stdout.split("\n").filter((text) => /^ {2}--/.test(text))) {
      expect(line).toMatch(/^ {2}(\S+)( \S+)*( {2,}\S.*)?$/);
      expect(line).not.toMatch(/>[A-Z]/);
    }
  });

  test.each([
    ["--help", "--all"],
    ["help", "--all"],
  ])("%s %s shows commands, every flag and examples", async (...flags) => {
    const { code, stdout } = await run(flags);
    expect(code).toBe(0);
    for (const name of SETTING_NAMES) expect(stdout).toContain(`--${flagOf(name)}`);
    for (const word of ["serve", "config", "Server", "Model", "Simulator", "Logs", "Examples", "TURNWIRE_API_KEYS"]) {
      expect(stdout).toContain(word);
    }
  });

  test.each([
    ["config", "--help"],
    ["help", "config"],
  ])("%s %s shows the help of that command", async (...args) => {
    const { code, stdout } = await run(args);
    expect(code).toBe(0);
    expect(stdout).toContain("turnwire config [flags of serve] [--json | --schema]");
  });

  test("is not coloured where nobody could see it", async () => {
    const { stdout } = await run(["--help"], { NO_COLOR: undefined });
    expect(stdout).not.toContain("\u001b");
  });
});

describe("a mistake on the command line", () => {
  test("in a command is answered with what was meant", async () => {
    const { code, stdout, stderr } = await run(["sevre"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toBe("turnwire: 'sevre' is not a command; did you mean 'serve'?\n");
  });

  test("in a command that resembles none is answered with all", async () => {
    expect(await run(["xyz"])).toMatchObject({
      code: 2,
      stderr:
        "turnwire: 'xyz' is not a command; the commands are serve, run, demo, keys, doctor, conformance, bench, config, help\n",
    });
    expect(await run(["help", "xyz"])).toMatchObject({ code: 2 });
  });

  test("in flags is answered with all problems", async () => {
    const { code, stderr } = await run(["--prot", "1", "--log-level=loud"], { TURNWIRE_STORE_BYTES: "much" });
    expect(code).toBe(2);
    expect(stderr).toContain("3 problems");
    expect(stderr).toContain("--prot is not a flag; did you mean --port?");
    expect(stderr).toContain('--log-level "loud" is not one of');
    expect(stderr).toContain('TURNWIRE_STORE_BYTES "much" is not auto, a size');
  });
});

describe("config", () => {
  test("prints every setting with its origin", async () => {
    const { code, stdout } = await run(["config", "--port", "1"], { TURNWIRE_MODELS: "a=b,c" });
    expect(code).toBe(0);
    const rows = stdout.trim().split("\n");
    expect(rows.map((row) => row.split(" ", 1)[0])).toEqual(SETTING_NAMES);
    expect(rows.find((row) => row.startsWith("port "))).toMatch(/ 1 +--port$/);
    expect(rows.find((row) => row.startsWith("models "))).toMatch(/ a=b, c=c +TURNWIRE_MODELS$/);
    expect(rows.find((row) => row.startsWith("storeBytes "))).toMatch(/ auto +default$/);
  });

  test("masks secrets", async () => {
    const args = ["config", "--api-key", "acme=sk-secret-of-acme", "--backend", "http://me:sk-secret@localhost/v1"];
    const { code, stdout } = await run(args, { TURNWIRE_BACKEND_KEY: "sk-secret" });
    expect(code).toBe(0);
    expect(stdout).toContain("acme=****");
    expect(stdout).not.toContain("sk-secret");
  });

  test("prints the schema of the file", async () => {
    const { stdout } = await run(["config", "--schema"]);
    const published = readFileSync(new URL("../../src/config.schema.json", import.meta.url), "utf8");
    expect(JSON.parse(stdout)).toEqual(JSON.parse(published));
  });

  test("says what is wrong", async () => {
    expect(await run(["config", "--port", "x"])).toMatchObject({ code: 2, stdout: "" });
  });
});

test("a flag that a command does not have is told with the one that was meant", async () => {
  expect(await run(["bench", "--frm", "x"])).toMatchObject({
    code: 2,
    stderr: "turnwire: bench has no flag '--frm'; did you mean '--from'?\n",
  });
  expect(await run(["conformance", "--xyzzy"])).toMatchObject({
    code: 2,
    stderr: "turnwire: conformance has no flag '--xyzzy'; 'turnwire conformance --help' lists them\n",
  });
});

test("config --json prints every setting with its source, and no secret", async () => {
  const { code, stdout } = await run(["config", "--json", "--port", "1", "--api-key", "acme=sk-secret-of-acme"]);
  expect(code).toBe(0);
  const settings = JSON.parse(stdout) as object;
  expect(settings).toMatchObject({ port: { value: 1, from: "--port" }, simTools: { value: "safe", from: "default" } });
  expect(Object.keys(settings)).toEqual(SETTING_NAMES);
  expect(stdout).not.toContain("sk-secret");
});

test.skipIf(process.platform !== "linux").each([["serve"], ["run"]])(
  "%s says that a data folder cannot be made",
  async (command) => {
    const { code, stderr } = await run([
      command,
      "--port",
      "0",
      "--data-dir",
      "/proc/nope",
      ...(command === "run" ? ["true"] : []),
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain("/proc/nope");
    expect(stderr).toContain("ENOENT");
  },
);
