import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import type { TransportPolicy } from "../../src/transports/policy.ts";
import { Chromium, MISSING_CHROMIUM } from "../support/chromium.ts";
import { MODEL, startServer, type TestServer } from "../support/server.ts";

/** What pages of other sites can do to a server without keys on the reader's own machine, in a real browser. */

const EVIL = "evil.test";
const SLOW = 60_000;

/** Everything that a page can send without asking first; each resolves when the browser is done with it. */
const SENDERS: readonly (readonly [name: string, script: string])[] = [
  ["fetch without CORS", `await fetch(URL_, { method: "POST", mode: "no-cors" }).catch(() => {});`],
  [
    "fetch of text without CORS",
    `await fetch(URL_, { method: "POST", mode: "no-cors", body: "{}", headers: { "content-type": "text/plain" } }).catch(() => {});`,
  ],
  ["fetch with CORS", `await fetch(URL_, { method: "POST" }).catch(() => {});`],
  [
    "fetch of JSON",
    `await fetch(URL_, { method: "POST", body: "{}", headers: { "content-type": "application/json" } }).catch(() => {});`,
  ],
  ["a beacon", `navigator.sendBeacon(URL_); await fetch(URL_, { mode: "no-cors" }).catch(() => {});`],
  [
    "a form in a frame",
    `const frame = document.createElement("iframe"); frame.name = "frame"; document.body.append(frame);
     const form = document.createElement("form"); form.method = "POST"; form.action = URL_; form.target = "frame";
     document.body.append(form);
     const loaded = new Promise((resolve) => { frame.onload = resolve; });
     form.submit(); await loaded;`,
  ],
  [
    "a sandboxed frame, whose origin is null",
    `const frame = document.createElement("iframe"); frame.sandbox = "allow-scripts";
     frame.srcdoc = "<script>fetch(" + JSON.stringify(URL_) + ", { method: 'POST', mode: 'no-cors' })"
       + ".catch(() => {}).then(() => parent.postMessage('done', '*'))</" + "script>";
     const done = new Promise((resolve) => { addEventListener("message", resolve); });
     document.body.append(frame); await done;`,
  ],
  [
    "a page that hides where it is from",
    `
     document.head.innerHTML = '<meta name="referrer" content="no-referrer">';
     await fetch(URL_, { method: "POST", mode: "no-cors", referrerPolicy: "no-referrer" }).catch(() => {});`,
  ],
];

const conversations = async (server: TestServer): Promise<number> =>
  (await server.store.records.list("default", "conversation", { limit: 100 })).length;

const start = (policy: Partial<TransportPolicy> = {}) =>
  startServer({ policy, steps: [answer("1"), answer("2"), answer("3")] });

const portOf = ({ url }: TestServer): string => new URL(url).port;

const OPEN_SOCKET = `return await new Promise((resolve) => {
const socket = new WebSocket(URL_);
socket.onopen = () => resolve("open"); socket.onerror = () => resolve("refused");
  });`;

