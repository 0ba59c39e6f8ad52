import { afterAll, beforeAll, expect, test } from "vitest";
import { idleRecording, IdleSessions, turnTimes } from "../../src/bench/idle-sessions.ts";
import { measureRun } from "../../src/bench/measure-run.ts";
import type { Target } from "../../src/bench/target.ts";
import { answerOf, Upstream } from "../../src/bench/upstream.ts";
import { generate } from "../../src/bench/generate.ts";
import { type RunningServer, startServer } from "../../src/server.ts";

let upstream: Upstream;
let server: RunningServer;
let target: Target;

beforeAll(async () => {
  upstream = await Upstream.start({ cacheTokens: 1_000_000 });
  server = await startServer({
    port: 0,
    backend: upstream.url,
    logLevel: "silent",
    store: "memory:",
    maxConnections: 3,
  });
  target = { name: "turnwire", url: server.url, key: null, pid: null };
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

function open(sessions: number): Promise<IdleSessions> {
  const recording = idleRecording(2000);
  const answers = recording.turns.map(({ output }) => answerOf(output, 8));
  return IdleSessions.open(target, upstream, { recording, answers, sessions, compress: false });
}

test("idle sessions go on from where they are, and make room when they leave", async () => {
  for (let wave = 0; wave < 3; wave += 1) {
    const idle = await open(3);
    expect(idle.count).toBe(3);
    expect(await turnTimes(idle, 7, wave)).toHaveLength(7);
    await idle.close();
  }
});

test("sessions that cannot all be opened leave none open", async () => {
  await expect(open(4)).rejects.toThrow("turnwire takes no WebSocket");
  const idle = await open(3);
  await idle.close();
});

test("no run is given the prefixes of another", async () => {
  const recording = generate("service", 5, 4);
  const answers = recording.turns.map(({ output }) => answerOf(output, 8));
  const cached: number[] = [];
  for (const mode of ["full", "websocket", "direct"] as const) {
    const to = mode === "direct" ? { ...target, url: upstream.url } : target;
    const run = await measureRun(to, mode, upstream, { recording, answers, link: null, compress: false });
    expect(run.promptTokens).toBeGreaterThan(run.cachedTokens);
    cached.push(run.cachedTokens);
  }
  expect(new Set(cached).size).toBe(1);
});
