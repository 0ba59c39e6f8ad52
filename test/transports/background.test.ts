import { describe, expect, test } from "vitest";
import { DEFAULT_LIMITS } from "../../src/core/ports.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { answer, finish, Gate, type Step } from "../../src/testing/index.ts";
import { startServer, type TestServer, until } from "../support/server.ts";

const LEASE_MS = DEFAULT_LIMITS.leaseMs;

const get = (server: TestServer, id: string, rest = "") => server.http().call(`/v1/responses/${id}${rest}`);
const post = (server: TestServer, path: string) => server.http().call(`/v1/responses/${path}`, { method: "POST" });
const start = (server: TestServer, fields: object = {}) =>
  server.http().create({ input: "a", background: true, ...fields });

async function ended(server: TestServer, id: string) {
  for (;;) {
    const { json } = await get(server, id);
    if (json.status !== "queued" && json.status !== "in_progress") return json;
  }
}

const typesOf = (text: string) => [...text.matchAll(/^event: (.*)$/gm)].map(([, type]) => type);
const delta = (text: string) => [{ type: "text.delta", delta: text }] as const;

function held(): { readonly gate: Gate; readonly step: Step } {
  const gate = new Gate();
  return { gate, step: [delta("Hel"), gate, delta("lo"), finish()] };
}

/** Two servers with one store, as processes that share a database; time passes for both. */
async function pair(steps: readonly Step[]) {
  const store = new MemoryStore({ budgetBytes: 1 << 26, now: () => 1_800_000_000_000 });
  const owner = await startServer({ steps, store });
  const other = await startServer({ store });
  // No two processes make the same ids.
  for (let count = 0; count < 100; count++) other.runtime.newId("response");
  return { store, owner, other };
}

/** Lets the owner write down what is new, and others look again, until something is so. */
async function beating<T>(servers: readonly TestServer[], promise: Promise<T>): Promise<T> {
  let isDone = false;
  const watched = promise.finally(() => {
    isDone = true;
  });
  await until(() => {
    if (!isDone) for (const { runtime } of servers) runtime.advance(100);
    return isDone;
  });
  return watched;
}

describe("a background response", () => {
  test("is answered at once as queued, runs whoever leaves, and is there to be asked for", async () => {
    const { gate, step } = held();
    const server = await startServer({ steps: [step] });
    const { status, json } = await start(server, { metadata: { a: "1" } });
    expect([status, json.status, json.background, json.output]).toEqual([200, "queued", true, []]);
    await gate.reached;
    expect((await get(server, json.id)).json).toMatchObject({ id: json.id, status: "in_progress", background: true });
    gate.open();
    expect(await ended(server, json.id)).toMatchObject({
      status: "completed",
      metadata: { a: "1" },
      output: [{ content: [{ text: "Hello" }] }],
    });
  });

  test("can be continued when it is done", async () => {
    const server = await startServer({ steps: [answer("one"), answer("two")] });
    const { json } = await start(server);
    await ended(server, json.id);
    const next = await server.http().create({ input: "b", previous_response_id: json.id });
    expect(next.status).toBe(200);
    expect(server.backend.calls.at(-1)?.context).toHaveLength(3);
  });

  test("streams: created, queued, in_progress; whoever comes later hears it all, or from any number on", async () => {
    const { gate, step } = held();
    const server = await startServer({ steps: [step] });
    const leaving = new AbortController();
    const first = server
      .http()
      .stream({ input: "a", background: true }, { signal: leaving.signal })
      .catch(() => null);
    const { settings } = await server.backend.call(0);
    expect(settings).toMatchObject({ background: true });
    await gate.reached;
    const id = "resp_1";
    const live = get(server, id, "?stream=true");
    leaving.abort();
    await first;
    gate.open();
    const { text } = await live;
    expect(typesOf(text).slice(0, 3)).toEqual(["response.created", "response.queued", "response.in_progress"]);
    expect(typesOf(text).at(-1)).toBe("response.completed");
    const numbers = [...text.matchAll(/"sequence_number":(\d+)/g)].map(([, number]) => Number(number));
    expect(numbers).toEqual(numbers.map((_, index) => index));
    expect((await get(server, id, "?stream=true")).text).toBe(text);
    const rest = await get(server, id, "?stream=true&starting_after=4");
    expect(rest.text).toBe(
      text
        .split(/(?<=\n\n)/)
        .slice(5)
        .join(""),
    );
  });

  test("that is refused is refused at once, and nothing of it is kept", async () => {
    const server = await startServer();
    const { status, json } = await start(server, { previous_response_id: "resp_unknown" });
    expect([status, json.error?.code]).toEqual([400, "previous_response_not_found"]);
    expect((await get(server, "resp_1")).status).toBe(404);
  });

  test("that fails is stored with its error, can be looked at and streamed again, and not continued", async () => {
    const server = await startServer({ steps: [[delta("Hel"), new Error("secret")]] });
    const { json } = await start(server);
    const failed = await ended(server, json.id);
    expect(failed).toMatchObject({ status: "failed", error: { code: "server_error" } });
    expect(JSON.stringify(failed)).not.toContain("secret");
    const { text } = await get(server, json.id, "?stream=true");
    expect(typesOf(text).slice(-2)).toEqual(["error", "response.failed"]);
    const next = await server.http().create({ input: "b", previous_response_id: json.id });
    expect([next.status, next.json.error?.code]).toEqual([400, "previous_response_not_found"]);
    expect((await get(server, json.id, "/input_items")).status).toBe(200);
  });

  test("that is cancelled stops its model, and stays cancelled however often", async () => {
    const { gate, step } = held();
    const server = await startServer({ steps: [step] });
    const { json } = await start(server);
    await gate.reached;
    const live = get(server, json.id, "?stream=true");
    const cancelled = await post(server, `${json.id}/cancel`);
    expect([cancelled.status, cancelled.json.status]).toEqual([200, "cancelled"]);
    expect(await (await server.backend.call(0)).ended).toBe("aborted");
    expect((await post(server, `${json.id}/cancel`)).text).toBe(cancelled.text);
    expect((await get(server, json.id)).text).toBe(cancelled.text);
    expect(typesOf((await live).text).at(-1)).toBe("response.incomplete");
    const next = await server.http().create({ input: "b", previous_response_id: json.id });
    expect(next.json.error?.code).toBe("previous_response_not_found");
  });

  test("that has ended is not changed by a cancel", async () => {
    const server = await startServer({ steps: [answer("one")] });
    const { json } = await start(server);
    await ended(server, json.id);
    const { status, json: after } = await post(server, `${json.id}/cancel`);
    expect([status, after.status]).toEqual([200, "completed"]);
  });

  test("that is deleted while it runs is cancelled, and gone", async () => {
    const { gate, step } = held();
    const server = await startServer({ steps: [step] });
    const { json } = await start(server);
    await gate.reached;
    expect((await server.http().call(`/v1/responses/${json.id}`, { method: "DELETE" })).status).toBe(200);
    expect(await (await server.backend.call(0)).ended).toBe("aborted");
    expect((await get(server, json.id)).status).toBe(404);
  });

  test("is one of so many, of a tenant and of all", async () => {
    const { gate, step } = held();
    const server = await startServer({ steps: [step], limits: { detachedRunsPerTenant: 1 } });
    const { json } = await start(server);
    const { status, json: refused, headers } = await start(server);
    expect([status, refused.error?.code, headers["retry-after"]]).toEqual([429, "too_many_runs", "1"]);
    gate.open();
    await ended(server, json.id);
  });

  test("has the grace period of a server that goes, and then fails clearly", async () => {
    const { gate, step } = held();
    const store = new MemoryStore({ budgetBytes: 1 << 26 });
    const server = await startServer({ steps: [step], store });
    const { json } = await start(server);
    await gate.reached;
    await server.engine.drain(AbortSignal.abort());
    expect((await store.get("default", json.id))?.response).toMatchObject({
      status: "failed",
      error: { code: "server_shutting_down" },
    });
  });

  test("is refused over WebSocket", async () => {
    const server = await startServer();
    const client = await server.connect();
    const { last } = await client.turn({ input: "a", background: true });
    expect(last.error).toMatchObject({ code: "unsupported_parameter", param: "background" });
  });
});

