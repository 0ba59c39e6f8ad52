import { createServer } from "node:http";
import { connect, createServer as createNetServer } from "node:net";
import { describe, expect, test } from "vitest";
import { checkConnect, checkDns } from "../../src/doctor/checks/network.ts";
import { checkProxy, proxyFor } from "../../src/doctor/checks/proxy.ts";
import { checkTls, expiry } from "../../src/doctor/checks/tls.ts";
import { parseTarget } from "../../src/doctor/target.ts";
import { accepting, brokenServer, listen, pem, refusing, visitTo } from "./broken-server.ts";

describe("the name and the port", () => {
  test("a name that nobody knows is a problem", async () => {
    const { findings, addresses } = await checkDns(visitTo("http://nowhere.invalid"));
    expect(addresses).toEqual([]);
    expect(findings[0]).toMatchObject({ check: "dns", level: "problem" });
    expect(findings[0]?.text).toContain("nowhere.invalid is not known here");
  });

  test("an address needs no name", async () => {
    expect(await checkDns(visitTo("http://[::1]:4400"))).toEqual({ findings: [], addresses: ["::1"] });
  });

  test("a port that nobody listens on is a problem", async () => {
    const port = await listen(createNetServer());
    // A port of this machine that is certainly free: the one that the kernel gave, at another loopback address.
    const visit = visitTo(`http://127.0.0.2:${port}`);
    const [finding] = await checkConnect(visit, ["127.0.0.2"]);
    expect(finding).toMatchObject({ check: "connect", level: "problem" });
    expect(finding?.text).toContain("ECONNREFUSED");
    expect(finding?.advice).toContain("Nothing listens there");
  });

  test("a name of which one address does not work is a warning", async () => {
    const port = await listen(createNetServer());
    const [finding] = await checkConnect(visitTo(`http://127.0.0.1:${port}`), ["127.0.0.2", "127.0.0.1"]);
    expect(finding).toMatchObject({ level: "warning" });
    expect(finding?.text).toContain(`127.0.0.2 port ${port}: ECONNREFUSED`);
  });

  test("a port that takes connections is fine", async () => {
    const port = await listen(createNetServer());
    const [finding] = await checkConnect(visitTo(`http://127.0.0.1:${port}`), ["127.0.0.1"]);
    expect(finding).toMatchObject({ level: "ok" });
  });
});

describe("the certificate", () => {
  test.each([
    ["cert", "DEPTH_ZERO_SELF_SIGNED_CERT", "self-signed", undefined],
    ["expired-cert", "CERT_HAS_EXPIRED", "has expired", "expired-cert"],
    ["other-name-cert", "ERR_TLS_CERT_ALTNAME_INVALID", "is for another name (models.example.com", "other-name-cert"],
  ])("%s is told by what is wrong with it", async (certificate, code, text, trusted) => {
    const url = await brokenServer({ certificate });
    const visit = visitTo(url, trusted === undefined ? {} : { ca: pem(trusted) });
    const { findings, isReached } = await checkTls(visit);
    expect(isReached).toBe(true);
    expect(findings[0]).toMatchObject({ check: "tls", level: "problem", data: { code } });
    expect(findings[0]?.text).toContain(text);
  });

  test("one that is trusted is fine", async () => {
    const url = await brokenServer({ certificate: "cert" });
    const { findings } = await checkTls(visitTo(url, { ca: pem("cert") }));
    expect(findings).toMatchObject([{ level: "ok" }]);
    expect(findings[0]?.text).toContain("TLSv1.3");
  });

  test("one that ends soon is a warning", () => {
    const now = Date.parse("2026-11-24T00:00:00Z");
    expect(expiry({ valid_to: "Nov 30 00:00:00 2026 GMT" }, "TLSv1.3", now)).toMatchObject({
      level: "warning",
      text: "the certificate ends in 6 days",
    });
    expect(expiry({ valid_to: "Dec 30 00:00:00 2026 GMT" }, "TLSv1.3", now)).toMatchObject({ level: "ok" });
  });

  test("https at a plain port is a problem that ends the examination", async () => {
    const url = await brokenServer({});
    const { findings, isReached } = await checkTls(visitTo(url.replace("http:", "https:")));
    expect(isReached).toBe(false);
    expect(findings[0]).toMatchObject({ level: "problem", advice: "It is a plain port: use http:// or ws://." });
  });

  test("plain text across a network is a warning, and on this machine nothing to tell", async () => {
    expect((await checkTls(visitTo("http://models.example.com"))).findings).toMatchObject([{ level: "warning" }]);
    expect((await checkTls(visitTo("http://localhost:4400"))).findings).toEqual([]);
  });
});

