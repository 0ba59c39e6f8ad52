import { spawn } from "node:child_process";
import { connect } from "node:net";
import { Writable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { createLog } from "../src/observe.ts";
import { startServer } from "../src/server.ts";
import type { Config } from "../src/settings.ts";

type Line = { readonly [field: string]: unknown };

/** A server with one key, and the lines of its log as they come. */
async function serve(settings: Partial<Config> = {}) {
  const lines: Line[] = [];
  const waiting = new Set<() => void>();
  const destination = new Writable({
    decodeStrings: false,
    write: (line: string, _encoding, done) => {
      lines.push(JSON.parse(line) as Line);
      for (const look of waiting) look();
      done();
    },
  });
  const server = await startServer(
    { port: 0, store: "memory:", apiKeys: [{ tenant: "acme", key: "sk-1-is-long-enough" }], ...settings },
    { log: createLog({ level: "info", destination }) },
  );
  onTestFinished(() => server.close());
  /** Resolves with the lines of a message once there are as many. */
  const logged = (message: string, count = 1): Promise<readonly Line[]> =>
    new Promise((resolve) => {
      const look = (): void => {
        const found = lines.filter(({ msg }) => msg === message);
        if (found.length >= count) resolve(found);
      };
      waiting.add(look);
      look();
    });
  return { url: server.url, lines, logged };
}

const headers = { authorization: "Bearer sk-1-is-long-enough", "content-type": "application/json" };
const acme = { tenant: "acme", keyName: "acme", requestId: expect.stringMatching(/^req_/) };
const nobody = { tenant: null, keyName: null, requestId: expect.stringMatching(/^req_/) };

async function connected(url: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/v1/responses`, { headers });
  await new Promise((resolve) => socket.once("open", resolve));
  return socket;
}

describe("every refusal is one line", () => {
  test.each([
    ["an unknown route", "GET", "/v1/chat/nowhere?token=hidden", {}, "not_found", 404, acme],
    ["a wrong key", "POST", "/v1/responses", { authorization: "Bearer sk-wrong" }, "invalid_api_key", 401, nobody],
    ["a wrong method", "PUT", "/v1/responses", {}, "method_not_allowed", 405, acme],
    ["a body that is no JSON", "POST", "/v1/responses", {}, "invalid_json", 400, acme],
    ["another content type", "POST", "/v1/responses", { "content-type": "text/plain" }, undefined, 415, acme],
  ])("%s over HTTP", async (_what, method, path, own, code, status, who) => {
    const { url, logged, lines } = await serve();
    const body = method === "GET" ? {} : { body: "{" };
    const answer = await fetch(url + path, { method, headers: { ...headers, ...own }, ...body });
    expect(answer.status).toBe(status);
    expect(await logged("refused")).toMatchObject([
      {
        level: "warn",
        what: "request",
        transport: "http",
        route: `${method} ${path.split("?")[0]?.replace("nowhere", "…")}`,
        status,
        ...(code !== undefined && { code }),
        ...who,
        ...(status !== 405 && { requestId: answer.headers.get("x-request-id") }),
      },
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/hidden|sk-wrong/);
  });

  test("a turn that is refused has the line of a turn, with key and request id, and no other", async () => {
    const { url, logged, lines } = await serve();
    const body = JSON.stringify({ model: "sim", input: "x", previous_response_id: "resp_none" });
    const answer = await fetch(`${url}/v1/responses`, { method: "POST", headers, body });
    expect(await logged("turn")).toMatchObject([
      {
        outcome: "refused",
        errorCode: "previous_response_not_found",
        transport: "http",
        keyName: "acme",
        requestId: answer.headers.get("x-request-id"),
      },
    ]);
    expect(lines.filter(({ msg }) => msg === "refused")).toEqual([]);
  });

  test("an upgrade", async () => {
    const { url, logged } = await serve();
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/responses`);
    const [error] = await new Promise<unknown[]>((resolve) => socket.once("error", (...args) => resolve(args)));
    expect(String(error)).toContain("401");
    expect(await logged("refused")).toMatchObject([
      { what: "upgrade", transport: "websocket", route: "GET /v1/responses", code: "invalid_api_key", ...nobody },
    ]);
  });

  test("a frame, and the close that follows many of them", async () => {
    const { url, logged } = await serve();
    const socket = await connected(url);
    socket.send("{");
    expect(await logged("refused")).toMatchObject([{ what: "frame", transport: "websocket", status: 400, ...acme }]);
    const closed = new Promise<number>((resolve) => socket.once("close", resolve));
    for (let count = 0; count < 20; count += 1) socket.send("{");
    expect(await closed).toBe(1008);
    expect(await logged("closed")).toMatchObject([
      { level: "warn", code: 1008, reason: "too many protocol errors in a row", transport: "websocket", ...acme },
    ]);
  });

  test("bytes that are no request", async () => {
    const { url, logged } = await serve();
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.end("NONSENSE\r\n\r\n");
    expect(await logged("refused")).toMatchObject([{ route: null, code: "invalid_value", transport: "http" }]);
  });
});

describe("every close by the server is one line", () => {
  test("also one that the library decides", async () => {
    const { url, logged } = await serve();
    const socket = await connected(url);
    socket.send(Buffer.from([1]), { binary: true });
    expect(await logged("closed")).toMatchObject([
      { code: 1003, reason: "binary messages are not supported", ...acme },
    ]);
  });

  test("but not one by the client", async () => {
    const { url, logged, lines } = await serve();
    const polite = await connected(url);
    const gone = new Promise((resolve) => polite.once("close", resolve));
    polite.close(1000);
    await gone;
    const rude = await connected(url);
    rude.send(Buffer.from([1]), { binary: true });
    await logged("closed");
    expect(lines.filter(({ msg }) => msg === "closed").length).toBe(1);
  });
});

test("a line that comes while others are being written does not wait for more of them", async () => {
  const program = `
    import { createLog } from ${JSON.stringify(new URL("../src/observe.ts", import.meta.url).href)};
    const log = createLog({ level: "info" });
    // More than a pipe holds: the write lasts until the reader begins.
    for (let count = 0; count < 200; count += 1) log.info({ filler: "x".repeat(1000) }, "filler");
    setTimeout(() => log.info("last"), 100);
    setTimeout(() => process.stderr.write("begin"), 300);
    setInterval(() => undefined, 1000);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  await new Promise((resolve) => child.stderr.once("data", resolve));
  let text = "";
  for await (const chunk of child.stdout) {
    text += String(chunk);
    if (text.includes('"msg":"last"')) break;
  }
  expect(text).toContain('"msg":"last"');
});
