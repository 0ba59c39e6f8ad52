import { execFile } from "node:child_process";
import { expect, test } from "vitest";
import { always, Trial } from "../../bench/micro/benchmark.ts";

/**
 * The paths of every turn against references in the same process: ratios of the fastest rounds and never times, so that
 * a slow or busy machine changes nothing. They run in a process of their own, as they do by hand.
 */

type Row = { readonly name: string; readonly best: number; readonly limit: number };

/** The rows of the command, whatever it says of them with its exit code. */
function check(): Promise<readonly Row[]> {
  const file = new URL("../../bench/micro.ts", import.meta.url).pathname;
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [file, "--check", "--json"], (error, stdout, stderr) => {
      if (stdout === "") reject(new Error(stderr, { cause: error }));
      else resolve((JSON.parse(stdout) as { rows: readonly Row[] }).rows);
    });
  });
}

test("no path of a turn takes much longer than it used to, beside its reference", { timeout: 60_000 }, async () => {
  const rows = await check();
  const slow = rows.filter(({ best, limit }) => best > limit);
  expect(slow).toEqual([]);
  expect(rows.length).toBeGreaterThan(20);
});

test("a path that does its work three times is told from one that does it once", async () => {
  const event = { words: Array.from({ length: 100 }, (_, index) => `word ${index}`) };
  const once = always(() => JSON.stringify(event));
  const thrice = always(() => [event, event, event].map((each) => JSON.stringify(each)));
  const common = { name: "stringify", against: "itself", reference: once, limit: 1.8 };
  const same = await Trial.start({ ...common, ours: once }, 20);
  const slower = await Trial.start({ ...common, ours: thrice }, 20);
  expect((await same.run(30)).isWithinLimit).toBe(true);
  expect((await slower.run(30)).isWithinLimit).toBe(false);
});