describe.skipIf(MISSING_CHROMIUM !== null)(
  `in Chromium${MISSING_CHROMIUM === null ? "" : ` (${MISSING_CHROMIUM})`}`,
  () => {
    let browser: Chromium;
    let site: Server;
    let sitePort: number;

    beforeAll(async () => {
      browser = await Chromium.launch(EVIL);
      site = createServer((_request, response) => {
        response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><body></body>");
      });
      await new Promise<void>((resolve) => {
        site.listen(0, "127.0.0.1", resolve);
      });
      sitePort = (site.address() as AddressInfo).port;
    }, SLOW);

    afterAll(async () => {
      await browser.close();
      site.closeAllConnections();
      await new Promise((resolve) => site.close(resolve));
    }, SLOW);

    test(
      "a page whose name was made to lead to this machine reads, creates and runs nothing",
      async () => {
        const server = await start();
        const rebound = `http://${EVIL}:${portOf(server)}`;
        const seen = await browser.run(
          `${rebound}/healthz`,
          `const post = { method: "POST", headers: { "content-type": "application/json", authorization: "Bearer x" },
         body: JSON.stringify({ model: "${MODEL}", input: "Hello" }) };
       const statuses = [];
       for (const [path, options] of [["/", {}], ["/v1/models", {}], ["/v1/responses", post],
         ["/v1/conversations", { method: "POST" }]]) statuses.push((await fetch(path, options)).status);
       statuses.push(await new Promise((resolve) => {
         const socket = new WebSocket("${rebound.replace("http", "ws")}/v1/responses");
         socket.onopen = () => resolve("open"); socket.onerror = () => resolve("refused");
       }));
       return [location.host, ...statuses];`,
        );
        expect(seen).toEqual([new URL(rebound).host, 403, 403, 403, 403, "refused"]);
        expect(await conversations(server)).toBe(0);
        expect(server.backend.calls).toHaveLength(0);
      },
      SLOW,
    );

    test.each(SENDERS)(
      "a page of another site creates nothing by %s",
      async (_name, script) => {
        const server = await start();
        for (const page of [
          `http://${EVIL}:${sitePort}`,
          `http://localhost:${sitePort}`,
          `http://127.0.0.1:${sitePort}`,
        ]) {
          for (const host of ["localhost", "127.0.0.1"]) {
            const url = `http://${host}:${portOf(server)}/v1/conversations`;
            await browser.run(page, `const URL_ = ${JSON.stringify(url)}; ${script}`);
          }
        }
        expect(await conversations(server)).toBe(0);
      },
      SLOW,
    );

    test.each(SENDERS.slice(0, 1))(
      "and does by %s when its origin is allowed",
      async (_name, script) => {
        const origin = `http://${EVIL}:${sitePort}`;
        const server = await start({ allowedOrigins: [origin] });
        const url = `http://localhost:${portOf(server)}/v1/conversations`;
        await browser.run(origin, `const URL_ = ${JSON.stringify(url)}; ${script}`);
        expect(await conversations(server)).toBe(1);
      },
      SLOW,
    );

    test(
      "a page of another site opens no WebSocket, and the server's own does",
      async () => {
        const server = await start();
        const socket = `const URL_ = "ws://localhost:${portOf(server)}/v1/responses"; ${OPEN_SOCKET}`;
        expect(await browser.run(`http://${EVIL}:${sitePort}`, socket)).toBe("refused");
        expect(await browser.run(`http://localhost:${sitePort}`, socket)).toBe("refused");
        expect(await browser.run(`http://localhost:${portOf(server)}/healthz`, socket)).toBe("open");
      },
      SLOW,
    );

    test(
      "pages of the server itself may do everything",
      async () => {
        const server = await start();
        const statuses = await browser.run(
          `http://localhost:${portOf(server)}/healthz`,
          `const body = JSON.stringify({ model: "${MODEL}", input: "Hello" });
       const headers = { "content-type": "application/json" };
       return [(await fetch("/v1/conversations", { method: "POST" })).status,
         (await fetch("/v1/responses", { method: "POST", headers, body })).status];`,
        );
        expect(statuses).toEqual([200, 200]);
      },
      SLOW,
    );

    test(
      "a page of an allowed origin uses a server with keys, over HTTP, SSE and WebSocket",
      async () => {
        const origin = `http://${EVIL}:${sitePort}`;
        const keys = [{ tenant: "acme", key: "page-key-0123456789" }];
        const steps = [answer("one"), answer("two"), answer("three")];
        const server = await startServer({ keys, steps, policy: { allowedOrigins: [origin] } });
        const url = `http://localhost:${portOf(server)}/v1/responses`;
        const seen = await browser.run(
          origin,
          `const ask = (stream, key) => fetch("${url}", { method: "POST", body: JSON.stringify({ model: "${MODEL}", input: "Hi", stream }),
             headers: { "content-type": "application/json", authorization: "Bearer " + key, "idempotency-key": crypto.randomUUID?.() ?? "k" + stream } });
           const json = await ask(false, "page-key-0123456789");
           const sse = await ask(true, "page-key-0123456789");
           const wrong = await ask(false, "another-key-0123456789");
           const socket = new WebSocket("${url.replace("http", "ws")}", ["responses", "openai-insecure-api-key.page-key-0123456789"]);
           const last = await new Promise((resolve, reject) => {
             socket.onopen = () => socket.send(JSON.stringify({ type: "response.create", model: "${MODEL}", input: "Hi" }));
             socket.onmessage = ({ data }) => { if (JSON.parse(data).type === "response.completed") resolve("completed"); };
             socket.onerror = () => reject(new Error("refused"));
           });
           return [json.status, (await json.json()).status, typeof json.headers.get("x-request-id"),
             (await sse.text()).includes("response.completed"), wrong.status, (await wrong.json()).error.code, socket.protocol, last];`,
        );
        expect(seen).toEqual([200, "completed", "string", true, 401, "invalid_api_key", "responses", "completed"]);
        expect(server.backend.calls).toHaveLength(3);
      },
      SLOW,
    );

    test(
      "a page of another origin reads nothing of a server with keys",
      async () => {
        const keys = [{ tenant: "acme", key: "page-key-0123456789" }];
        const server = await startServer({ keys, steps: [], policy: { allowedOrigins: ["https://app.example"] } });
        const seen = await browser.run(
          `http://${EVIL}:${sitePort}`,
          `const headers = { authorization: "Bearer page-key-0123456789" };
           return await fetch("http://localhost:${portOf(server)}/v1/models", { headers }).then(() => "read", () => "kept away");`,
        );
        expect(seen).toBe("kept away");
      },
      SLOW,
    );
  },
);