describe("another server that shares the store", () => {
  test("shows a run, follows it to its end, and streams what its owner streamed", async () => {
    const { gate, step } = held();
    const { owner, other } = await pair([step]);
    const { json } = await start(owner);
    await gate.reached;
    expect((await get(other, json.id)).json).toMatchObject({ id: json.id, status: "in_progress" });
    const followed = get(other, json.id, "?stream=true");
    owner.runtime.advance(1000);
    gate.open();
    const { text } = await beating([owner, other], followed);
    expect(text).toBe((await get(owner, json.id, "?stream=true")).text);
    expect(await ended(other, json.id)).toMatchObject({ status: "completed" });
  });

  test("cancels it", async () => {
    const { gate, step } = held();
    const { owner, other } = await pair([step]);
    const { json } = await start(owner);
    await gate.reached;
    const cancelled = await beating([owner, other], post(other, `${json.id}/cancel`));
    expect([cancelled.status, cancelled.json.status]).toEqual([200, "cancelled"]);
    expect(await (await owner.backend.call(0)).ended).toBe("aborted");
  });

  test("finds a run whose server has stopped failed, with what it had said, and for good", async () => {
    const { gate, step } = held();
    const { owner, other, store } = await pair([answer("root"), step]);
    const root = (await owner.http().create({ input: "r" })).json.id;
    const { json } = await start(owner, { previous_response_id: root });
    await gate.reached;
    owner.runtime.advance(1000);
    await until(() => store.records !== undefined);
    while ((await store.records.list("default", "run.part", { limit: 1 })).length === 0);
    // Its clock stands still from here on, as that of a process that was killed.
    other.runtime.advance(LEASE_MS + 1001);
    const dead = await get(other, json.id);
    expect(dead.json).toMatchObject({
      status: "failed",
      previous_response_id: root,
      error: { code: "server_error", message: "The server stopped while this response was running." },
    });
    expect(typesOf((await get(other, json.id, "?stream=true")).text)).toContain("response.output_text.delta");
    expect((await get(other, json.id, "/input_items")).text).toContain("root");
    for (const kind of ["run", "run.start", "run.part"]) {
      expect(await store.records.list("default", kind, { limit: 1 })).toEqual([]);
    }
    gate.open();
    expect((await get(other, json.id)).text).toBe(dead.text);
  });
});
