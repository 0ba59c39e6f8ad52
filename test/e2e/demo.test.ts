import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);

// Node runs an example as it is from 22.18 on.
test.skipIf(!process.features.typescript)("the demo runs an agent both ways and shows what was saved", async () => {
  const { stdout, stderr } = await run(process.execPath, ["examples/demo.ts"], {
    env: { ...process.env, TURNWIRE_URL: undefined, NODE_OPTIONS: "--disable-warning=ExperimentalWarning" },
  });
  expect(stderr).toBe("");
  const rows = new Map(
    stdout.split("\n").map((line) => [
      line.slice(0, 12).trim(),
      line
        .slice(12)
        .trim()
        .split(/\s{2,}/),
    ]),
  );
  const numbers = (name: string): readonly number[] =>
    (rows.get(name) ?? []).map((cell) => Number(cell.replaceAll(/[,%]/g, "")));
  expect(numbers("turns")).toEqual([21, 21]);
  const [httpCalls = 0, webSocketCalls] = numbers("tool calls");
  expect(httpCalls).toBe(30);
  expect(webSocketCalls).toBe(httpCalls);
  const [httpUp = 0, webSocketUp = 0, savedUp = 0] = numbers("bytes up");
  expect(webSocketUp).toBeGreaterThan(10_000);
  expect(savedUp).toBeCloseTo((1 - webSocketUp / httpUp) * 100, 1);
  expect(savedUp).toBeGreaterThan(80);
  const [httpDown = 0, webSocketDown = 0] = numbers("bytes down");
  expect(httpDown).toBeGreaterThan(webSocketDown);
  expect(numbers("seconds")).toHaveLength(3);
  expect(stdout).toContain("Only the model is simulated");
  // Nobody is looking: no line is written over.
  expect(stdout).not.toContain("\r");
});
