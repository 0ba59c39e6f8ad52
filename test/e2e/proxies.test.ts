import { mkdtempSync, rmSync } from "node:fs";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { examine } from "../../src/doctor/index.ts";
import type { Finding } from "../../src/doctor/index.ts";
import { type RunningServer, startServer } from "../../src/index.ts";
import { pem } from "../doctor/broken-server.ts";
import { missingProxy, PROXIES, type ProxyName, startProxy } from "../support/proxies.ts";

/** docs/deploy.md, tried: a server behind each proxy, with the configuration that the page gives. */

let server: RunningServer;

beforeAll(async () => {
  server = await startServer({
    port: 0,
    store: "memory:",
    logLevel: "silent",
    simRate: 50,
    simRounds: 1,
    maxLoopDelayMs: 0,
  });
});

afterAll(() => server.close());

function examineAt(url: string, options: Partial<Parameters<typeof examine>[0]> = {}) {
  return examine({ url, ca: pem("cert"), idleMs: 300, largestBytes: 4 * 2 ** 20, ...options });
}

function named(findings: readonly Finding[], check: string): Finding | undefined {
  return findings.find((finding) => finding.check === check);
}

/** The types of the events of one turn over WebSocket. */
async function turnOver(url: string): Promise<readonly string[]> {
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/v1/responses`, { ca: pem("cert") });
  const types: string[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("open", () => socket.send(JSON.stringify({ type: "response.create", model: "sim", input: "Hello" })));
    socket.on("message", (data) => {
      const { type } = JSON.parse((data as Buffer).toString()) as { readonly type: string };
      types.push(type);
      if (type === "response.completed" || type === "error") resolve();
    });
  });
  socket.close();
  await new Promise((resolve) => socket.once("close", resolve));
  return types;
}

/** The text of a streamed answer. */
async function streamOver(url: string): Promise<string> {
  const send = url.startsWith("https:") ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const call = send(`${url}/v1/responses`, { method: "POST", headers, ca: pem("cert"), agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      answer.once("end", () => resolve(text));
      answer.once("error", reject);
    });
    call.once("error", reject);
    call.end(JSON.stringify({ model: "sim", input: "Hello", stream: true }));
  });
}

for (const name of Object.keys(PROXIES) as readonly ProxyName[]) {
  const missing = missingProxy(name);
  describe.skipIf(missing !== null)(
    `${name}, as docs/deploy.md has it${missing === null ? "" : ` (${missing})`}`,
    () => {
      test("lets a turn over WebSocket through", async () => {
        const types = await turnOver(await startProxy(name, server.url));
        expect(types[0]).toBe("response.created");
        expect(types.at(-1)).toBe("response.completed");
      });

      test("lets a stream of events through", async () => {
        const text = await streamOver(await startProxy(name, server.url));
        expect(text).toContain("event: response.output_text.delta");
        expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
      });

      test("leaves the doctor nothing to say", async () => {
        const { findings } = await examineAt(await startProxy(name, server.url));
        expect(findings.filter(({ level }) => level !== "ok")).toEqual([]);
        expect(named(findings, "deflate")?.text).toContain("messages are compressed");
      });

      test("tells the doctor when the server behind it is gone", async () => {
        const gone = await startServer({ port: 0, store: "memory:", logLevel: "silent" });
        const url = await startProxy(name, gone.url);
        await gone.close();
        const { findings } = await examineAt(url);
        expect(named(findings, "server")).toMatchObject({ level: "problem" });
        expect(named(findings, "server")?.text).toMatch(new RegExp(`${name} answers 50[23]`));
      });
    },
  );
}

const missingBalancer = missingProxy("HAProxy");
const SERVER = "server one 127.0.0.1:4400 check inter 1s fall 1";

/** Two servers that take turns behind HAProxy. */
async function balanced(store: string): Promise<string> {
  const settings = { port: 0, store, logLevel: "silent", simRounds: 1, maxLoopDelayMs: 0 } as const;
  const servers = [await startServer(settings), await startServer(settings)];
  const [one, two] = servers.map(({ url }) => new URL(url).host);
  onTestFinished(async () => {
    await Promise.all(servers.map((each) => each.close()));
  });
  const second = SERVER.replace("one 127.0.0.1:4400", `two ${two}`);
  return startProxy("HAProxy", `http://${one}`, [
    ["balance leastconn", "balance roundrobin"],
    [SERVER, `${SERVER}\n  ${second}`],
  ]);
}

describe.skipIf(missingBalancer !== null)(
  `two servers behind HAProxy${missingBalancer === null ? "" : ` (${missingBalancer})`}`,
  () => {
    test("with a store of their own each do not find each other's responses", async () => {
      const { findings } = await examineAt(await balanced("memory:"));
      expect(named(findings, "tools")).toMatchObject({ level: "ok" });
      expect(named(findings, "tools-http")).toMatchObject({ level: "problem" });
      expect(named(findings, "tools-http")?.text).toContain("previous_response_not_found");
      expect(named(findings, "tools-http")?.advice).toContain("--store postgres://");
    });

    test("with one store continue what the other has begun", async () => {
      const folder = mkdtempSync(join(tmpdir(), "turnwire-shared-"));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      const { findings } = await examineAt(await balanced(`sqlite:${join(folder, "shared.db")}`));
      expect(named(findings, "tools-http")).toMatchObject({ level: "ok" });
    });
  },
);

const missing = missingProxy("nginx");

describe.skipIf(missing !== null)(`nginx with a mistake${missing === null ? "" : ` (${missing})`}`, () => {
  test("without the headers of the upgrade", async () => {
    const mistakes = [
      ["    proxy_set_header Upgrade $http_upgrade;\n", ""],
      ["    proxy_set_header Connection $turnwire_connection;\n", ""],
    ] as const;
    const { findings, isWell } = await examineAt(await startProxy("nginx", server.url, mistakes));
    expect(isWell).toBe(false);
    expect(named(findings, "upgrade")).toMatchObject({ level: "problem" });
    expect(named(findings, "upgrade")?.advice).toContain("proxy_set_header Upgrade $http_upgrade");
  });

  test("with its own limit for bodies", async () => {
    const url = await startProxy("nginx", server.url, [["  client_max_body_size 64m;\n", ""]]);
    const { findings } = await examineAt(url);
    const body = named(findings, "body");
    expect(body).toMatchObject({ level: "warning" });
    expect(body?.text).toContain("413 by nginx");
    expect(body?.advice).toContain("client_max_body_size 64m");
    expect(body?.data?.["bytes"]).toBeLessThanOrEqual(2 ** 20);
    expect(named(findings, "message")).toMatchObject({ level: "ok" });
  });

  test("with a short time for idle connections", async () => {
    const url = await startProxy("nginx", server.url, [["proxy_read_timeout 3600s;", "proxy_read_timeout 1s;"]]);
    const { findings } = await examineAt(url, { idleMs: 3000 });
    const idle = named(findings, "idle");
    expect(idle).toMatchObject({ level: "warning" });
    expect(idle?.advice).toContain("nginx: proxy_read_timeout 3600s");
    expect(idle?.data?.["silentMs"]).toBeGreaterThanOrEqual(900);
    expect(idle?.data?.["pingsMs"]).toBeNull();
  });

  test("with buffering", async () => {
    const mistake = ["proxy_buffering off;", "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"] as const;
    const { findings } = await examineAt(await startProxy("nginx", server.url, [mistake]));
    expect(named(findings, "stream")).toMatchObject({ level: "problem" });
    expect(named(findings, "stream")?.advice).toContain("nginx: proxy_buffering off");
  });
});
