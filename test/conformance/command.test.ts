import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { runCommand } from "../../src/cli/commands.ts";
import { cases, type Report } from "../../src/conformance/index.ts";
import { parseTarget } from "../../src/conformance/target.ts";
import { startServer } from "../../src/server.ts";
import type { Config } from "../../src/settings.ts";
import { endAll, run } from "../cli/child.ts";
import { badTurn, startToy } from "./toy-server.ts";

afterEach(endAll);

async function serve(settings: Partial<Config> = {}): Promise<string> {
  const server = await startServer({ port: 0, store: "memory:", ...settings }, { log: pino({ level: "silent" }) });
  onTestFinished(() => server.close());
  return server.url;
}

/** Runs the command in this process, which is faster than one of its own. */
async function conformance(
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const out = vi.spyOn(console, "log").mockReturnValue();
  const err = vi.spyOn(console, "error").mockReturnValue();
  const code = await runCommand(["conformance", ...args]);
  const [stdout, stderr] = [out, err].map((spy) => spy.mock.calls.map(String).join("\n"));
  vi.restoreAllMocks();
  return { code, stdout: stdout ?? "", stderr: stderr ?? "" };
}

test("--list prints every case with its level and rule, in the same order each time", async () => {
  const [first, second] = [await conformance("--list"), await conformance("--list")];
  expect(first).toEqual(second);
  expect(first.code).toBe(0);
  const lines = first.stdout.split("\n");
  expect(lines.map((line) => line.split(/ +/)[0])).toEqual(cases.map(({ id }) => id));
  for (const [index, { level, title }] of cases.entries()) {
    expect(lines[index]).toContain(level);
    expect(lines[index]).toContain(title);
  }
});

test("--list shows only what is asked for", async () => {
  const { stdout } = await conformance("--list", "--filter", "eviction", "--level", "must");
  const expected = cases.filter(({ id, level }) => id.includes("eviction") && level === "must");
  expect(stdout.split("\n").length).toBe(expected.length);
});

describe("the exit code is", () => {
  test("0 when every must holds, and the process ends by itself", async () => {
    const { code, stdout, stderr } = await run(["conformance", await serve(), "--filter", "handshake,eviction"]);
    expect(stdout).toContain("Responses API, WebSocket mode: conforms");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  test("1 when one does not", async () => {
    const url = await startToy(() => badTurn("resp_1"));
    const { code, stdout } = await conformance(url, "--filter", "snapshots.keys");
    expect(stdout).toContain("does not conform · 0/1 must");
    expect(code).toBe(1);
  });

  test("0 when only a should does not", async () => {
    const url = await startToy(() => badTurn("my-response"));
    const { code, stdout } = await conformance(url, "--filter", "snapshots.ids,handshake.upgrade");
    expect(stdout).toContain("conforms · 1/1 must · 0/1 should");
    expect(code).toBe(0);
  });

  test.each([
    [[], "conformance needs the base URL of a server"],
    [["http://127.0.0.1:1", "--nonsense"], "conformance has no flag '--nonsense'"],
    [["http://127.0.0.1:1", "http://127.0.0.1:2"], "one base URL is enough"],
    [["ftp://127.0.0.1"], "'ftp://' is not a scheme of a server"],
    [["http://"], "is not a URL"],
    [["http://127.0.0.1:1", "--level", "maybe"], "--level must be one of must, should, extension, not 'maybe'"],
    [["http://127.0.0.1:1", "--timeout", "soon"], "--timeout must be a number above 0, not 'soon'"],
    [["http://127.0.0.1:1", "--filter", "nope"], "no case matches 'nope'"],
  ])("2 for a command line that makes no sense: %j", async (args, message) => {
    const { code, stdout, stderr } = await conformance(...args);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  test("2 when the key is not taken, or there is none", async () => {
    const url = await serve({ apiKeys: [{ tenant: "one", key: "key-number-one-of-two" }] });
    const none = await conformance(url);
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining("wants a key; give one with --key") });
    const wrong = await conformance(url, "--key", "x");
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("does not take this key") });
  });

  test("3 when nobody answers, in one sentence", async () => {
    const { code, stderr } = await conformance("127.0.0.1:1");
    expect(stderr).toBe("turnwire: http://127.0.0.1:1/v1 cannot be reached: connect ECONNREFUSED 127.0.0.1:1");
    expect(code).toBe(3);
  });
});

test.each([
  "http://host:1",
  "host:1",
  "http://host:1/",
  "http://host:1/v1",
  "http://host:1/v1/",
  "http://host:1/v1/responses",
  "ws://host:1",
  "ws://host:1/v1/responses",
])("%s is a base URL", (url) => {
  expect(parseTarget(url)).toEqual({
    base: "http://host:1/v1",
    webSocket: "ws://host:1/v1/responses",
    insecure: false,
  });
});

test("a base URL keeps its own path, and TLS", () => {
  const { base, webSocket } = parseTarget("wss://host/openai/v1");
  expect({ base, webSocket }).toEqual({
    base: "https://host/openai/v1",
    webSocket: "wss://host/openai/v1/responses",
  });
});

test("--json prints the report and nothing else", async () => {
  const { stdout } = await conformance(await serve(), "--json", "--filter", "create.text");
  const report = JSON.parse(stdout) as Report;
  const counts = { must: { passed: 1, failed: 0, skipped: 0 } };
  expect(report).toMatchObject({ conforms: true, model: "sim", counts });
});

test("--junit writes a file beside the report", async () => {
  const folder = await mkdtemp(join(tmpdir(), "turnwire-junit-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "report.xml");
  const url = await serve();
  expect((await conformance(url, "--junit", file, "--filter", "create.text")).code).toBe(0);
  expect(readFileSync(file, "utf8")).toContain('<testcase classname="create" name="create.text: ');
  const unwritable = await conformance(url, "--junit", join(folder, "no", "x.xml"), "--filter", "create.text");
  expect(unwritable).toMatchObject({ code: 1, stderr: expect.stringContaining("the report cannot be written") });
});
