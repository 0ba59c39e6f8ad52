import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WsClient } from "../support/ws-client.ts";
import { endAll, run, start } from "./child.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "turnwire-keys-"));
});
afterEach(async () => {
  await endAll();
  rmSync(folder, { recursive: true, force: true });
});

/** `turnwire keys …` on the store of this test. */
const keys = (...args: readonly string[]) => run(["keys", ...args, "--data-dir", folder]);

async function add(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await keys("add", ...args);
  expect({ code, stderr: stderr.includes("only its hash is kept") }).toEqual({ code: 0, stderr: true });
  return stdout.trim();
}

describe("turnwire keys", () => {
  test("prints a new key alone on standard output, and never again", async () => {
    const secret = await add("acme", "--name", "laptop", "--models", "qwen*,gpt-5", "--turns-per-minute", "60");
    expect(secret).toMatch(/^tw_[0-9A-Za-z]{43}$/);
    const { stdout } = await keys("list");
    expect(stdout).toContain(`tw_…${secret.slice(-4)}`);
    expect(stdout).toMatch(/acme +laptop .* qwen\*,gpt-5 +60 turns\/min .* never/);
    expect(stdout).not.toContain(secret);
    const listed = JSON.parse((await keys("list", "--json")).stdout) as object[];
    expect(listed).toMatchObject([{ tenant: "acme", name: "laptop", models: ["qwen*", "gpt-5"], turnsPerMinute: 60 }]);
  });

  test("changes the terms of a key, by its name, its id or the key itself", async () => {
    const secret = await add("acme", "--tokens-per-minute", "1000");
    expect((await keys("set", "acme", "--tokens-per-minute", "none", "--connections", "2")).code).toBe(0);
    expect((await keys("set", secret, "--expires", "2099-01-31")).code).toBe(0);
    const [key] = JSON.parse((await keys("list", "--json")).stdout) as { id: string }[];
    expect(key).toMatchObject({ tokensPerMinute: null, connections: 2, expiresAt: "2099-01-31T00:00:00.000Z" });
    expect((await keys("revoke", key?.id ?? "")).stdout).toContain("revoked");
    expect((await keys("list")).stdout).toContain("There are no keys");
  });

  test("asks which one is meant when several have a name", async () => {
    await add("acme", "--name", "ci");
    await add("globex", "--name", "ci");
    const { code, stderr } = await keys("revoke", "ci");
    expect(code).toBe(1);
    expect(stderr).toMatch(/several keys have this name.*\(acme\).*\(globex\)/);
    expect((await keys("add", "acme", "--name", "ci")).stderr).toContain("has a key named 'ci' already");
  });

  test.each([
    [["add"], "needs a tenant"],
    [["add", "a/b"], "must be of letters"],
    [["add", "(server)"], "must be of letters"],
    [["add", "a", "b"], "'b' is not expected here"],
    [["add", "a", "--turns-per-minute", "0"], "must be a whole number above 0"],
    [["add", "a", "--turns-per-minute"], "needs a value"],
    [["add", "a", "--expires", "soon"], "must be like 12h"],
    [["add", "a", "--expires", "2001-01-01"], "is over already"],
    [["add", "a", "--model-list", "x"], "--model-list is not a flag"],
    [["lst"], "did you mean 'list'?"],
    [["set", "a"], "needs a limit to set"],
    [["revoke"], "needs a key"],
    [["add", "a", "--store", "memory:"], "'memory:' keeps nothing"],
  ])("%j is refused in one line", async (args, text) => {
    const { code, stdout, stderr } = await keys(...args);
    expect({ code: code === 1 || code === 2, stdout }).toEqual({ code: true, stdout: "" });
    expect(stderr).toContain(text);
  });

  test("of a running server count from the next turn on, in another process and on open connections", async () => {
    const key = await add("acme");
    const other = await add("acme", "--name", "other");
    const server = start(["serve", "--port", "0", "--data-dir", folder]);
    const url = await server.url();
    const client = await WsClient.open(`${url.replace("http", "ws")}/v1/responses`, { key });
    const { response } = await client.turn({ model: "sim", input: "a", store: false });
    await keys("set", key, "--models", "none-such");
    const next = { model: "sim", input: "b", store: false };
    expect((await client.turn(next)).last.error).toMatchObject({ code: "model_not_found" });
    await keys("revoke", key);
    const { last } = await client.turn({ ...next, previous_response_id: response.id });
    expect(last).toMatchObject({ status: 401, error: { code: "invalid_api_key" } });
    expect((await client.closed()).code).toBe(1008);
    const models = (bearer: string) => fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${bearer}` } });
    expect([(await models(key)).status, (await models(other)).status]).toEqual([401, 200]);
    server.signal("SIGTERM");
    const { stdout, stderr } = await server.ended;
    for (const secret of [key, other]) expect(stdout + stderr).not.toContain(secret.slice(3));
  });

  test("let a server listen for others", async () => {
    await add("acme");
    const server = start(["serve", "--port", "0", "--host", "0.0.0.0", "--data-dir", folder]);
    const url = await server.url();
    expect((await fetch(`${url.replace("localhost", "127.0.0.1")}/v1/models`)).status).toBe(401);
  });
});
