import type { RequestListener } from "node:http";
import { describe, expect, test } from "vitest";
import { checkClock, checkKeyAndModels, checkServer } from "../../src/doctor/checks/api.ts";
import { apiError, brokenServer, json, visitTo } from "./broken-server.ts";

const TURNWIRE = { status: "ok", server: "turnwire", version: "1.2.3" };
const MODELS = {
  object: "list",
  data: [
    { id: "one", object: "model" },
    { id: "two", object: "model" },
  ],
};

/** Answers by path. */
function routes(table: { readonly [path: string]: RequestListener }): RequestListener {
  return (request, response) => (table[request.url ?? ""] ?? json(404, apiError("not_found", "?")))(request, response);
}

describe("the server", () => {
  test("that is Turnwire is named with its version", async () => {
    const url = await brokenServer({ onRequest: routes({ "/healthz": json(200, TURNWIRE) }) });
    const { findings, isReached } = await checkServer(visitTo(url));
    expect(isReached).toBe(true);
    expect(findings).toMatchObject([
      { check: "server", level: "ok", text: "Turnwire 1.2.3 answers" },
      { check: "clock", level: "ok" },
    ]);
  });

  test("that shuts down is a warning", async () => {
    const onRequest = routes({ "/healthz": json(200, TURNWIRE), "/readyz": json(503, { status: "draining" }) });
    const { findings } = await checkServer(visitTo(await brokenServer({ onRequest })));
    expect(findings[0]).toMatchObject({ level: "warning", text: "Turnwire 1.2.3 answers, and is shutting down" });
  });

  test("that is another one may be examined too", async () => {
    const { findings, isReached } = await checkServer(visitTo(await brokenServer({})));
    expect(isReached).toBe(true);
    expect(findings[0]).toMatchObject({ level: "ok" });
    expect(findings[0]?.text).toContain("not by Turnwire");
  });

  test("behind a redirect is a problem for WebSockets", async () => {
    const url = await brokenServer({ onRequest: json(301, {}, { location: "https://models.example.com/" }) });
    const { findings } = await checkServer(visitTo(url));
    expect(findings[0]).toMatchObject({
      level: "problem",
      text: "requests are redirected to https://models.example.com/",
    });
    expect(findings[0]?.advice).toContain("do not follow redirects");
  });

  test.each([
    [{ server: "nginx/1.22.1" }, "<html>502 Bad Gateway</html>", "nginx answers 502", "proxy_pass"],
    [{ server: "Caddy" }, "", "Caddy answers 502", "reverse_proxy"],
    [{}, "<html><body><h1>502 Bad Gateway</h1>\nIt is down.\n</body></html>\n", "HAProxy answers 502", "backend"],
    [{ server: "cloudflare" }, "", "Cloudflare answers 502", "origin"],
    [{}, "", "something that is not a server of this API answers 502", "Look whether the server runs"],
  ])("behind a proxy that does not reach it is a problem of the proxy: %j", async (headers, body, text, advice) => {
    const onRequest: RequestListener = (_request, response) => response.writeHead(502, headers).end(body);
    const { findings, isReached } = await checkServer(visitTo(await brokenServer({ onRequest })));
    expect(isReached).toBe(false);
    expect(findings[0]).toMatchObject({ level: "problem" });
    expect(findings[0]?.text).toContain(text);
    expect(findings[0]?.advice).toContain(advice);
  });

  test("that hangs up is a problem", async () => {
    const url = await brokenServer({ onRequest: (request) => request.socket.destroy() });
    const { findings, isReached } = await checkServer(visitTo(url));
    expect(isReached).toBe(false);
    expect(findings[0]).toMatchObject({ level: "problem" });
    expect(findings[0]?.text).toContain("HTTP gets no answer");
  });
});

describe("the clock", () => {
  const now = Date.parse("2026-11-24T12:00:00Z");

  test.each([
    ["Tue, 24 Nov 2026 12:00:00 GMT", "ok", "the clocks agree"],
    ["Tue, 24 Nov 2026 11:59:59 GMT", "ok", "the clocks agree"],
    ["Tue, 24 Nov 2026 12:01:00 GMT", "warning", "60 s ahead of"],
    ["Tue, 24 Nov 2026 11:59:00 GMT", "warning", "59 s behind"],
    ["Tue, 24 Nov 2026 13:00:00 GMT", "problem", "3600 s ahead of"],
    ["no date", "skipped", "no Date"],
  ])("of a server that says %s", (date, level, text) => {
    const finding = checkClock({ headers: { date } }, now, now + 100);
    expect(finding).toMatchObject({ check: "clock", level });
    expect(finding.text).toContain(text);
  });
});

/** An answer of something that stands in front. */
function html(status: number, server: string): RequestListener {
  return (_request, response) => response.writeHead(status, { server }).end("<html></html>");
}

/** Wants a key for everything. */
const guarded: RequestListener = (request, response) =>
  request.headers.authorization === "Bearer sk-good"
    ? json(200, MODELS)(request, response)
    : json(401, apiError("invalid_api_key", "Incorrect API key provided."))(request, response);

describe("the key", () => {
  test.each([
    ["sk-good", "ok", "the key is taken, and needed"],
    ["sk-bad", "problem", "the key is refused"],
    [null, "problem", "the server wants a key"],
  ])("%j", async (key, level, text) => {
    const { findings, isLetIn } = await checkKeyAndModels(visitTo(await brokenServer({ onRequest: guarded }), { key }));
    expect(findings[0]).toMatchObject({ check: "key", level, text });
    expect(isLetIn).toBe(level === "ok");
    expect(JSON.stringify(findings)).not.toContain("sk-");
  });

  test("asked for by something in front is not the API's own", async () => {
    const url = await brokenServer({ onRequest: html(401, "nginx") });
    const { findings } = await checkKeyAndModels(visitTo(url, { key: "sk-good" }));
    expect(findings[0]).toMatchObject({ level: "problem", text: "nginx answers 401 in place of the server" });
  });

  test("that helps nobody past a firewall is no key's fault", async () => {
    const url = await brokenServer({ onRequest: html(403, "cloudflare") });
    const { findings } = await checkKeyAndModels(visitTo(url));
    expect(findings[0]).toMatchObject({ level: "problem", text: "Cloudflare answers 403" });
  });
});

describe("the models", () => {
  test("are listed, and the first is asked for", async () => {
    const { findings, model } = await checkKeyAndModels(visitTo(await brokenServer({ onRequest: json(200, MODELS) })));
    expect(findings[1]).toMatchObject({ check: "models", level: "ok", text: "2 models: one, two" });
    expect(model).toBe("one");
  });

  test("that do not have the wanted one are a warning", async () => {
    const visit = visitTo(await brokenServer({ onRequest: json(200, MODELS) }), { model: "three" });
    const { findings, model } = await checkKeyAndModels(visit);
    expect(findings[1]).toMatchObject({ level: "warning" });
    expect(model).toBe("three");
  });

  test("that cannot be listed are a problem of the model server", async () => {
    const onRequest = json(502, apiError("upstream_unavailable", "The models could not be listed."));
    const { findings, model } = await checkKeyAndModels(visitTo(await brokenServer({ onRequest })));
    expect(findings[1]).toMatchObject({ check: "models", level: "problem" });
    expect(findings[1]?.advice).toContain("--backend");
    expect(model).toBeNull();
  });

  test("that are not listed at all have to be named", async () => {
    const { findings } = await checkKeyAndModels(visitTo(await brokenServer({ onRequest: json(200, {}) })));
    expect(findings[1]).toMatchObject({ level: "warning", advice: "Name one with --model to have turns tried." });
  });
});