describe("proxies of the environment", () => {
  const target = parseTarget("https://models.example.com/v1");

  test.each([
    [{}, null],
    [{ HTTP_PROXY: "http://proxy:1" }, null],
    [{ HTTPS_PROXY: "http://proxy:1" }, "HTTPS_PROXY"],
    [{ https_proxy: "proxy:1" }, "https_proxy"],
    [{ ALL_PROXY: "http://proxy:1" }, "ALL_PROXY"],
    [{ HTTPS_PROXY: "" }, null],
    [{ HTTPS_PROXY: "http://proxy:1", NO_PROXY: "example.org, models.example.com" }, null],
    [{ HTTPS_PROXY: "http://proxy:1", NO_PROXY: ".example.com" }, null],
    [{ HTTPS_PROXY: "http://proxy:1", no_proxy: "*" }, null],
    [{ HTTPS_PROXY: "http://proxy:1", NO_PROXY: "ample.com" }, "HTTPS_PROXY"],
  ])("%j", (environment, variable) => {
    expect(proxyFor(target, environment)?.variable ?? null).toBe(variable);
  });

  test("none is fine", async () => {
    expect(await checkProxy(visitTo("http://127.0.0.1:1"))).toMatchObject([{ check: "proxy", level: "ok" }]);
  });

  test("one that refuses the tunnel is a problem, and its password is not shown", async () => {
    const proxy = createServer();
    proxy.on("connect", (_request, socket) => socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"));
    const HTTP_PROXY = `http://me:secret@127.0.0.1:${await listen(proxy)}`;
    const [finding] = await checkProxy(visitTo("http://127.0.0.1:1", { environment: { HTTP_PROXY } }));
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding?.text).toContain("answers CONNECT with 403");
    expect(finding?.advice).toContain("export NO_PROXY=127.0.0.1");
    expect(JSON.stringify(finding)).not.toContain("secret");
  });

  test("one through which upgrades do not get is a problem", async () => {
    const url = await brokenServer({ onUpgrade: refusing(403) });
    const [finding] = await checkProxy(visitTo(url, { environment: { HTTP_PROXY: await tunnel() } }));
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding?.text).toContain("the upgrade through it is answered with 403");
  });

  test("one through which upgrades get is a detour for a server on this machine", async () => {
    const url = await brokenServer({ onUpgrade: accepting() });
    const [finding] = await checkProxy(visitTo(url, { environment: { HTTP_PROXY: await tunnel() } }));
    expect(finding).toMatchObject({ level: "warning" });
    expect(finding?.text).toContain("though it is on this machine");
  });

  test("one that does not exist is a problem", async () => {
    const HTTP_PROXY = "http://nowhere.invalid:1";
    const [finding] = await checkProxy(visitTo("http://127.0.0.1:1", { environment: { HTTP_PROXY } }));
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding?.text).toContain("cannot be used");
  });
});

/** A proxy that opens every tunnel. */
async function tunnel(): Promise<string> {
  const proxy = createServer();
  proxy.on("connect", ({ url = "" }, socket) => {
    const { hostname, port } = new URL(`http://${url}`);
    const onwards = connect(Number(port), hostname, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(onwards).pipe(socket);
    });
    onwards.on("error", () => socket.destroy());
    socket.on("close", () => onwards.destroy());
  });
  return `http://127.0.0.1:${await listen(proxy)}`;
}
