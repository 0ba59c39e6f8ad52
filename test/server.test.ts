import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { ConfigError } from "../src/config.ts";
import type { EngineEvent } from "../src/core/ports.ts";
import { createLog } from "../src/observe.ts";
import { type RunningServer, type ServerParts, StartError, startServer } from "../src/server.ts";
import type { Config } from "../src/settings.ts";
import { MemoryStore } from "../src/stores/memory.ts";
import { answer, FakeRuntime, finish, Gate, ScriptedBackend } from "../src/testing/index.ts";
import { ChatUpstream, text } from "./support/chat-upstream.ts";

const running: RunningServer[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

async function start(settings: Partial<Config> = {}, parts: ServerParts = {}): Promise<RunningServer> {
  const server = await startServer({ port: 0, logLevel: "silent", store: "memory:", ...settings }, parts);
  running.push(server);
  return server;
}

function create(server: RunningServer, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${server.url}/v1/responses`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe("startServer", () => {
  test("without settings a simulator answers, and says so", async () => {
    const server = await start();
    const response = await create(server, { model: "anything", input: "Hello" });
    expect(response.status).toBe(200);
    expect(await response.text()).toMatch(/simulator/i);
  });

  test("makes ids that nobody can guess", async () => {
    const server = await start();
    const response = (await (await create(server, { model: "sim", input: "Hello" })).json()) as { id: string };
    expect(response.id).toMatch(/^resp_[0-9a-f]{32}$/);
  });

  test("takes a backend, a store, a runtime and an observer from the program that it is part of", async () => {
    const backend = new ScriptedBackend([answer("one"), answer("two")]);
    const store = new MemoryStore({ budgetBytes: 1_000_000 });
    const events: EngineEvent[] = [];
    const observer = { observe: (event: EngineEvent) => void events.push(event) };
    const server = await start({}, { backend, store, observer, runtime: new FakeRuntime() });
    await create(server, { model: "m", input: "a" });
    const second = await create(server, { model: "m", input: "b", previous_response_id: "resp_1" });
    expect(await second.json()).toMatchObject({ id: "resp_2", status: "completed" });
    expect(backend.calls[1]?.chain.map((node) => node.id)).toEqual(["resp_1"]);
    expect(await store.load("default", "resp_2")).toMatchObject({ id: "resp_2" });
    const ended = events.filter((event) => event.kind === "turn.ended");
    expect(ended.map((event) => event.responseId)).toEqual(["resp_1", "resp_2"]);
  });

  test("is not disturbed by an observer that fails", async () => {
    const observer = {
      observe: () => {
        throw new Error("a mistake of the observer's");
      },
    };
    const server = await start({}, { observer });
    expect((await create(server, { model: "sim", input: "Hello" })).status).toBe(200);
  });

  test("gives each key its tenant, and no tenant the responses of another", async () => {
    const apiKeys = [
      { tenant: "a", key: "key-a-of-sixteen-letters" },
      { tenant: "b", key: "key-b-of-sixteen-letters" },
    ];
    const server = await start({ apiKeys });
    expect((await create(server, { model: "sim", input: "Hello" })).status).toBe(401);
    const [a, b] = ["key-a-of-sixteen-letters", "key-b-of-sixteen-letters"].map((key) => ({
      authorization: `Bearer ${key}`,
    }));
    const { id } = (await (await create(server, { model: "sim", input: "Hello" }, a)).json()) as { id: string };
    const next = { model: "sim", input: "Go on", previous_response_id: id };
    expect((await create(server, next, a)).status).toBe(200);
    expect(await (await create(server, next, b)).json()).toMatchObject({
      error: { code: "previous_response_not_found" },
    });
  });

  test("serves models by the names that it was given", async () => {
    const backend = new ScriptedBackend([answer("hi")]);
    const server = await start({ models: new Map([["gpt-5", "qwen3"]]) }, { backend });
    expect((await create(server, { model: "gpt-5", input: "a" })).status).toBe(200);
    expect(backend.calls[0]?.model).toBe("qwen3");
    expect((await create(server, { model: "gpt-6", input: "a" })).status).toBe(400);
  });

  test("has a default model for clients that insist on a name of their own", async () => {
    const upstream = await ChatUpstream.start();
    try {
      upstream.script(text("hi"), text("hi"));
      const server = await start({ backend: upstream.url, defaultModel: "small", models: new Map([["x", "y"]]) });
      const response = await create(server, { model: "gpt-5.5", input: "Hello" });
      expect(await response.json()).toMatchObject({ status: "completed", model: "gpt-5.5" });
      await create(server, { model: "upstream-model", input: "Hello" });
      expect(upstream.calls.map(({ body }) => body.model)).toEqual(["small", "upstream-model"]);
      const { data } = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: { id: string }[] };
      expect(data.map(({ id }) => id)).toEqual(["x", "small", "upstream-model"]);
    } finally {
      await upstream.close();
    }
  });

  test("asks the model server that the settings name, in the way that they say", async () => {
    const upstream = await ChatUpstream.start();
    try {
      upstream.script(text("hi"));
      const server = await start({
        backend: upstream.url,
        backendKey: "upstream-key",
        backendMaxTokensField: "max_completion_tokens",
        backendExtraBody: { seed: 7 },
        models: new Map([["*", "qwen3"]]),
      });
      const response = await create(server, { model: "gpt-5", input: "Hello", max_output_tokens: 50 });
      expect(await response.json()).toMatchObject({ status: "completed", model: "gpt-5" });
      expect(upstream.calls).toMatchObject([
        {
          headers: { authorization: "Bearer upstream-key" },
          body: { model: "qwen3", max_completion_tokens: 50, seed: 7 },
        },
      ]);
    } finally {
      await upstream.close();
    }
  });

  test("refuses a message beyond the limit", async () => {
    const server = await start({ maxMessageBytes: 2048 });
    expect((await create(server, { model: "sim", input: "x".repeat(4096) })).status).toBe(413);
  });
});

describe("a server that cannot start", () => {
  test("says that its settings do not go together", async () => {
    expect(await failure(startServer({ tlsCert: "a.pem", store: "memory:" }))).toBeInstanceOf(ConfigError);
  });

  test("says that others could use it without a key, in the configuration or in the store", async () => {
    const error = await failure(startServer({ host: "0.0.0.0", port: 0, store: "memory:", logLevel: "silent" }));
    expect(error).toBeInstanceOf(StartError);
    expect((error as Error).message).toContain("there are no API keys");
  });

  test("says that its port is in use, and lets its parts go", async () => {
    const { port } = await start();
    let closed = false;
    const store = new MemoryStore({ budgetBytes: 1000 });
    store.close = async () => void (closed = true);
    const error = await failure(startServer({ port, logLevel: "silent" }, { store }));
    expect(error).toBeInstanceOf(StartError);
    expect(error).toHaveProperty("message", `port ${port} of 127.0.0.1 is in use; choose another with --port`);
    expect(closed).toBe(true);
  });

  test("says that its host is no address of this machine", async () => {
    // Of a range that is set aside for documents, so that no machine has it.
    const error = await failure(
      startServer({ host: "192.0.2.1", store: "memory:", allowUnauthenticated: true, logLevel: "silent" }),
    );
    expect(error).toBeInstanceOf(StartError);
    expect(error).toHaveProperty("message", "192.0.2.1 is not an address of this machine; choose another with --host");
  });

  test("says which file of its certificate is of no use", async () => {
    const folder = mkdtempSync(join(tmpdir(), "turnwire-tls-"));
    try {
      const tlsKey = join(folder, "key.pem");
      writeFileSync(tlsKey, "not a key");
      const absent = join(folder, "absent.pem");
      const unreadable = await failure(startServer({ tlsCert: absent, tlsKey }));
      expect(unreadable).toBeInstanceOf(StartError);
      expect(unreadable).toHaveProperty("message", `${absent} does not exist`);
      const broken = await failure(startServer({ tlsCert: tlsKey, tlsKey }));
      expect(broken).toBeInstanceOf(StartError);
      expect(broken).toHaveProperty("message", expect.stringContaining("are not a certificate and its key"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("close", () => {
  test("lets a running turn end, and refuses new ones meanwhile", async () => {
    const gate = new Gate();
    const backend = new ScriptedBackend([[[{ type: "text.delta", delta: "Hel" }], gate, finish()]]);
    const server = await start({}, { backend });
    const running = create(server, { model: "m", input: "a" });
    await gate.reached;
    const closed = server.close();
    expect((await create(server, { model: "m", input: "b" })).status).toBe(503);
    gate.open();
    expect(await (await running).json()).toMatchObject({ status: "completed" });
    await closed;
    expect(await failure(create(server, { model: "m", input: "c" }))).toBeInstanceOf(TypeError);
  });

  test("fails a turn that outlasts the grace", async () => {
    const gate = new Gate();
    const backend = new ScriptedBackend([[gate, finish()]]);
    const server = await start({ graceSeconds: 0.01 }, { backend });
    const running = create(server, { model: "m", input: "a" });
    const call = await backend.call(0);
    await server.close();
    expect(await call.ended).toBe("aborted");
    expect(await (await running).json()).toMatchObject({ error: { code: "server_shutting_down" } });
  });

  test("closes the other parts of one that fails to close, and says that it did", async () => {
    let closed = false;
    const backend = new ScriptedBackend();
    backend.close = async () => {
      throw new Error("stuck");
    };
    const store = new MemoryStore({ budgetBytes: 1000 });
    store.close = async () => void (closed = true);
    const server = await startServer({ port: 0, logLevel: "silent" }, { backend, store });
    expect(await failure(server.close())).toHaveProperty("message", "stuck");
    expect(closed).toBe(true);
  });

  test("closes its parts, and may be asked twice", async () => {
    const order: string[] = [];
    const backend = new ScriptedBackend();
    backend.close = async () => void order.push("backend");
    const store = new MemoryStore({ budgetBytes: 1000 });
    store.close = async () => void order.push("store");
    const server = await start({}, { backend, store });
    await Promise.all([server.close(), server.close()]);
    expect(order).toEqual(["backend", "store"]);
  });
});

describe("fields for the model server", () => {
  const backend = "http://127.0.0.1:9/v1";

  test.each([
    [{ backendExtraBody: { model: "other" } }, "--backend-extra-body: 'model'"],
    [{ backendDefaultBody: { messages: [] } }, "--backend-default-body: 'messages'"],
    [{ backendAllowFields: ["priority", "models"] }, "--backend-allow-fields: 'models'"],
    [{ backendAllowFields: ["extra_body"] }, "--backend-allow-fields: 'extra_body'"],
  ])("that would choose a model or break the answer stop the start: %j", async (settings, words) => {
    const error = await failure(start({ backend, ...settings }));
    expect(error).toBeInstanceOf(StartError);
    expect((error as Error).message).toContain(words);
  });

  test("that clients send are dropped, and logged once for each connection", async () => {
    const upstream = await ChatUpstream.start();
    onTestFinished(() => upstream.close());
    upstream.otherwise(text("Hi"));
    const lines: string[] = [];
    const log = createLog({ level: "warn", destination: { write: (line: string) => void lines.push(line) } });
    const server = await start({ backend: upstream.url }, { log });
    const body = { model: "m", input: "x", priority: -100, models: ["other"], top_k: 5, "my words": 1 };
    expect((await create(server, body)).status).toBe(200);
    expect(upstream.calls[0]?.body).toMatchObject({ model: "m", top_k: 5 });
    for (const field of ["priority", "models", "my words"]) expect(upstream.calls[0]?.body).not.toHaveProperty([field]);
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { fields: ["priority", "models", "(another)"], msg: expect.stringContaining("--backend-allow-fields") as string },
    ]);
  });
});
