import { describe, expect, test } from "vitest";
import { answer, Gate, type Move } from "../../src/testing/index.ts";
import { type Load, LoopLoad, Overload } from "../../src/transports/load.ts";
import { rawUpgrade } from "../support/raw-upgrade.ts";
import { startServer, until } from "../support/server.ts";

/** A load that a test sets. */
class FakeLoad implements Load {
  isOverloaded = false;
  isClosed = false;

  close(): void {
    this.isClosed = true;
  }
}

function after(...delays: readonly number[]): boolean {
  const overload = new Overload(500);
  for (const delay of delays) overload.sample(delay);
  return overload.isOverloaded;
}

describe("overload", () => {
  test("begins with three delays in a row beyond the limit, and not with one", () => {
    expect(after()).toBe(false);
    expect(after(499, 500, 500)).toBe(false);
    expect(after(10_000)).toBe(false);
    expect(after(501, 501, 10, 501, 501)).toBe(false);
    expect(after(501, 501, 501)).toBe(true);
  });

  test("ends after three delays in a row below half of the limit", () => {
    const begun = [501, 501, 501];
    expect(after(...begun, 10, 10)).toBe(true);
    expect(after(...begun, 10, 10, 10)).toBe(false);
    expect(after(...begun, 10, 10, 400, 10, 10)).toBe(true);
    expect(after(...begun, 10, 10, 400, 10, 10, 10)).toBe(false);
  });

  test("does not come and go around the limit", () => {
    expect(after(501, 501, 501, 499, 499, 499, 499)).toBe(true);
    expect(after(501, 501, 501, 10, 10, 10, 501, 501)).toBe(false);
  });

  test("never begins without a limit", () => {
    const overload = new Overload(0);
    for (let sample = 0; sample < 9; sample += 1) overload.sample(1e9);
    expect(overload.isOverloaded).toBe(false);
  });
});

test("an event loop that is kept busy is noticed", async () => {
  const load = new LoopLoad({ maxLoopDelayMs: 20 }, 50);
  await until(() => {
    const start = performance.now();
    while (performance.now() - start < 150);
    return load.isOverloaded;
  });
  load.close();
});

describe("a server that is overloaded", () => {
  const REFUSED = {
    type: "error",
    status: 429,
    error: { type: "rate_limit_error", code: "server_overloaded", param: null, headers: { "retry-after": "2" } },
    headers: { "retry-after": "2" },
  };

  test("refuses new turns on their lane, and lets go on what runs", async () => {
    const load = new FakeLoad();
    const gate = new Gate();
    const server = await startServer({ load, steps: [[gate, ...(answer("done") as Move[])]] });
    const client = await server.connect();
    client.create({ input: "x" });
    await gate.reached;
    load.isOverloaded = true;
    client.create({ input: "y", stream_id: "two" });
    const frames = [await client.frame(), await client.frame(), await client.frame()];
    expect(frames[2]).toMatchObject({ ...REFUSED, stream_id: "two" });
    gate.open();
    expect((await client.rest()).last.type).toBe("response.completed");
  });

  test("forgets nothing: the same turn runs when it is better", async () => {
    const load = new FakeLoad();
    const server = await startServer({ load, steps: [answer("one"), answer("two")] });
    const client = await server.connect();
    const { response } = await client.turn({ input: "a", store: false });
    const next = { input: "b", previous_response_id: response.id, store: false };
    load.isOverloaded = true;
    expect((await client.turn(next)).last).toMatchObject(REFUSED);
    load.isOverloaded = false;
    expect((await client.turn(next)).last.type).toBe("response.completed");
  });

  test("closes the connection of a client that only asks again, with 1013, when all is answered", async () => {
    const load = new FakeLoad();
    const server = await startServer({ load, transportLimits: { shedTurnsInARow: 3 }, steps: [answer("Hi")] });
    const client = await server.connect();
    load.isOverloaded = true;
    for (let index = 0; index < 2; index += 1) expect((await client.turn({ input: "x" })).last.status).toBe(429);
    load.isOverloaded = false;
    expect((await client.turn({ input: "x" })).last.type).toBe("response.completed");
    load.isOverloaded = true;
    for (let index = 0; index < 5; index += 1) client.create({ input: "x" });
    for (let index = 0; index < 3; index += 1) expect((await client.rest()).last.status).toBe(429);
    expect(await client.closed()).toEqual({ code: 1013, reason: "server is overloaded" });
    expect(client.unread).toEqual([]);
  });

  test("answers new turns over HTTP with 429 before it reads them, and all else as ever", async () => {
    const load = new FakeLoad();
    const server = await startServer({ load, steps: [answer("Hi")] });
    load.isOverloaded = true;
    const { status, headers, json } = await server.http().create({ input: "x".repeat(1_000_000) });
    expect(status).toBe(429);
    expect(headers["retry-after"]).toBe("2");
    expect(json.error?.code).toBe("server_overloaded");
    expect((await server.http().call("/v1/models")).status).toBe(200);
    expect((await server.http().call("/healthz")).status).toBe(200);
    load.isOverloaded = false;
    expect((await server.http().create({ input: "x" })).status).toBe(200);
  });

  test("answers upgrades with 503, and the time to come back", async () => {
    const load = new FakeLoad();
    const server = await startServer({ load });
    load.isOverloaded = true;
    const { status, headers, json } = await rawUpgrade(server.url, "/v1/responses");
    expect(status).toBe(503);
    expect(headers["retry-after"]).toBe("2");
    expect(json).toMatchObject({ error: { code: "too_many_connections" } });
  });

  test("stops watching when it closes", async () => {
    const load = new FakeLoad();
    const server = await startServer({ load });
    await server.listener.close();
    expect(load.isClosed).toBe(true);
  });
});
