import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import type { Report } from "../../src/bench/report.ts";
import { Upstream } from "../../src/bench/upstream.ts";
import { startServer } from "../../src/server.ts";
import { endAll, run } from "./child.ts";

afterEach(endAll);

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "turnwire-test-"));
  onTestFinished(() => rmSync(made, { recursive: true }));
  return made;
}

const TINY = [
  "--turns",
  "3",
  "--rounds",
  "1",
  "--size",
  "1",
  "--link",
  "rtt=1ms",
  "--sessions",
  "2",
  "--idle",
  "3",
  "--waves",
  "3",
];

test("bench measures a server of its own, in every mode and measure", { timeout: 60_000 }, async () => {
  const page = join(folder(), "report.html");
  const { code, stdout, stderr } = await run(["bench", ...TINY, "--json", "--html", page]);
  const report = JSON.parse(stdout) as Report;
  expect(report.problems).toEqual([]);
  expect(code).toBe(0);
  const modes = ["full", "previous", "websocket"];
  expect(report.latency.map(({ mode }) => mode)).toEqual(["direct", ...modes]);
  for (const rows of [report.bytes, report.runs, report.load]) {
    expect(rows.map(({ mode }) => mode)).toEqual(["direct", ...modes, ...modes]);
    expect(rows.map(({ compress }) => compress)).toEqual([...modes.map(() => false), false, ...modes.map(() => true)]);
  }
  const up = (mode: string, compress: boolean): number =>
    report.bytes.find((row) => row.mode === mode && row.compress === compress)?.up ?? Number.NaN;
  expect(up("websocket", false)).toBeLessThan(up("full", false));
  expect(up("websocket", true)).toBeLessThan(up("websocket", false) / 2);
  const watched = process.platform === "linux" ? ["turnwire"] : [];
  expect(report.memory.map(({ target }) => target)).toEqual(watched);
  expect(report.memory.map(({ turns }) => turns.among.turns)).toEqual(watched.map(() => 300));
  expect(report.waves.map(({ waves }) => waves.length)).toEqual(watched.map(() => 3));
  expect(report.notMeasured.length).toBeGreaterThan(0);
  expect(readFileSync(page, "utf8")).toContain("What stateful turns save");
  expect(stderr).toContain("latency at 1 KB");
});

test("bench tells a target that asks another model", { timeout: 60_000 }, async () => {
  const server = await startServer({ port: 0, store: "memory:", logLevel: "silent" });
  onTestFinished(() => server.close());
  const { code, stderr } = await run(["bench", "--target", `sim=${server.url}`, "--upstream-port", "0", ...TINY]);
  expect(code).toBe(1);
  expect(stderr).toContain("sim does not ask the upstream of this measurement (http://127.0.0.1:");
});

test("bench tells a target that is not there", { timeout: 60_000 }, async () => {
  const { code, stderr } = await run(["bench", "--target", "none=http://127.0.0.1:1", "--upstream-port", "0", ...TINY]);
  expect(code).toBe(1);
  expect(stderr).toContain("none: connect ECONNREFUSED 127.0.0.1:1");
});

describe("bench bytes", () => {
  test("counts a file's runs without a server", async () => {
    const file = join(folder(), "runs.jsonl");
    const chat = {
      messages: [
        { role: "user", content: "Hello" },
        { role: "assistant", content: "Hi." },
      ],
    };
    writeFileSync(file, `${JSON.stringify(chat)}\n${JSON.stringify(chat)}\n`);
    const { code, stdout } = await run(["bench", "bytes", "--from", file]);
    expect(code).toBe(0);
    for (const words of ["2 runs, 2 turns", "stateless HTTP, gzip", "runs:1", "WebSocket deltas, deflate"]) {
      expect(stdout).toContain(words);
    }
  });

  test("takes tools that the log does not hold", async () => {
    const made = folder();
    writeFileSync(
      join(made, "run.json"),
      JSON.stringify([
        { role: "user", content: "a" },
        { role: "assistant", content: "b" },
      ]),
    );
    writeFileSync(join(made, "tools.json"), JSON.stringify([{ type: "function", name: "look", parameters: {} }]));
    const total = async (...more: readonly string[]): Promise<number> => {
      const { stdout } = await run(["bench", "bytes", "--from", join(made, "run.json"), "--json", ...more]);
      const [upload] = JSON.parse(stdout) as readonly { readonly variants: readonly { readonly total: number }[] }[];
      return upload?.variants[0]?.total ?? Number.NaN;
    };
    expect(await total("--tools", join(made, "tools.json"))).toBeGreaterThan((await total()) + 30);
  });

  test.each([
    [["--from", "/nowhere/at/all"], 1, "/nowhere/at/all cannot be read"],
    [["--format", "word"], 2, "--format takes trace, codex, claude-code, pi, chat, not 'word'"],
    [["--shape", "square"], 2, "--shape takes coding, service, browsing, not 'square'"],
    [["--turns", "0"], 2, "--turns must be a whole number from 1 on, not '0'"],
  ])("answers %j with what is wrong", async (flags, code, words) => {
    const result = await run(["bench", "bytes", ...flags]);
    expect(result.code).toBe(code);
    expect(result.stderr).toContain(words);
  });
});

describe("bench", () => {
  test.each([
    [["word"], "'word' is not one of its commands; they are bytes and upstream"],
    [["--target", "http://127.0.0.1"], "--target must be like name=value"],
    [["--target", "a=ftp://127.0.0.1"], "--target a: 'ftp://127.0.0.1' is not an http address"],
    [["--target", "a=http://b", "--target", "a=http://c"], "two targets have the name 'a'"],
    [["--target", "direct=http://b"], "'direct' is the model with no server in front"],
    [["--waves", "2"], "--waves must be a whole number from 3 on, not '2'"],
    [["--target", "a=http://b", "--pid", "c=1"], "--pid names 'c', which is no target"],
    [["--measure", "bites"], "--measure takes memory, waves, bytes, latency, load, runs, not 'bites'"],
    [["--rate", "fast"], "--rate must be a number, 0 or more, not 'fast'"],
    [["--colour"], "bench has no flag '--colour'"],
  ])("answers %j with what is wrong", async (flags, words) => {
    const { code, stderr } = await run(["bench", ...flags]);
    expect(code).toBe(2);
    expect(stderr).toContain(words);
  });

  // Other systems do not tell how many files a process may have open.
  test.skipIf(process.platform !== "linux")("tells more idle sessions than this machine lets it open", async () => {
    const { code, stderr } = await run(["bench", "--idle", "999999999999"]);
    expect(code).toBe(2);
    expect(stderr).toContain("with 'ulimit -n 1000000000199'");
  });

  test("explains its flags", async () => {
    const { code, stdout } = await run(["bench", "--help"]);
    expect(code).toBe(0);
    for (const words of [
      "bench bytes --from",
      "bench upstream",
      "--target",
      "--link",
      "--html",
      "--prefill",
      "Examples",
    ]) {
      expect(stdout).toContain(words);
    }
  });
});

test("the scripted model is a model server for anybody", async () => {
  const upstream = await Upstream.start({ answerTokens: 3 });
  onTestFinished(() => upstream.close());
  const server = await startServer({ port: 0, backend: upstream.url, store: "memory:", logLevel: "silent" });
  onTestFinished(() => server.close());
  const answer = await fetch(`${server.url}/v1/responses`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "bench", input: "Hello" }),
  });
  expect(await answer.json()).toMatchObject({ output: [{ content: [{ text: "wordwordword" }] }] });
});
