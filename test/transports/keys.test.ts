import { describe, expect, test } from "vitest";
import { KeyBook } from "../../src/keys/key-book.ts";
import type { StoredKey } from "../../src/keys/key-record.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { answer, finish, Gate, type Step } from "../../src/testing/index.ts";
import { addKey } from "../keys/stored-key.ts";
import { rawUpgrade } from "../support/raw-upgrade.ts";
import { MODEL, startServer, type TestServerOptions } from "../support/server.ts";

const usage = (total_tokens: number) => ({
  input_tokens: total_tokens - 1,
  input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
  output_tokens: 1,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens,
});
const using = (tokens: number): Step => [
  [
    { type: "text.delta", delta: "x" },
    { type: "usage", usage: usage(tokens) },
    { type: "finish", reason: "stop" },
  ],
];

/** A server with one stored key. */
async function start(terms: Partial<StoredKey> = {}, options: TestServerOptions = {}) {
  const server = await startServer(options);
  const { id, secret: key } = await addKey(server.store.records, terms);
  const book = new KeyBook(server.store.records);
  return { server, key, revoke: () => book.revoke(id) };
}

const LIMITED = {
  type: "error",
  status: 429,
  error: { type: "rate_limit_error", code: "rate_limit_exceeded", param: null },
};

describe("a revoked key", () => {
  test("gets 401 for its next turn, and the connection is closed behind that with 1008", async () => {
    const { server, key, revoke } = await start({}, { steps: [answer("one")] });
    const client = await server.connect({ key });
    const { response } = await client.turn({ input: "a", store: false });
    await revoke();
    client.create({ input: "b", previous_response_id: response.id, store: false });
    client.create({ input: "c" });
    expect((await client.rest()).last).toMatchObject({ status: 401, error: { code: "invalid_api_key" } });
    expect((await client.rest()).last.status).toBe(401);
    expect(await client.closed()).toEqual({ code: 1008, reason: "the API key is not valid any more" });
    expect(server.backend.calls).toHaveLength(1);
  });

  test("lets what runs come to its end before the connection is closed", async () => {
    const gate = new Gate();
    const { server, key, revoke } = await start(
      {},
      { steps: [[[{ type: "text.delta", delta: "x" }], gate, finish()]] },
    );
    const client = await server.connect({ key });
    client.create({ input: "a", stream_id: "one" });
    while ((await client.frame()).type !== "response.output_text.delta");
    await revoke();
    client.create({ input: "b", stream_id: "two" });
    expect(await client.frame()).toMatchObject({ type: "error", status: 401, stream_id: "two" });
    gate.open();
    expect((await client.rest()).last).toMatchObject({ type: "response.completed", stream_id: "one" });
    expect((await client.closed()).code).toBe(1008);
  });

  test("is 401 over HTTP and for upgrades", async () => {
    const { server, key, revoke } = await start({}, { steps: [answer("one")] });
    expect((await server.http(key).create({ input: "a" })).status).toBe(200);
    await revoke();
    expect((await server.http(key).create({ input: "a" })).status).toBe(401);
    expect((await server.http(key).create({ input: "a", stream: true })).status).toBe(401);
    expect((await server.http(key).call("/v1/models")).status).toBe(401);
    expect((await rawUpgrade(server.url, "/v1/responses", { authorization: `Bearer ${key}` })).status).toBe(401);
  });

  test("does not open the server to everybody when it was the last one", async () => {
    const { server, key, revoke } = await start({}, { steps: [answer("one")] });
    expect((await server.http(key).create({ input: "a" })).status).toBe(200);
    await revoke();
    expect((await server.http().create({ input: "a" })).status).toBe(401);
  });
});

test("a server whose store has a key demands one, without any in its configuration", async () => {
  const { server, key } = await start({}, { steps: [answer("one")] });
  expect((await server.http().create({ input: "a" })).status).toBe(401);
  expect((await rawUpgrade(server.url, "/v1/responses")).status).toBe(401);
  expect((await server.http(key).create({ input: "a" })).status).toBe(200);
});

