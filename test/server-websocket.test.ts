import { expect, onTestFinished, test } from "vitest";
import { startServer } from "../src/server.ts";
import type { Config } from "../src/settings.ts";
import { finish, Gate, ScriptedBackend, type Step } from "../src/testing/index.ts";
import { rawUpgrade } from "./support/raw-upgrade.ts";
import { stopTime } from "./support/time.ts";
import { WsClient, type WsClientOptions } from "./support/ws-client.ts";

/** Each WebSocket setting, as far as the connection that it is about. */

const PATH = "/v1/responses";

async function start(settings: Partial<Config>, steps: Iterable<Step> = []) {
  const backend = new ScriptedBackend(steps);
  const server = await startServer(
    { port: 0, logLevel: "silent", store: "memory:", maxLoopDelayMs: 0, ...settings },
    { backend },
  );
  onTestFinished(() => server.close());
  const connect = (options: WsClientOptions = {}): Promise<WsClient> =>
    WsClient.open(`${server.url.replace("http", "ws")}${PATH}`, options);
  return { server, connect };
}

test("websocket: off declines upgrades", async () => {
  const { server } = await start({ websocket: "off" });
  expect((await rawUpgrade(server.url, PATH)).status).toBe(426);
});

test("allowOrigins lets web pages in", async () => {
  const { server } = await start({ allowOrigins: ["https://app.example.com"] });
  expect((await rawUpgrade(server.url, PATH, { origin: "https://app.example.com" })).status).toBe(101);
  expect((await rawUpgrade(server.url, PATH, { origin: "https://evil.example" })).status).toBe(403);
});

test("connectionMinutes ends connections", async () => {
  const time = stopTime();
  const { connect } = await start({ connectionMinutes: 2, pingSeconds: 0 });
  const client = await connect();
  time.pass(2 * 60_000);
  client.create({ input: "x" });
  expect((await client.frame()).error?.message).toContain("(2 minutes)");
});

test("pingSeconds is the time between pings", async () => {
  const time = stopTime();
  const { connect } = await start({ pingSeconds: 5 });
  const client = await connect();
  const pinged = new Promise((resolve) => client.socket.once("ping", resolve));
  time.pass(5000);
  await pinged;
});

test("keepalive and keepaliveSeconds break silences", async () => {
  const time = stopTime();
  const gate = new Gate();
  const { connect } = await start({ keepalive: "on", keepaliveSeconds: 7, acceptTimeout: 0 }, [[gate, finish()]]);
  const client = await connect();
  client.create({ input: "x" });
  await gate.reached;
  time.pass(7000);
  expect([await client.frame(), await client.frame(), await client.frame()][2]?.type).toBe("keepalive");
  gate.open();
  await client.rest();
});

test("deflate and maxDeflateConnections say who compresses", async () => {
  const { connect } = await start({ deflate: "on", maxDeflateConnections: 1 });
  expect((await connect({ deflate: true })).socket.extensions).toBe("permessage-deflate");
  expect((await connect({ deflate: true })).socket.extensions).toBe("");
});

test("maxConnections and maxConnectionsPerTenant bound the connections", async () => {
  for (const settings of [{ maxConnections: 1 }, { maxConnectionsPerTenant: 1 }]) {
    const { server, connect } = await start(settings);
    await connect();
    expect((await rawUpgrade(server.url, PATH)).status).toBe(503);
  }
});

test("maxLanes, maxTurnsInFlight and maxQueuedTurns bound the turns of a connection", async () => {
  const gate = new Gate();
  const { connect } = await start({ maxLanes: 1, maxTurnsInFlight: 1, maxQueuedTurns: 1 }, [
    [gate, finish()],
    [finish()],
  ]);
  const client = await connect();
  client.create({ input: "runs", stream_id: "a" });
  await gate.reached;
  client.create({ input: "is one lane too many", stream_id: "b" });
  client.create({ input: "waits, since only one may run" });
  client.create({ input: "is one too many to wait" });
  const frames = [await client.frame(), await client.frame(), await client.frame(), await client.frame()];
  const codes = frames.flatMap((frame) => frame.error?.code ?? []);
  expect(codes).toEqual(["websocket_stream_limit_reached", "too_many_queued_turns"]);
  gate.open();
  expect((await client.rest()).last).toMatchObject({ type: "response.completed", stream_id: "a" });
  expect((await client.rest()).last.type).toBe("response.completed");
});
