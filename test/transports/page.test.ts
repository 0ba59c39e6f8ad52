import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import { snippets } from "../../src/transports/snippets.ts";
import { startServer, type TestServerOptions } from "../support/server.ts";

const html = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
const run = promisify(execFile);

async function page(options: TestServerOptions = {}, headers: Record<string, string> = {}) {
  const server = await startServer({ policy: { allowedHosts: null }, ...options });
  return server.http().call("/", { headers: { ...html, ...headers } });
}

function models(list: () => Promise<readonly string[]>) {
  return { resolve: () => Promise.reject(new Error("unused")) as never, list };
}

describe("the page", () => {
  test("shows a browser where it is, what is served and whether all is well", async () => {
    const server = await startServer();
    const { status, headers, text } = await server.http().call("/", { headers: html });
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("text/html; charset=utf-8");
    for (const part of ["Ready", "scripted", "0.0.0-test", `${server.url}/v1`, "openai_base_url"]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain("{{");
  });

  test("loads nothing from anywhere", async () => {
    const { headers, text } = await page();
    expect(headers["content-security-policy"]).toMatch(/^default-src 'none';.*script-src 'sha256-/);
    expect(text.match(/(?:src|href)="(?!#|\/|data:,)[^"]*"/g)).toBeNull();
  });

  test("says that the server drains", async () => {
    const server = await startServer();
    server.listener.stopAccepting();
    expect((await server.http().call("/", { headers: html })).text).toContain("Draining");
  });

  test("shows the host that the reader has used, and only one that is harmless", async () => {
    expect((await page({}, { host: "models.example.com" })).text).toContain("http://models.example.com/v1");
    expect((await page({}, { host: "[::1]:8080" })).text).toContain("http://[::1]:8080/v1");
    const forwarded = { host: "models.example.com", "x-forwarded-proto": "https" };
    expect((await page({}, forwarded)).text).toContain("wss://models.example.com/v1/responses");
    for (const host of ["a'; rm -rf ~ #", "a.com/<script>", "a`b`", "$(id)", "a.com:8080x"]) {
      const { text } = await page({}, { host });
      expect(text).toMatch(/http:\/\/localhost:\d+\/v1/);
      expect(text).not.toContain(host);
    }
  });

  test("shows names of models as text, and no dangerous one in lines to paste", async () => {
    const { text } = await page({ models: models(async () => ["<img src=x>'$(id)"]) });
    expect(text).toContain("&lt;img src=x&gt;");
    expect(text).not.toContain("<img");
    expect(text).toContain("your-model");
  });

  test("is there when the models are not, or not in time", async () => {
    const failed = await page({ models: models(() => Promise.reject(new Error("10.0.0.7 is down"))) });
    expect(failed.text).toContain("do not answer");
    expect(failed.text).not.toContain("10.0.0.7");
    const never = models(() => new Promise(() => undefined));
    expect((await page({ models: never, transportLimits: { pageMs: 10 } })).text).toContain("do not answer");
  });

  test("shows no key, and how to send one", async () => {
    const { text } = await page({ keys: [{ tenant: "acme", key: "key-of-acme" }] });
    expect(text).toContain("API key required");
    expect(text).toContain("Authorization: Bearer $OPENAI_API_KEY");
    expect(text).not.toContain("acme");
  });

  test("of a server with keys names no models, and asks no model server for them", async () => {
    let asked = 0;
    const list = models(async () => {
      asked += 1;
      return ["secret-model"];
    });
    const { text } = await page({ keys: [{ tenant: "acme", key: "key-of-acme" }], models: list });
    expect(text).not.toContain("secret-model");
    expect(text).toContain("/v1/models</code> for clients with an API key");
    expect(asked).toBe(0);
  });

  test("asks no model server when another site embeds it, and does when somebody follows a link", async () => {
    let asked = 0;
    const list = models(async () => [`model-${(asked += 1)}`]);
    const embedded = { "sec-fetch-site": "cross-site", "sec-fetch-dest": "iframe" };
    expect((await page({ models: list }, embedded)).text).not.toContain("model-1");
    expect(asked).toBe(0);
    const linked = { "sec-fetch-site": "cross-site", "sec-fetch-dest": "document" };
    expect((await page({ models: list }, linked)).text).toContain("model-1");
  });

  test("is a few words of JSON for everybody else", async () => {
    const server = await startServer();
    const { json } = await server.http().call("/");
    expect(json).toEqual({ name: "turnwire", version: "0.0.0-test", status: "ready", base_url: `${server.url}/v1` });
  });
});

async function paste(line: string): Promise<string> {
  const env = { ...process.env, OPENAI_API_KEY: "key-of-acme" };
  return (await run("/bin/sh", ["-c", line], { env })).stdout;
}

describe("a line to paste", () => {
  const keys = [{ tenant: "acme", key: "key-of-acme" }];

  test.each([true, false])("for WebSocket runs in a shell (with a key: %s)", async (needsKey) => {
    const server = await startServer({ steps: [answer("Noted."), answer("It was 7.")], keys: needsKey ? keys : [] });
    const { websocket } = snippets(server.url, "scripted", needsKey);
    // Two turns, of which the second continues the first.
    expect((await paste(websocket)).trim().split("\n")).toEqual(["Noted.", "It was 7."]);
  });

  test("for curl is one request in JSON", () => {
    const { curl } = snippets("http://localhost:8080", "org/model", true);
    expect(curl).toContain(`"Authorization: Bearer $OPENAI_API_KEY"`);
    expect(JSON.parse(/-d '(.*)'/.exec(curl)?.[1] ?? "")).toEqual({ model: "org/model", input: "Say hello." });
  });
});
