import { describe, expect, test } from "vitest";
import type { WebSocket } from "ws";
import { checkIdle, describeIdle } from "../../src/doctor/checks/idle.ts";
import { accepting, brokenServer, visitTo } from "./broken-server.ts";

/** Cuts connections on which for a while there was nothing of what it takes for traffic. */
function cutting(...traffic: readonly ("ping" | "message")[]) {
  return accepting((socket: WebSocket) => {
    let timer = setTimeout(() => socket.terminate(), 100);
    for (const event of traffic) {
      socket.on(event, () => {
        clearTimeout(timer);
        timer = setTimeout(() => socket.terminate(), 100);
      });
    }
    socket.on("close", () => clearTimeout(timer));
  });
}

async function idleOf(onUpgrade: ReturnType<typeof accepting>) {
  return checkIdle(visitTo(await brokenServer({ onUpgrade }), { idleMs: 240 }));
}

describe("idle connections", () => {
  test("that nobody cuts are fine", async () => {
    const finding = await idleOf(accepting());
    expect(finding).toMatchObject({ check: "idle", level: "ok" });
    expect(finding.text).toContain("--idle 90");
  });

  test("that are cut whatever is sent on them are a problem of age", async () => {
    const finding = await idleOf(cutting());
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding.advice).toContain("It is not idleness");
  });

  test("cannot be watched where no connection is accepted any more", async () => {
    expect(await checkIdle(visitTo(await brokenServer({})))).toMatchObject({ check: "idle", level: "skipped" });
  });
});

describe("what became of the three connections means", () => {
  const measured = { idleMs: 90_000, serverPings: 0, headers: {} };

  test("nothing when all are open, and pings of the server are counted", () => {
    const finding = describeIdle({ silent: null, pings: null, messages: null }, { ...measured, serverPings: 3 });
    expect(finding).toMatchObject({
      level: "ok",
      text: "idle connections stay open for 90 s; the server sent 3 pings meanwhile",
    });
  });

  test("that pings help when only the silent one was cut", () => {
    const finding = describeIdle({ silent: 60_100, pings: null, messages: null }, measured);
    expect(finding).toMatchObject({ level: "warning", text: "a connection that is silent for 60 s is cut" });
    expect(finding.advice).toContain("--ping-seconds below 60");
    expect(finding.advice).toContain("proxy_read_timeout");
  });

  test("that only messages help when the one with pings was cut too", () => {
    const finding = describeIdle({ silent: 60_100, pings: 60_200, messages: null }, measured);
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding.text).toContain("in spite of pings");
    expect(finding.advice).toContain("--keepalive on --keepalive-seconds 60");
  });

  test("a limit of age when none is left", () => {
    expect(describeIdle({ silent: 60_000, pings: 60_100, messages: 60_050 }, measured)).toMatchObject({
      level: "problem",
      text: "connections are cut after 60 s, whatever is sent on them",
    });
  });
});
