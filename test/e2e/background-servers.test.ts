import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { DEFAULT_LIMITS } from "../../src/core/ports.ts";
import { systemRuntime } from "../../src/runtime.ts";
import { type RunningServer, startServer } from "../../src/server.ts";
import { openStore } from "../../src/stores/open.ts";
import { TestPostgres } from "../support/postgres.ts";
import { ScriptProcess } from "../support/script-process.ts";

const LEASE_MS = DEFAULT_LIMITS.leaseMs;

/** Background responses and processes: one that is killed, and several that share a database. */

const SERVER = new URL("../stores/crash-server.ts", import.meta.url);
/** Slow enough that an answer takes many seconds. */
const TOKENS_PER_SECOND = "2";
const BACKGROUND = { model: "sim", input: "Tell me a story.", background: true } as const;

const running: ScriptProcess[] = [];
const servers: RunningServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  await Promise.all(running.splice(0).map((script) => script.kill()));
});

const clientOf = (url: string) => new OpenAI({ apiKey: "any", baseURL: `${url}/v1`, maxRetries: 0 });

/** A server in a process of its own. */
async function spawned(store: string): Promise<{ readonly client: OpenAI; readonly script: ScriptProcess }> {
  const script = new ScriptProcess(SERVER, [store, TOKENS_PER_SECOND]);
  running.push(script);
  await script.said(1);
  return { client: clientOf(script.lines[0] ?? ""), script };
}

/** Another server on the same store, in this process. @param later how far its clock is ahead */
async function here(url: string, later = 0): Promise<OpenAI> {
  const store = await openStore(url);
  const runtime = { ...systemRuntime, now: () => Date.now() + later };
  const server = await startServer({ port: 0, logLevel: "silent", simRounds: 0 }, { store, runtime });
  servers.push(server);
  return clientOf(server.url);
}

async function readAll(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

async function kill(script: ScriptProcess): Promise<void> {
  running.splice(running.indexOf(script), 1);
  await script.kill();
}

describe("in a file", () => {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-background-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  test("responses whose server was killed in the middle have failed when it is back, and none is stuck", async () => {
    const store = `sqlite:${join(folder, "turnwire.db")}`;
    const { client, script } = await spawned(store);
    const made = await Promise.all(Array.from({ length: 3 }, () => client.responses.create(BACKGROUND)));
    for (const { id } of made) expect((await client.responses.retrieve(id)).status).toBe("in_progress");
    await kill(script);
    const back = await here(store, LEASE_MS);
    for (const { id } of made) {
      const response = await back.responses.retrieve(id);
      expect(response).toMatchObject({
        id,
        status: "failed",
        error: { code: "server_error", message: "The server stopped while this response was running." },
      });
      expect(await back.responses.cancel(id)).toMatchObject({ status: "failed" });
      // What the SDK makes of the failure that ends the stream.
      const again = await back.responses.retrieve(id, { stream: true });
      await expect(readAll(again)).rejects.toThrow("The server stopped while this response was running.");
      await back.responses.delete(id);
      await expect(back.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
    }
  }, 60_000);
});

describe.skipIf(TestPostgres.missing !== null)(`in PostgreSQL${TestPostgres.whySkipped}`, () => {
  let database: TestPostgres;
  beforeAll(async () => {
    database = await TestPostgres.start();
  });
  afterAll(() => database.stop());

  test("another process shows, streams and cancels what one runs", async () => {
    const store = await database.emptyPlace();
    const { client } = await spawned(store);
    const other = await here(store);
    const { id, status } = await client.responses.create(BACKGROUND);
    expect(status).toBe("queued");
    expect(await other.responses.retrieve(id)).toMatchObject({ id, status: "in_progress", background: true });
    const types: string[] = [];
    for await (const event of await other.responses.retrieve(id, { stream: true })) {
      types.push(event.type);
      // What it hears comes from the other process, so it is told before the end.
      if (event.type !== "response.output_text.delta" || types.filter((type) => type === event.type).length > 1)
        continue;
      expect(await other.responses.cancel(id)).toMatchObject({ id, status: "cancelled" });
    }
    expect(types.slice(0, 3)).toEqual(["response.created", "response.queued", "response.in_progress"]);
    expect(types.at(-1)).toBe("response.incomplete");
    expect(await client.responses.retrieve(id)).toMatchObject({ status: "cancelled" });
  }, 60_000);

  test("a request that comes again to another process gets the answer of the first", async () => {
    const store = await database.emptyPlace();
    const [one, two] = [await here(store), await here(store)];
    const request = { model: "sim", input: "Hi" } as const;
    // Whichever comes second may come before the first has begun.
    const options = { headers: { "Idempotency-Key": "once" }, maxRetries: 10 };
    const [first, second] = await Promise.all([
      one.responses.create(request, options),
      two.responses.create(request, options),
    ]);
    expect(second.id).toBe(first.id);
    const count = await database.query(store, "SELECT count(*)::integer AS count FROM turnwire_nodes");
    expect(count).toEqual([{ count: 1 }]);
  }, 60_000);
});
