import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { endAll, run, start } from "./child.ts";

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
    const child = start([], { TURNWIRE_PORT: "0", TURNWIRE_API_KEYS: "acme=sk-secret" });
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
