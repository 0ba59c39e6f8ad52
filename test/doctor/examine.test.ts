import { expect, test } from "vitest";
import { examine } from "../../src/doctor/index.ts";
import { parseTarget } from "../../src/doctor/target.ts";
import { startServer } from "../../src/index.ts";
import { brokenServer, listen, refusing } from "./broken-server.ts";
import type { RequestListener } from "node:http";
import { createServer } from "node:net";
import { onTestFinished } from "vitest";

async function turnwire(settings: Parameters<typeof startServer>[0] = {}): Promise<string> {
  const server = await startServer({ port: 0, store: "memory:", logLevel: "silent", simRate: 100, ...settings });
  onTestFinished(server.close);
  return server.url;
}

test("a server that is well has no findings but good ones, told as they come", async () => {
  const told: string[] = [];
  const onFinding = ({ check }: { readonly check: string }) => told.push(check);
  const examination = await examine({ url: await turnwire(), idleMs: 200, largestBytes: 2 ** 20, onFinding });
  expect(examination.findings.filter(({ level }) => level !== "ok")).toEqual([]);
  expect(examination.isWell).toBe(true);
  expect(told).toEqual([
    "proxy",
    "connect",
    "server",
    "clock",
    "key",
    "models",
    "upgrade",
    "deflate",
    "message",
    "body",
    "stream",
    "tools",
    "tools-http",
    "idle",
  ]);
});

test("a key is shown on every way", async () => {
  const url = await turnwire({ apiKeys: [{ tenant: "acme", key: "sk-good-and-long" }] });
  const examination = await examine({ url, key: "sk-good-and-long", idleMs: 100, largestBytes: 1000 });
  expect(examination.findings.filter(({ level }) => level !== "ok")).toEqual([]);
  expect(JSON.stringify(examination)).not.toContain("sk-good-and-long");
});

test("without its key nothing is asked of the model", async () => {
  const url = await turnwire({ apiKeys: [{ tenant: "acme", key: "sk-good-and-long" }] });
  const { findings, isWell } = await examine({ url, idleMs: 100 });
  expect(isWell).toBe(false);
  expect(findings.filter(({ level }) => level === "problem").map(({ check }) => check)).toEqual(["key", "upgrade"]);
});

test("a server without WebSockets is examined over HTTP", async () => {
  const { findings } = await examine({ url: await turnwire({ websocket: "off" }), largestBytes: 1000 });
  const levels = Object.fromEntries(findings.map(({ check, level }) => [check, level]));
  expect(levels).toMatchObject({
    upgrade: "problem",
    idle: "skipped",
    tools: "skipped",
    "tools-http": "ok",
    stream: "ok",
  });
  expect(findings.find(({ check }) => check === "upgrade")?.advice).toContain("--websocket on");
});

test("the server's own limit is found on both ways", async () => {
  const url = await turnwire({ maxMessageBytes: 200_000 });
  const { findings } = await examine({ url, idleMs: 100, largestBytes: 2 ** 20 });
  for (const name of ["message", "body"]) {
    const finding = findings.find(({ check }) => check === name);
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding?.data?.["bytes"]).toBeGreaterThan(180_000);
    expect(finding?.data?.["bytes"]).toBeLessThanOrEqual(200_000);
  }
});

test("a machine where nothing listens ends the examination", async () => {
  const port = await listen(createServer());
  const { findings, isWell } = await examine({ url: `http://127.0.0.2:${port}` });
  expect(isWell).toBe(false);
  expect(findings.map(({ check }) => check)).toEqual(["proxy", "connect"]);
});

/** A server that knows POST and refuses what is posted. */
const onRequest: RequestListener = ({ method }, response) => {
  response.writeHead(method === "POST" ? 400 : 404).end();
};

test("a server of another make is examined too", async () => {
  const url = await brokenServer({ onRequest, onUpgrade: refusing(404) });
  const { findings } = await examine({ url, largestBytes: 1000 });
  expect(findings.map(({ check, level }) => `${check} ${level}`)).toEqual([
    "proxy ok",
    "connect ok",
    "server ok",
    "clock ok",
    "key ok",
    "models warning",
    "upgrade problem",
    "message skipped",
    "body ok",
    "stream skipped",
    "tools skipped",
    "tools-http skipped",
    "idle skipped",
  ]);
});

test.each([
  ["127.0.0.1:4400", "http://127.0.0.1:4400/v1"],
  ["wss://models.example.com", "https://models.example.com/v1"],
  ["http://localhost:4400/v1/responses/", "http://localhost:4400/v1"],
  ["https://example.com/turnwire/v1", "https://example.com/turnwire/v1"],
])("%s is understood", (url, base) => {
  expect(parseTarget(url).base).toBe(base);
});

test.each(["http://", "ftp://example.com"])("%s is refused in a sentence", async (url) => {
  await expect(examine({ url })).rejects.toThrow(/is not a (URL|scheme)/);
});
