import { describe, expect, test } from "vitest";
import type { WebSocket } from "ws";
import { checkUpgrade, describeDeflate } from "../../src/doctor/checks/upgrade.ts";
import { accepting, apiError, type Broken, brokenServer, json, refusing, visitTo } from "./broken-server.ts";

async function upgradeOf(broken: Broken) {
  return checkUpgrade(visitTo(await brokenServer(broken)));
}

function refusal(code: string, message = "No.") {
  return JSON.stringify(apiError(code, message));
}

describe("the upgrade", () => {
  test("that is accepted is fine", async () => {
    const { findings, isOpen } = await upgradeOf({ onUpgrade: accepting() });
    expect(isOpen).toBe(true);
    expect(findings.map(({ check, level }) => [check, level])).toEqual([
      ["upgrade", "ok"],
      ["deflate", "ok"],
    ]);
  });

  test.each([
    [426, refusal("websocket_disabled"), {}, "--websocket on"],
    [426, "", {}, "headers of the upgrade got lost"],
    [405, refusal("method_not_allowed"), {}, "headers of the upgrade got lost"],
    [404, refusal("not_found"), {}, "no WebSocket at this path"],
    [404, "", { server: "nginx" }, "has to send /v1/responses to the server"],
    [403, refusal("origin_not_allowed"), {}, "--allow-origin"],
    [403, refusal("host_not_allowed"), {}, "--allowed-hosts"],
    [403, "", {}, "Something in front forbids it"],
    [401, refusal("invalid_api_key"), {}, "drops Authorization"],
    [301, "", { location: "https://other.example.com/" }, "https://other.example.com/"],
    [502, "", { server: "nginx" }, "proxy_pass"],
    [503, refusal("too_many_connections"), {}, "--max-connections"],
    [503, "<html><body><h1>503 Service Unavailable</h1>\nNo.</body></html>", {}, "HAProxy"],
    [418, "", {}, "x-request-id"],
  ])("that is answered with %i %s %j is explained", async (status, body, headers, advice) => {
    const { findings, isOpen } = await upgradeOf({ onUpgrade: refusing(status, body, headers) });
    expect(isOpen).toBe(false);
    expect(findings).toMatchObject([{ check: "upgrade", level: "problem", data: { status } }]);
    expect(findings[0]?.advice).toContain(advice);
  });

  test("whose headers got lost reaches the server as a plain GET", async () => {
    const onRequest = json(405, apiError("method_not_allowed", "Method GET is not allowed here."), {
      server: "nginx/1.22",
    });
    const { findings } = await upgradeOf({ onRequest });
    expect(findings[0]).toMatchObject({ level: "problem" });
    expect(findings[0]?.advice).toContain("proxy_set_header Upgrade $http_upgrade");
  });

  test("that is cut is a problem", async () => {
    const { findings } = await upgradeOf({ onUpgrade: (_request, stream) => stream.destroy() });
    expect(findings[0]).toMatchObject({ level: "problem" });
    expect(findings[0]?.text).toContain("the upgrade fails");
  });

  test("that has no answer is a problem", async () => {
    const url = await brokenServer({ onUpgrade: () => {} });
    const { findings } = await checkUpgrade(visitTo(url, { timeoutMs: 100 }));
    expect(findings[0]).toMatchObject({ level: "problem" });
    expect(findings[0]?.text).toContain("timed out");
  });

  test("that is answered with a subprotocol nobody asked for is a problem", async () => {
    const onUpgrade = accepting(() => {}, { handleProtocols: () => "realtime" });
    const { findings } = await upgradeOf({
      onUpgrade: (request, stream, head) => {
        request.headers["sec-websocket-protocol"] ??= "realtime";
        onUpgrade(request, stream, head);
      },
    });
    expect(findings[0]).toMatchObject({ level: "problem" });
    expect(findings[0]?.advice).toContain("names a subprotocol that was not asked for");
  });

  test("that fails over a subprotocol nobody knows is a warning", async () => {
    const onUpgrade = accepting();
    const { findings } = await upgradeOf({
      onUpgrade: (request, stream, head) =>
        request.headers["sec-websocket-protocol"] === undefined
          ? onUpgrade(request, stream, head)
          : refusing(400)(request, stream),
    });
    expect(findings).toMatchObject([{ level: "ok" }, { check: "upgrade", level: "warning" }, { check: "deflate" }]);
  });

  test.each([
    ["closes", (socket: WebSocket) => socket.close(1008), "closed at once (1008)", "refuse the upgrade"],
    ["cuts", (socket: WebSocket) => socket.terminate(), "closed at once (1006)", "cuts the connection"],
  ])("that is accepted by one who then %s it is a problem", async (_what, onSocket, text, advice) => {
    const { findings } = await upgradeOf({ onUpgrade: accepting(onSocket) });
    expect(findings[0]).toMatchObject({ check: "upgrade", level: "problem" });
    expect(findings[0]?.text).toContain(text);
    expect(findings[0]?.advice).toContain(advice);
  });

  test("behind which nobody reads frames is a problem", async () => {
    const url = await brokenServer({ onUpgrade: accepting((socket) => socket.pause(), { autoPong: false }) });
    const { findings } = await checkUpgrade(visitTo(url, { timeoutMs: 100 }));
    expect(findings[0]).toMatchObject({ level: "problem" });
    expect(findings[0]?.text).toContain("a ping has no answer");
  });
});

describe("compression", () => {
  test("that is agreed on is fine", async () => {
    const { findings } = await upgradeOf({ onUpgrade: accepting(() => {}, { perMessageDeflate: true }) });
    expect(findings[1]).toMatchObject({ check: "deflate", level: "ok" });
    expect(findings[1]?.text).toContain("32 kB");
  });

  test("that forgets between messages is a warning", async () => {
    const perMessageDeflate = { clientNoContextTakeover: true };
    const { findings } = await upgradeOf({ onUpgrade: accepting(() => {}, { perMessageDeflate }) });
    expect(findings[1]).toMatchObject({ check: "deflate", level: "warning" });
  });

  test("that is refused as if it were a mistake is a problem", async () => {
    const onUpgrade = accepting();
    const { findings } = await upgradeOf({
      onUpgrade: (request, stream, head) =>
        request.headers["sec-websocket-extensions"] === undefined
          ? onUpgrade(request, stream, head)
          : refusing(400)(request, stream),
    });
    expect(findings[1]).toMatchObject({ check: "deflate", level: "problem" });
  });

  test("that is declined is a warning across a network", () => {
    expect(describeDeflate("", false)).toMatchObject({ level: "warning" });
    expect(describeDeflate("", true)).toMatchObject({ level: "ok" });
  });
});
