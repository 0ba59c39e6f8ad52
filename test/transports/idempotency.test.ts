import { describe, expect, test } from "vitest";
import { LEASE_MS } from "../../src/core/run-records.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { answer, finish, Gate, type Step } from "../../src/testing/index.ts";
import { startServer, type TestServer, until } from "../support/server.ts";

const headers = { "idempotency-key": "key-1" };
const create = (server: TestServer, fields: object = {}) =>
  server.http().create({ input: "a", ...fields }, { headers });
const stream = (server: TestServer, fields: object = {}) =>
  server.http().stream({ input: "a", ...fields }, { headers });

function held(): { readonly gate: Gate; readonly step: Step } {
  const gate = new Gate();
  return {
    gate,
    step: [[{ type: "text.delta", delta: "Hel" }], gate, [{ type: "text.delta", delta: "lo" }], finish()],
  };
}

describe.each([true, false])("a request that comes again with its idempotency key (store: %s)", (store) => {
  test("gets the answer of the first, and its model is asked once", async () => {
    const server = await startServer({ steps: [answer("one")] });
    const first = await create(server, { store });
    expect(first.json).toMatchObject({ status: "completed", background: false });
    const second = await create(server, { store });
    expect([second.status, second.text]).toEqual([first.status, first.text]);
    expect(server.backend.calls).toHaveLength(1);
  });

  test("streams the whole of it again", async () => {
    const server = await startServer({ steps: [answer("one")] });
    const first = await stream(server, { store });
    expect((await stream(server, { store })).text).toBe(first.text);
  });

  test("joins the first while that runs, also when whoever sent it has gone", async () => {
    const { gate, step } = held();
    const server = await startServer({ steps: [step] });
    const leaving = new AbortController();
    const body = { input: "a", store };
    const first = server
      .http()
      .create(body, { headers, signal: leaving.signal })
      .catch(() => "gone");
    await gate.reached;
    leaving.abort();
    expect(await first).toBe("gone");
    const others = [create(server, { store }), create(server, { store })];
    gate.open();
    const [second, third] = await Promise.all(others);
    expect(second?.json).toMatchObject({ status: "completed", output: [{ content: [{ text: "Hello" }] }] });
    expect(third?.text).toBe(second?.text);
    expect(server.backend.calls).toHaveLength(1);
  });

  test("is refused when it is another request", async () => {
    const server = await startServer({ steps: [answer("one")] });
    await create(server, { store });
    const { status, json } = await create(server, { store, input: "b" });
    expect([status, json.error?.code]).toEqual([422, "idempotency_key_reused"]);
  });

  test("is tried again when the first was refused or has failed", async () => {
    const server = await startServer({ steps: [[new Error("down")], answer("one")] });
    expect((await create(server, { store, previous_response_id: "resp_unknown" })).status).toBe(400);
    const failed = await create(server, { store });
    expect([failed.status, failed.json.error?.code]).toEqual([500, "server_error"]);
    expect((await create(server, { store })).json.status).toBe("completed");
  });
});

test("each tenant has its own keys", async () => {
  const keys = [
    { tenant: "acme", key: "key-of-acme" },
    { tenant: "globex", key: "key-of-globex" },
  ];
  const server = await startServer({ steps: [answer("one"), answer("two")], keys });
  const ids = [];
  for (const { key } of keys) ids.push((await server.http(key).create({ input: "a" }, { headers })).json.id);
  expect(new Set(ids).size).toBe(2);
});

test("an unstored request leaves no record of itself", async () => {
  const store = new MemoryStore({ budgetBytes: 1 << 26 });
  const server = await startServer({ steps: [answer("one")], store });
  await create(server, { store: false });
  for (const kind of ["claim", "run", "run.start", "run.part"]) {
    expect(await store.records.list("default", kind, { limit: 1 })).toEqual([]);
  }
});

test("the key of a background response stands for it whatever became of it", async () => {
  const server = await startServer({ steps: [[new Error("down")]] });
  const { json } = await create(server, { background: true });
  await until(() => server.events.some(({ kind }) => kind === "turn.ended"));
  const again = await create(server, { background: true });
  expect(again.json.id).toBe(json.id);
  expect(server.backend.calls).toHaveLength(1);
});

test.each([[""], ["x".repeat(256)]])("a key that is none is refused: %j", async (key) => {
  const server = await startServer();
  const { status, json } = await server.http().create({ input: "a" }, { headers: { "idempotency-key": key } });
  expect([status, json.error?.param]).toEqual([400, "idempotency-key"]);
});

async function pair(steps: readonly Step[], later: readonly Step[] = []) {
  const store = new MemoryStore({ budgetBytes: 1 << 26, now: () => 1_800_000_000_000 });
  const [owner, other] = [await startServer({ steps, store }), await startServer({ steps: later, store })];
  // No two processes make the same ids.
  for (let count = 0; count < 100; count++) other.runtime.newId("response");
  return { store, owner, other };
}

describe("on another server that shares the store", () => {
  test("it gets the answer of the first, when that is done or while it runs", async () => {
    const { gate, step } = held();
    const { owner, other } = await pair([step]);
    const first = create(owner);
    await gate.reached;
    const second = create(other);
    gate.open();
    const { text } = await first;
    let isDone = false;
    void second.then(() => {
      isDone = true;
    });
    await until(() => {
      if (!isDone) other.runtime.advance(100);
      return isDone;
    });
    expect((await second).text).toBe(text);
    expect((await create(other)).text).toBe(text);
    expect(other.backend.calls).toHaveLength(0);
  });

  test("it is told to come back when the first has not begun", async () => {
    const { store, other } = await pair([], [answer("one")]);
    const first = await startServer({ steps: [answer("zero")], store });
    const { json } = await create(first);
    await store.delete("default", json.id);
    const { status, headers: answered } = await create(other);
    expect([status, answered["retry-after"]]).toEqual([409, "1"]);
    other.runtime.advance(LEASE_MS + 1);
    expect((await create(other)).json.status).toBe("completed");
  });

  test("it runs again when the server of the first has stopped in the middle", async () => {
    const { gate, step } = held();
    const { owner, other } = await pair([step], [answer("one")]);
    const first = create(owner).catch(() => null);
    await gate.reached;
    other.runtime.advance(LEASE_MS + 1);
    expect((await create(other)).json).toMatchObject({ status: "completed", output: [{ content: [{ text: "one" }] }] });
    gate.open();
    await first;
  });
});
