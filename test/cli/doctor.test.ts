import { afterEach, describe, expect, test } from "vitest";
import type { Examination } from "../../src/doctor/index.ts";
import { endAll, run, start } from "./child.ts";

afterEach(endAll);

const QUICK = ["--idle", "0.2", "--largest", "0.1"];

describe("doctor", () => {
  test("lists what it finds, and is content with a server that is well", async () => {
    const url = await start(["serve", "--port", "0"]).url();
    const { code, stdout, stderr } = await run(["doctor", url, ...QUICK]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/ok +server +Turnwire \S+ answers/);
    expect(stdout).toMatch(/ok +tools +a tool call makes its round/);
    expect(stdout).toContain("Nothing is wrong.");
  });

  test("gives advice for what is wrong, and says so in its exit code", async () => {
    const url = await start(["serve", "--port", "0", "--websocket", "off"]).url();
    const { code, stdout } = await run(["doctor", url, ...QUICK]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/problem +upgrade +the upgrade is answered with 426/);
    expect(stdout).toContain("→ WebSockets are switched off there");
    expect(stdout).toContain("1 problem.");
  });

  test("examines the configured server when none is named, with its key", async () => {
    const environment = { TURNWIRE_API_KEYS: "acme=sk-secret-of-acme" };
    const url = await start(["serve", "--port", "0"], environment).url();
    const { code, stdout } = await run(["doctor", "--json", ...QUICK], {
      ...environment,
      TURNWIRE_PORT: new URL(url).port,
    });
    expect(code).toBe(0);
    const examination = JSON.parse(stdout) as Examination;
    expect(examination).toMatchObject({ url: `${url}/v1`, isWell: true });
    expect(examination.findings).toContainEqual({ check: "key", level: "ok", text: "the key is taken, and needed" });
    expect(stdout).not.toContain("sk-secret-of-acme");
  });

  test.each([
    [["doctor", "ftp://example.com"], "is not a scheme of a server"],
    [["doctor", "http://a", "http://b"], "one base URL is enough"],
    [["doctor", "--idle", "soon"], "--idle must be a number above 0, not 'soon'"],
    [["doctor", "--kee", "x"], "--kee"],
  ])("%j is a mistake", async (args, message) => {
    const { code, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
