import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import { runConformance } from "../../src/conformance/index.ts";
import { MUTANTS } from "./mutants.ts";

/** A suite that cannot fail is worthless: each of these servers breaks one rule, and has to be caught at it. */

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const MUTATE = new URL("./mutate.ts", import.meta.url).pathname;
const KEYS = { key: "key-one-is-long-enough", secondKey: "key-two-is-long-enough" };

/** Starts a server of ours in a process of its own, broken as the mutant says, or not at all. */
async function startMutant(name: string | null, rate = 2000): Promise<string> {
  const keys = ["--api-key", `one=${KEYS.key}`, "--api-key", `two=${KEYS.secondKey}`];
  const loader = name === null ? [] : ["--import", MUTATE];
  const child = spawn(
    process.execPath,
    [...loader, MAIN, "serve", "--port", "0", "--store", "memory:", "--sim-rate", String(rate), ...keys],
    {
      env: { ...process.env, MUTANT: name ?? "" },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const { msg, url } = JSON.parse(line) as { readonly msg?: string; readonly url?: string };
    if (msg === "listening" && url !== undefined) {
      child.stdout.resume();
      return url;
    }
  }
  throw new Error(`the mutant '${name}' did not start`);
}

const failuresOf = async (url: string, ids: readonly string[]): Promise<readonly string[]> => {
  const report = await runConformance({ url, ...KEYS, filter: ids.join(","), timeoutMs: 3000 });
  return report.results.filter(({ outcome }) => outcome === "failed").map(({ id }) => id);
};

test("a server that breaks nothing is not caught", async () => {
  const url = await startMutant(null);
  expect(await failuresOf(url, [...new Set(MUTANTS.map(({ caughtBy }) => caughtBy))])).toEqual([]);
}, 60_000);

describe("a server in which", () => {
  test("there are at least forty of them, each with a rule of its own", () => {
    expect(MUTANTS.length).toBeGreaterThanOrEqual(40);
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  });

  test.each(MUTANTS)("$name: its text stands in $file once", ({ file, find }) => {
    const source = readFileSync(new URL(`../../src/${file}`, import.meta.url), "utf8");
    expect(source.split(find).length - 1).toBe(1);
  });

  test.each(MUTANTS)(
    "$name is caught by $caughtBy",
    async ({ name, caughtBy, rate }) => {
      const url = await startMutant(name, rate);
      expect(await failuresOf(url, [caughtBy])).toContain(caughtBy);
    },
    30_000,
  );
});