describe("the models of a key", () => {
  const models = { steps: [answer("one"), answer("two")] };

  test("are asked for by each turn, and not by the connection", async () => {
    const { server, key } = await start({ models: ["scrip*"] }, models);
    const client = await server.connect({ key });
    expect((await client.turn({ input: "a" })).last.type).toBe("response.completed");
    const { last } = await client.turn({ input: "a", model: "gpt-5" });
    expect(last).toMatchObject({ status: 400, error: { code: "model_not_found", param: "model" } });
    expect((await client.turn({ input: "a" })).last.type).toBe("response.completed");
    for (const path of ["/v1/responses", "/v1/responses/input_tokens"]) {
      const body = JSON.stringify({ input: "a", model: "gpt-5" });
      const headers = { "content-type": "application/json" };
      const { status, json } = await server.http(key).call(path, { method: "POST", headers, body });
      expect([path, status, json.error?.code]).toEqual([path, 400, "model_not_found"]);
    }
  });

  test("are the ones that are listed, and others cannot be told from those that are not there", async () => {
    const { server, key } = await start({ models: ["gpt-*"] }, models);
    const http = server.http(key);
    expect(JSON.parse((await http.call("/v1/models")).text)).toEqual({ object: "list", data: [] });
    const [hidden, unknown] = [await http.call("/v1/models/scripted"), await http.call("/v1/models/gpt-unknown")];
    expect([hidden.status, unknown.status]).toEqual([404, 404]);
    const refused = await http.create({ input: "a" });
    const missing = await http.create({ input: "a", model: "gpt-unknown" });
    expect([refused.status, missing.status]).toEqual([400, 400]);
    expect(refused.text.replace("scripted", "…")).toBe(missing.text.replace("gpt-unknown", "…"));
  });
});

describe("a key that has begun as many turns as it may", () => {
  test("is told when to come back, in both places of the frame, on its lane", async () => {
    const { server, key } = await start({ turnsPerMinute: 2 }, { steps: [answer("one"), answer("two")] });
    const client = await server.connect({ key });
    await client.turn({ input: "a" });
    await client.turn({ input: "b" });
    const { last } = await client.turn({ input: "c", stream_id: "lane" });
    const headers = { "retry-after": "30" };
    expect(last).toMatchObject({ ...LIMITED, stream_id: "lane", headers, error: { ...LIMITED.error, headers } });
  });

  test("gets 429 and retry-after over HTTP, also with stream: true", async () => {
    const { server, key } = await start({ turnsPerMinute: 1 }, { steps: [answer("one")] });
    expect((await server.http(key).create({ input: "a" })).status).toBe(200);
    for (const stream of [false, true]) {
      const { status, headers, json } = await server.http(key).create({ input: "a", stream });
      expect([status, headers["retry-after"], json.error?.code]).toEqual([429, "60", "rate_limit_exceeded"]);
    }
  });

  test("has lost nothing: the same turn continues when there is room again", async () => {
    const { server, key } = await start({ turnsPerMinute: 1 }, { steps: [answer("one"), answer("two")] });
    const client = await server.connect({ key });
    const { response } = await client.turn({ input: "a", store: false });
    const next = { input: "b", previous_response_id: response.id, store: false };
    expect((await client.turn(next)).last).toMatchObject(LIMITED);
    expect((await client.turn(next)).last).toMatchObject(LIMITED);
    server.runtime.advance(60_000);
    expect((await client.turn(next)).last.type).toBe("response.completed");
  });

  test.each([
    ["in the background", { background: true }, {}],
    ["with an idempotency key", {}, { "idempotency-key": "once" }],
  ])("is refused %s as well, and may come again", async (_how, fields, more) => {
    const { server, key } = await start({ turnsPerMinute: 1 }, { steps: [answer("one"), answer("two")] });
    const ask = () =>
      server.http(key).call("/v1/responses", {
        method: "POST",
        headers: { "content-type": "application/json", ...more },
        body: JSON.stringify({ model: MODEL, input: "a", ...fields }),
      });
    expect((await server.http(key).create({ input: "a" })).status).toBe(200);
    const { status, headers } = await ask();
    expect([status, headers["retry-after"]]).toEqual([429, "60"]);
    server.runtime.advance(60_000);
    expect((await ask()).status).toBe(200);
  });

  test("leaves no conversation locked that it was refused in", async () => {
    const { server, key } = await start({ turnsPerMinute: 1 }, { steps: [answer("one"), answer("two")] });
    const { id } = (await server.http(key).post("/v1/conversations", {})).json;
    const client = await server.connect({ key });
    const turn = { input: "a", conversation: id };
    expect((await client.turn(turn)).last.type).toBe("response.completed");
    expect((await client.turn(turn)).last).toMatchObject(LIMITED);
    expect((await client.turn(turn)).last).toMatchObject(LIMITED);
    server.runtime.advance(60_000);
    expect((await client.turn(turn)).last.type).toBe("response.completed");
  });

  test("does not keep another key of the same tenant from its own", async () => {
    const { server, key } = await start({ turnsPerMinute: 1 }, { steps: [answer("one"), answer("two")] });
    const { secret: other } = await addKey(server.store.records, { turnsPerMinute: 1 });
    expect((await server.http(key).create({ input: "a" })).status).toBe(200);
    expect((await server.http(key).create({ input: "a" })).status).toBe(429);
    expect((await server.http(other).create({ input: "a" })).status).toBe(200);
  });
});

