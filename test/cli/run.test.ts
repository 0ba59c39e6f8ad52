import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { endAll, run, start } from "./child.ts";
import { Programs, TELLS_ALL, type Told } from "./programs.ts";

afterEach(endAll);

function told(stdout: string): Told {
  return JSON.parse(stdout) as Told;
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens on. */
async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

describe("run", () => {
  test("starts a server where it is configured, and stops it with the program", async () => {
    const programs = new Programs();
    programs.add("agent", TELLS_ALL);
    const port = await freePort();
    const { code, stdout, stderr } = await run(
      ["run", "--port", port, "--", "agent", "a b", "--flag"],
      programs.environment,
    );
    expect(code).toBe(0);
    const { args, env, status, health } = told(stdout);
    expect(args).toEqual(["a b", "--flag"]);
    expect(env).toMatchObject({
      OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1`,
      OPENAI_WEBSOCKET_BASE_URL: `ws://127.0.0.1:${port}/v1`,
      OPENAI_API_KEY: "none",
    });
    expect(status).toBe(200);
    expect(health).toMatchObject({ server: "turnwire", temporary: true });
    expect(stderr).toContain("no --backend: the built-in simulator answers");
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow("fetch failed");
  });

  test("keeps the server's log off the screen", async () => {
    const programs = new Programs();
    programs.add("agent", TELLS_ALL);
    const { stdout, stderr } = await run(["run", "--port", "0", "agent"], programs.environment);
    const file = join(programs.folder, ".turnwire", "run.log");
    expect(stderr).toContain(file);
    expect(stdout.trim().split("\n")).toHaveLength(1);
    expect(stderr).not.toContain('"msg"');
    expect(readFileSync(file, "utf8")).toContain('"msg":"turn"');
  });

  test("uses a server that runs already, with the key it was given, and leaves it running", async () => {
    const programs = new Programs();
    programs.add("agent", TELLS_ALL);
    const server = start(["serve", "--port", "0", "--api-key", "acme=sk-mine-and-long-enough"]);
    const url = await server.url();
    const args = ["run", "--port", new URL(url).port, "--key", "sk-mine-and-long-enough", "agent"];
    const { stdout, stderr } = await run(args, programs.environment);
    expect(stderr).toBe("");
    expect(told(stdout)).toMatchObject({
      status: 200,
      env: { OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: "sk-mine-and-long-enough" },
    });
    expect(told(stdout).health).not.toHaveProperty("temporary");
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  test("says that a server wants a key", async () => {
    const programs = new Programs();
    programs.add("agent", TELLS_ALL);
    const url = await start(["serve", "--port", "0", "--api-key", "acme=sk-mine-and-long-enough"]).url();
    const { code, stdout, stderr } = await run(["run", "--port", new URL(url).port, "agent"], programs.environment);
    expect({ code, stdout, stderr }).toEqual({
      code: 1,
      stdout: "",
      stderr: `turnwire: the server at ${url} wants a key; give it with --key\n`,
    });
  });

  test("starts one of its own beside a server that may be another", async () => {
    const programs = new Programs();
    programs.add("agent", TELLS_ALL);
    const url = await start(["serve", "--port", "0"]).url();
    const args = ["run", "--port", new URL(url).port, "--sim-rounds", "1", "agent"];
    const { stdout, stderr } = await run(args, programs.environment);
    expect(stderr).toContain(`${url} is taken by a server that was not started with --sim-rounds`);
    expect(told(stdout).env["OPENAI_BASE_URL"]).not.toBe(`${url}/v1`);
  });

  test("takes a free port where something else listens", async () => {
    const programs = new Programs();
    programs.add("agent", TELLS_ALL);
    const port = await listening(createServer((_request, response) => response.end("{}")));
    const { code, stdout, stderr } = await run(["run", "--port", String(port), "agent"], programs.environment);
    expect(code).toBe(0);
    expect(stderr).toContain("is taken by something that is not Turnwire");
    expect(told(stdout)).toMatchObject({ status: 200, health: { server: "turnwire" } });
    expect(told(stdout).env["OPENAI_BASE_URL"]).not.toContain(`:${port}/`);
  });

  test("does not lean on the server of another run, which may end first", async () => {
    const programs = new Programs();
    programs.add("waits", 'console.log("runs"); setInterval(() => {}, 1000);');
    programs.add("agent", TELLS_ALL);
    const port = await freePort();
    const first = start(["run", "--port", port, "waits"], programs.environment);
    await first.line("runs");
    const { stdout, stderr } = await run(["run", "--port", port, "agent"], programs.environment);
    expect(stderr).toContain("is taken by another 'turnwire run'");
    expect(told(stdout).env["OPENAI_BASE_URL"]).not.toContain(`:${port}/`);
    first.signal("SIGTERM");
    expect((await first.ended).code).toBe(143);
  });

  test("leaves nothing in the program's folder", async () => {
    const programs = new Programs();
    programs.add("list", 'import { readdirSync } from "node:fs"; console.log(JSON.stringify(readdirSync(".")));');
    expect((await run(["run", "--port", "0", "list"], programs.environment)).stdout).toBe("[]\n");
  });

  test.each([0, 1, 42])("ends with the program's exit code: %i", async (code) => {
    const programs = new Programs();
    programs.add("agent", `process.exitCode = ${code};`);
    expect((await run(["run", "--port", "0", "agent"], programs.environment)).code).toBe(code);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("passes %s to the program, and waits for it", async (signal) => {
    const programs = new Programs();
    const body = `process.on("${signal}", () => { console.log("got it"); process.exit(7); }); console.log("ready"); setInterval(() => {}, 1000);`;
    programs.add("agent", body);
    const child = start(["run", "--port", "0", "agent"], programs.environment);
    await child.line("ready");
    child.signal(signal);
    const { code, stdout } = await child.ended;
    expect({ code, stdout }).toEqual({ code: 7, stdout: "ready\ngot it\n" });
  });

  test("ends as shells say it when a signal has ended the program", async () => {
    const programs = new Programs();
    programs.add("agent", 'process.kill(process.pid, "SIGKILL");');
    expect((await run(["run", "--port", "0", "agent"], programs.environment)).code).toBe(137);
  });

  test("starts no server for a program that is missing", async () => {
    const programs = new Programs();
    expect(await run(["run", "--port", "0", "nonesuch"], programs.environment)).toEqual({
      code: 127,
      stdout: "",
      stderr: "turnwire: there is no program 'nonesuch' here; is it installed, and its folder in PATH?\n",
    });
    expect(existsSync(join(programs.folder, ".turnwire"))).toBe(false);
  });
});

describe("run, on the command line", () => {
  test.each([
    [["run"], "run needs a program: turnwire run codex"],
    [["run", "--"], "run needs a program: turnwire run codex"],
    [["run", "codex", "exec", "--", "x"], "what is for codex goes behind '--': turnwire run codex -- exec x"],
    [["run", "--key", "--", "agent"], "--key needs a value"],
    [["run", "--prot", "1", "agent"], "--prot is not a flag; did you mean --port?"],
  ])("%j is a mistake", async (args, message) => {
    const { code, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  test("flags behind the program are the program's, and those before '--' the server's", async () => {
    const programs = new Programs();
    programs.add("agent", TELLS_ALL);
    const plain = await run(["run", "--port", "0", "agent", "--port", "1"], programs.environment);
    expect(told(plain.stdout).args).toEqual(["--port", "1"]);
    const dashed = await run(["run", "agent", "--port=0", "--", "--help", "--", "x"], programs.environment);
    expect(told(dashed.stdout).args).toEqual(["--help", "--", "x"]);
  });

  test("--help before the program is the command's own", async () => {
    const { code, stdout } = await run(["run", "--help", "codex"]);
    expect(code).toBe(0);
    expect(stdout).toContain("turnwire run [flags of serve] [codex|opencode]");
  });
});

describe("run codex", () => {
  test("starts it with all that it needs, and its own arguments last", async () => {
    const programs = new Programs();
    programs.add("codex", TELLS_ALL);
    const environment = { ...programs.environment, CODEX_API_KEY: "sk-real" };
    const { stdout } = await run(["run", "codex", "--port", "0", "--", "exec", "fix it"], environment);
    const { args, env } = told(stdout);
    expect(args.slice(-2)).toEqual(["exec", "fix it"]);
    expect(args).toContain(`model_providers.turnwire.base_url=${JSON.stringify(env["OPENAI_BASE_URL"])}`);
    expect(args).toContain('model="sim"');
    expect(env["CODEX_API_KEY"]).toBe("none");
    expect(stdout).not.toContain("sk-real");
  });

  test("says how to install it when it is missing", async () => {
    const programs = new Programs();
    const { code, stderr } = await run(["run", "codex"], { PATH: programs.folder });
    expect(code).toBe(127);
    expect(stderr).toBe("turnwire: there is no program 'codex' here; install it with: npm install -g @openai/codex\n");
  });
});

test("run opencode starts it with all that it needs", async () => {
  const programs = new Programs();
  programs.add("opencode", TELLS_ALL);
  const { stdout } = await run(
    ["run", "--port", "0", "--model", "small=x", "opencode", "run", "hi"],
    programs.environment,
  );
  const { args, env } = told(stdout);
  expect(args).toEqual(["run", "hi"]);
  expect(env["OPENCODE_EXPERIMENTAL_WEBSOCKETS"]).toBe("1");
  expect(JSON.parse(env["OPENCODE_CONFIG_CONTENT"] ?? "")).toMatchObject({ model: "openai/small" });
});
