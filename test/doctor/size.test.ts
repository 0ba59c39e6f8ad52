import { describe, expect, test } from "vitest";
import type { WebSocket } from "ws";
import { checkBody, checkMessage, measure } from "../../src/doctor/checks/size.ts";
import { accepting, apiError, brokenServer, json, visitTo } from "./broken-server.ts";

const MiB = 2 ** 20;

describe("the search", () => {
  test.each([0, 1000, 70_000, MiB, 5 * MiB, 16 * MiB - 1])(
    "finds a limit of %i bytes within a tenth",
    async (limit) => {
      const tried: number[] = [];
      const { passed, failed } = await measure(16 * MiB, async (bytes) => {
        tried.push(bytes);
        return { passed: bytes <= limit, why: "too large" };
      });
      expect(tried.length).toBeLessThanOrEqual(16);
      expect(passed).toBeLessThanOrEqual(limit);
      expect(failed?.bytes).toBeGreaterThan(limit);
      expect(failed?.bytes).toBeLessThanOrEqual(Math.max(passed, 1024) * 1.1 + 1);
    },
  );

  test("does not go beyond the largest size", async () => {
    const tried: number[] = [];
    const measured = await measure(16 * MiB, async (bytes) => {
      tried.push(bytes);
      return { passed: true, why: "" };
    });
    expect(measured).toEqual({ passed: 16 * MiB, failed: null });
    expect(Math.max(...tried)).toBe(16 * MiB);
  });
});

describe("messages over WebSocket", () => {
  test("that all pass are fine", async () => {
    const onUpgrade = accepting((socket) => socket.on("message", () => socket.send('{"type":"error"}')));
    const finding = await checkMessage(visitTo(await brokenServer({ onUpgrade }), { largestBytes: 2 * MiB }));
    expect(finding).toMatchObject({ check: "message", level: "ok", data: { bytes: 2 * MiB } });
  });

  test.each([
    ["ignores", () => {}],
    ["hangs up on", (socket: WebSocket) => socket.close(1008, "what is that?")],
  ])("pass where the server %s what it does not know", async (_what, answer) => {
    const onUpgrade = accepting((socket) => socket.on("message", () => answer(socket)));
    const finding = await checkMessage(visitTo(await brokenServer({ onUpgrade })));
    expect(finding).toMatchObject({ check: "message", level: "ok", data: { bytes: MiB } });
  });

  test("that the server refuses are a matter of its setting", async () => {
    const onUpgrade = accepting((socket) => socket.on("message", () => socket.send("{}")), { maxPayload: 100_000 });
    const finding = await checkMessage(visitTo(await brokenServer({ onUpgrade })));
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding.text).toContain("1009");
    expect(finding.advice).toContain("--max-message-bytes");
  });

  test("that are cut on the way are a matter of the way", async () => {
    const onUpgrade = accepting((socket) =>
      socket.on("message", (data) => ((data as Buffer).length > 3 * MiB ? socket.terminate() : socket.send("{}"))),
    );
    const finding = await checkMessage(visitTo(await brokenServer({ onUpgrade }), { largestBytes: 4 * MiB }));
    expect(finding).toMatchObject({ level: "warning" });
    expect(finding.text).toContain("1006");
    expect(finding.advice).toContain("Something on the way cuts long messages");
  });
});

describe("HTTP bodies", () => {
  test("that all pass are fine", async () => {
    const onRequest = json(400, apiError("missing_required_parameter", "model"));
    const finding = await checkBody(visitTo(await brokenServer({ onRequest })));
    expect(finding).toMatchObject({ check: "body", level: "ok", data: { bytes: MiB } });
  });

  test.each([
    [{ server: "nginx/1.22.1" }, "client_max_body_size"],
    [{ server: "Caddy" }, "request_body max_size"],
  ])("that a proxy refuses are a matter of the proxy: %j", async (headers, advice) => {
    const url = await brokenServer({
      onRequest: (request, response) => {
        request.resume();
        const isLarge = Number(request.headers["content-length"]) > 200_000;
        if (isLarge) request.on("end", () => response.writeHead(413, headers).end("<html>"));
        else json(400, apiError("invalid_value", "model"))(request, response);
      },
    });
    const finding = await checkBody(visitTo(url));
    expect(finding).toMatchObject({ check: "body", level: "problem" });
    expect(finding.text).toContain("fail with 413 by");
    expect(finding.advice).toContain(advice);
  });
});
