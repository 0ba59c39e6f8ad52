import { describe, expect, test } from "vitest";
import { DEFAULT_LIMITS } from "../../src/core/ports.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { answer, finish, Gate, type Step } from "../../src/testing/index.ts";
import { startServer, type TestServer, until } from "../support/server.ts";

const LEASE_MS = DEFAULT_LIMITS.leaseMs;

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

test("a tenant that sends many unstored requests takes nothing that is kept for another", async () => {
  const keys = [
    { tenant: "a", key: "key-of-tenant-a-0001" },
    { tenant: "b", key: "key-of-tenant-b-0001" },
  ];
  const server = await startServer({ keys, steps: Array.from({ length: 301 }, (_, index) => answer(`${index}`)) });
  const ask = (tenant: number, key: string) =>
    server.http(keys[tenant]?.key).create({ input: "x", store: false }, { headers: { "idempotency-key": key } });
  const first = await ask(0, "mine");
  for (let index = 0; index < 300; index += 1) await ask(1, `theirs-${index}`);
  expect((await ask(0, "mine")).text).toBe(first.text);
  expect(server.backend.calls).toHaveLength(301);
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

async function ended(server: TestServer, id: string) {
  for (;;) {
    const { json } = await server.http().call(`/v1/responses/${id}`);
    if (json.status !== "queued" && json.status !== "in_progress") return json;
  }
}

/** Lets time pass on these servers until something is so. */
async function beating<T>(servers: readonly TestServer[], promise: Promise<T>): Promise<T> {
  let isDone = false;
  const watched = promise.finally(() => {
    isDone = true;
  });
  watched.catch(() => undefined);
  await until(() => {
    if (!isDone) for (const { runtime } of servers) runtime.advance(100);
    return isDone;
  });
  return watched;
}

const send = (server: TestServer) =>
  fetch(`${server.url}/v1/responses`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({ model: "scripted", input: "a", stream: true }),
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
    const asked = Promise.withResolvers<void>();
    const models = {
      resolve: () => {
        asked.resolve();
        return new Promise<never>(() => undefined);
      },
      list: async () => ["scripted"],
    };
    const first = await startServer({ store, models });
    const leaving = new AbortController();
    const waiting = first
      .http()
      .create({ input: "a" }, { headers, signal: leaving.signal })
      .catch(() => null);
    await asked.promise;
    const second = create(other);
    const { status, headers: answered } = await beating([first, other], second);
    expect([status, answered["retry-after"]]).toEqual([409, "1"]);
    expect((await beating([other], create(other))).json.status).toBe("completed");
    leaving.abort();
    await waiting;
  });

  test("it waits for the lease of a killed server, however it was sent, and runs again", async () => {
    for (const fields of [{}, { background: true }]) {
      const { gate, step } = held();
      const { owner, other, store } = await pair([step], [answer("one")]);
      const first = create(owner, fields).catch(() => null);
      await gate.reached;
      // The clock of the owner stands still from here on, as that of a process that was killed.
      const second = await beating([other], create(other, fields));
      expect(second.status).toBe(200);
      expect((await ended(other, second.json.id)).output).toMatchObject([{ content: [{ text: "one" }] }]);
      gate.open();
      await first;
      expect((await store.records.list("default", "run", { limit: 1 })).length).toBe(0);
    }
  });

  test("it is streamed from the next sign of life on, and is told when that was the last one", async () => {
    const { gate, step } = held();
    const { owner, other } = await pair([step], [answer("one")]);
    const first = send(owner).then((answered) => answered.text());
    await gate.reached;
    const reader = (await beating([owner, other], send(other))).body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader?.read())?.value ?? "";
    // The owner is killed now.
    await beating(
      [other],
      (async () => {
        for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) text += part.value;
      })(),
    );
    expect(text).toContain("response.created");
    expect(text).toContain('"code":"server_error"');
    const again = await beating([other], send(other));
    expect(await again.text()).toContain("event: response.completed");
    gate.open();
    await first;
  });

  test("it runs again at once when the lease of the first is over", async () => {
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
