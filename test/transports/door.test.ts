import { connect } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import { isAllowedHost } from "../../src/transports/host-names.ts";
import type { HttpClient } from "../support/http-client.ts";
import { rawUpgrade } from "../support/raw-upgrade.ts";
import { startServer, type TestServer } from "../support/server.ts";

const KEYS = [{ tenant: "acme", key: "key-of-acme" }];
const PATH = "/v1/responses";

/** Every kind of route, API or not. */
const ROUTES = [
  "/",
  "/healthz",
  "/readyz",
  "/v1/models",
  "/v1/responses/resp_1",
  "/v1/conversations/conv_1",
  "/nowhere",
];

const END = "connection: close\r\n\r\n";
const UPGRADE =
  `GET ${PATH} HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
  "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/** Sends a request as it stands, and resolves with the answer's status and its error code. */
async function raw(
  server: TestServer,
  head: string,
): Promise<{ readonly status: number; readonly code: string | null }> {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  socket.setEncoding("utf8");
  socket.write(head);
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]),
    code: /"code":"(\w+)"/.exec(text)?.[1] ?? null,
  };
}

const statusOf = async (http: HttpClient, path: string, headers: Record<string, string>): Promise<number> =>
  (await http.call(path, { headers })).status;

/** Hosts that a web page may have had resolved to this machine, and forms that other readers take for such. */
const FOREIGN = [
  "evil.example",
  "EVIL.example:4400",
  "127.0.0.1.evil.example",
  "localhost.evil.example",
  "evil.localhost.example:80",
  "notlocalhost",
  "0.0.0.0:4400",
  "192.168.1.7",
  "127.0.0.1@evil.example",
  "evil.example@localhost",
  "localhost:80@evil.example",
  "localhost:80:90",
  "localhost,evil.example",
  "localhost evil.example",
  "localhost/evil.example",
  "localhost..",
  "[::1%25lo]",
  "[fe80::1]",
  "[::1].evil.example",
  "[::1",
  "127.1.evil",
  "127.0.0.256",
  "%6cocalhost",
  "lоcalhost",
];

const OWN = [
  "localhost",
  "LocalHost:4400",
  "localhost.",
  "localhost.:4400",
  "app.localhost:1",
  "127.0.0.1",
  "127.255.3.9:65535",
  "[::1]",
  "[::1]:4400",
  "[0:0:0:0:0:0:0:1]:4400",
];

describe("a server without keys", () => {
  test.each(OWN)("answers to %s", async (host) => {
    const server = await startServer({ steps: [answer("Hi")] });
    for (const path of ["/healthz", "/v1/models"]) expect(await statusOf(server.http(), path, { host })).toBe(200);
    expect((await server.http().create({ input: "x" }, { headers: { host } })).status).toBe(200);
    expect((await rawUpgrade(server.url, PATH, { host })).status).toBe(101);
  });

  test.each(FOREIGN.filter((host) => /^[\x21-\x7e]+$/.test(host)))(
    "does not answer to %s, by any route",
    async (host) => {
      const server = await startServer();
      const heads = [...ROUTES.map((path) => `GET ${path}`), "POST /v1/conversations", `POST ${PATH}`, "OPTIONS *"];
      for (const head of heads) {
        const answered = await raw(server, `${head} HTTP/1.1\r\nhost: ${host}\r\n${END}`);
        expect({ head, ...answered }).toEqual({ head, status: 403, code: "host_not_allowed" });
      }
      expect(await raw(server, `${UPGRADE}host: ${host}\r\n\r\n`)).toEqual({ status: 403, code: "host_not_allowed" });
      expect(server.events).toEqual([]);
    },
  );

  test("takes no name but those of loopback, whatever it is made of", () => {
    const word = fc.stringMatching(/^[a-z0-9A-Z.:@%[\]_ -]{0,20}$/);
    fc.assert(
      fc.property(word, word, (before, after) => {
        const host = `${before}localhost${after}`;
        const isOwn = /^(?:[a-z0-9_](?:[a-z0-9_.-]*)\.)?localhost\.?(?::\d{0,5})?$/i.test(host);
        expect(isAllowedHost(host, [])).toBe(isOwn);
      }),
    );
    expect(FOREIGN.filter((host) => isAllowedHost(host, []))).toEqual([]);
  });

  test.each([
    ["an absolute target", "GET http://evil.example/healthz HTTP/1.1\r\nhost: localhost\r\n"],
    ["an absolute target of another scheme", "GET HTTPS://evil.example/healthz HTTP/1.1\r\nhost: localhost\r\n"],
    [
      "an absolute target with a user name",
      "GET http://localhost@evil.example/healthz HTTP/1.1\r\nhost: localhost\r\n",
    ],
    ["a host behind an absolute target of our own", "GET http://localhost/healthz HTTP/1.1\r\nhost: evil.example\r\n"],
    ["two hosts", "GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n"],
    ["two hosts that are equal", "GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n"],
    ["no host in HTTP/1.0", "GET /v1/models HTTP/1.0\r\n"],
    ["an empty host", "GET /healthz HTTP/1.1\r\nhost:\r\n"],
  ])("refuses %s", async (_name, head) => {
    const server = await startServer();
    expect(await raw(server, head + END)).toEqual({ status: 403, code: "host_not_allowed" });
  });

  test("takes an absolute target of its own, for requests and upgrades", async () => {
    const server = await startServer();
    expect((await raw(server, `GET ${server.url}/healthz HTTP/1.1\r\nhost: localhost\r\n${END}`)).status).toBe(200);
    const other = UPGRADE.replace("GET ", "GET http://evil.example");
    expect(await raw(server, `${other}host: localhost\r\n\r\n`)).toEqual({ status: 403, code: "host_not_allowed" });
    const own = UPGRADE.replace("GET ", "GET http://localhost:1").replace("version: 13", "version: 1");
    // Past the door: what is refused is the version.
    expect(await raw(server, `${own}host: localhost\r\n\r\n`)).toMatchObject({ status: 400 });
  });

  test("tells health checks of HTTP/1.0, which have no host, how it is", async () => {
    const server = await startServer();
    for (const path of ["/healthz", "/readyz"])
      expect((await raw(server, `GET ${path} HTTP/1.0\r\n\r\n`)).status).toBe(200);
    const absolute = "GET http://evil.example/healthz HTTP/1.0\r\n\r\n";
    expect((await raw(server, absolute)).status).toBe(403);
  });

  test("answers to the hosts that its operator has allowed", async () => {
    const server = await startServer({ policy: { allowedHosts: ["models.example.com", "*.lan"] } });
    const http = server.http();
    expect(await statusOf(http, "/healthz", { host: "Models.Example.com.:443" })).toBe(200);
    expect(await statusOf(http, "/healthz", { host: "box.lan" })).toBe(200);
    expect(await statusOf(http, "/healthz", { host: "lan" })).toBe(403);
    expect(await statusOf(http, "/healthz", { host: "evil.models.example.com" })).toBe(403);
    const open = await startServer({ policy: { allowedHosts: null } });
    expect(await statusOf(open.http(), "/healthz", { host: "evil.example" })).toBe(200);
  });
});

const FROM_ELSEWHERE: readonly Record<string, string>[] = [
  { "sec-fetch-site": "cross-site" },
  { "sec-fetch-site": "same-site" },
  { "sec-fetch-site": "Cross-Site" },
  { "sec-fetch-site": "same-origin, cross-site" },
  { "sec-fetch-site": "of-a-later-browser" },
  { "sec-fetch-site": "" },
  { origin: "https://evil.example" },
  { origin: "http://localhost:3000" },
  { origin: "null" },
  { origin: "file://" },
  { origin: "chrome-extension://abcdef" },
  { origin: "https://evil.example", "sec-fetch-site": "same-origin" },
];

/** Routes that change something or ask a model, with the bodies that a page could send without asking first. */
const CHANGES = [
  ["POST", "/v1/conversations"],
  ["POST", "/v1/conversations/conv_1"],
  ["POST", "/v1/conversations/conv_1/items"],
  ["DELETE", "/v1/conversations/conv_1"],
  ["POST", "/v1/responses"],
  ["POST", "/responses"],
  ["POST", "/v1/responses/compact"],
  ["POST", "/v1/responses/input_tokens"],
  ["POST", "/v1/responses/resp_1/cancel"],
  ["DELETE", "/v1/responses/resp_1"],
  ["GET", "/v1/models"],
  ["GET", "/v1/models/x"],
] as const;

describe("a web page of another site", () => {
  test.each(FROM_ELSEWHERE)("changes nothing and asks no model: %j", async (headers) => {
    const server = await startServer({ steps: [answer("Hi")] });
    for (const [method, path] of CHANGES) {
      for (const extra of [{}, { authorization: "Bearer made-up" }]) {
        const { status, json } = await server.http().call(path, { method, headers: { ...headers, ...extra } });
        expect({ method, path, status, code: json.error?.code }).toEqual({
          method,
          path,
          status: 403,
          code: "origin_not_allowed",
        });
      }
    }
    expect((await server.http().create({ input: "x" }, { headers })).status).toBe(403);
    expect((await rawUpgrade(server.url, PATH, headers)).status).toBe(403);
    expect(server.events).toEqual([]);
    expect(await server.store.records.list("default", "conversation", { limit: 10 })).toEqual([]);
  });

  test("of an allowed origin may do all that its own may", async () => {
    const policy = { allowedOrigins: ["https://app.example.com"] };
    const server = await startServer({ policy, steps: [answer("Hi")] });
    const headers = { origin: "https://APP.example.com", "sec-fetch-site": "cross-site" };
    expect((await server.http().create({ input: "x" }, { headers })).status).toBe(200);
    expect((await rawUpgrade(server.url, PATH, headers)).status).toBe(101);
    const other = { origin: "https://evil.example", "sec-fetch-site": "cross-site" };
    expect((await server.http().create({ input: "x" }, { headers: other })).status).toBe(403);
  });

  test("with a key is a client like any other", async () => {
    const server = await startServer({ keys: KEYS, steps: [answer("Hi")] });
    const headers = { origin: "https://evil.example", "sec-fetch-site": "cross-site", host: "models.example.com" };
    expect((await server.http("key-of-acme").create({ input: "x" }, { headers })).status).toBe(200);
    expect((await server.http().create({ input: "x" }, { headers })).status).toBe(401);
  });
});

test.each([null, "same-origin", "none"])("programs, typed addresses and its own pages come in: %s", async (site) => {
  const server = await startServer({ steps: [answer("Hi")] });
  const headers = {
    ...(site !== null && { "sec-fetch-site": site }),
    ...(site === "same-origin" && { origin: server.url }),
  };
  expect((await server.http().create({ input: "x" }, { headers })).status).toBe(200);
  expect((await server.http().call("/v1/conversations", { method: "POST", headers })).status).toBe(200);
});