describe("the tokens of a key", () => {
  test("are those that the model counts, and make later turns wait", async () => {
    const { server, key } = await start({ tokensPerMinute: 1000 }, { steps: [using(900), using(600), answer("x")] });
    const client = await server.connect({ key });
    const { response } = await client.turn({ input: "a", store: false });
    const second = await client.turn({ input: "b", previous_response_id: response.id, store: false });
    const third = { input: "c", previous_response_id: second.response.id, store: false };
    const { last } = await client.turn(third);
    expect(last).toMatchObject({ ...LIMITED, headers: { "retry-after": "31" } });
    server.runtime.advance(31_000);
    expect((await client.turn(third)).last.type).toBe("response.completed");
  });

  test("are estimated when the client has left before they were counted", async () => {
    const { server, key } = await start(
      { tokensPerMinute: 10 },
      { steps: [[[{ type: "text.delta", delta: "x" }], new Gate()]] },
    );
    const client = await server.connect({ key });
    client.create({ input: "a".repeat(4000) });
    while ((await client.frame()).type !== "response.output_text.delta");
    await client.leave();
    while (!server.events.some(({ kind }) => kind === "turn.ended")) await new Promise(setImmediate);
    const { status, headers } = await server.http(key).create({ input: "b" });
    expect(status).toBe(429);
    expect(Number(headers["retry-after"])).toBeGreaterThan(990 * 6);
  });
});

test("a key has as many WebSocket connections as it may; the next upgrade gets 429 and the time to come back", async () => {
  const { server, key } = await start({ connections: 1 }, { steps: [answer("one")] });
  const client = await server.connect({ key });
  const headers = { authorization: `Bearer ${key}` };
  const refused = await rawUpgrade(server.url, "/v1/responses", headers);
  expect(refused.status).toBe(429);
  expect(refused.headers["retry-after"]).toBe("5");
  expect(refused.json).toMatchObject({ error: { code: "rate_limit_exceeded" } });
  expect((await server.http(key).create({ input: "a" })).status).toBe(200);
  await client.leave();
  await server.connect({ key });
});

test("when the store cannot be read, nobody with a stored key is let in and no turn begins", async () => {
  const store = new MemoryStore({ budgetBytes: 1 << 20 });
  const { server, key } = await start({}, { store, steps: [answer("one")] });
  const client = await server.connect({ key });
  store.records.get = () => Promise.reject(new Error("the disk is gone"));
  const { last } = await client.turn({ input: "a", store: false });
  expect(last).toMatchObject({ status: 500, error: { code: "server_error" } });
  expect((await server.http(key).create({ input: "a" })).status).toBe(500);
  const upgrade = await rawUpgrade(server.url, "/v1/responses", { authorization: `Bearer ${key}` });
  expect(upgrade.status).toBe(500);
  expect(JSON.stringify([last, upgrade.json])).not.toContain("disk");
  expect(server.backend.calls).toEqual([]);
});

test("connections that are opened at the same moment are no more than there may be", async () => {
  const { server, key } = await start({ connections: 2 });
  const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => server.connect({ key })));
  expect(attempts.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
});
