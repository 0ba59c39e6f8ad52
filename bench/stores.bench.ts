// What durable stores cost, each beside the memory store in one run: turns per second, a long chain that is loaded and
// continued, and how long the event loop is held up meanwhile. `node bench/stores.bench.ts [rounds]` prints it; PostgreSQL
// takes part where its programs are installed.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { commitNode, type ResponseNode } from "../src/core/node.ts";
import { Engine } from "../src/core/engine.ts";
import { type Backend, DEFAULT_LIMITS, type Store } from "../src/core/ports.ts";
import { parseCreateRequest } from "../src/protocol/request.ts";
import { systemRuntime } from "../src/runtime.ts";
import type { Database } from "../src/stores/database.ts";
import { DurableStore } from "../src/stores/durable.ts";
import { DEFAULT_STORE_OPTIONS, openStore, type StoreOptions } from "../src/stores/open.ts";
import { openSqlite } from "../src/stores/sqlite-schema.ts";
import { SqliteTables } from "../src/stores/sqlite-tables.ts";
import { ClearSeal } from "../src/testing/index.ts";
import { makeNode } from "../test/stores/nodes.ts";
import { TestPostgres } from "../test/support/postgres.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const SESSIONS = 16;
const TURNS = 40;

const folder = mkdtempSync(join(tmpdir(), "turnwire-bench-"));
const postgres = TestPostgres.missing === null ? await TestPostgres.start() : null;
let files = 0;

const newFile = (): string => join(folder, `${files++}.db`);
type Opener = (options?: StoreOptions) => Promise<Store>;

const OPENERS: { readonly [name: string]: Opener } = {
  memory: (options) => openStore("memory:", options),
  sqlite: (options) => openStore(`sqlite:${newFile()}`, options),
  "sqlite, full": (options) => openStore(`sqlite:${newFile()}`, { ...options, synchronous: "full" }),
  "sqlite, no thread": async (options) => onThisThread(newFile(), options),
  ...(postgres && { postgres: async (options) => openStore(await postgres.emptyPlace(), options) }),
};

/** The embedded store as it would be without a thread of its own. */
function onThisThread(path: string, options: StoreOptions = {}): Store {
  const tables = new SqliteTables(openSqlite(path, { synchronous: "normal" }));
  const database = new Proxy(tables, {
    get:
      (target, name: keyof SqliteTables) =>
      async (...args: readonly unknown[]) =>
        (target[name] as (...values: readonly unknown[]) => unknown).apply(target, [...args]),
  }) as unknown as Database;
  const all = { ...DEFAULT_STORE_OPTIONS, ...options };
  return new DurableStore(database, { ...all, cacheBytes: all.memoryBytes, lanes: 1 });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Runs every candidate in each round, so that what else the machine does meets all of them. */
async function compare<T>(
  names: readonly string[],
  measure: (name: string) => Promise<T>,
): Promise<ReadonlyMap<string, readonly T[]>> {
  const results = new Map<string, T[]>(names.map((name) => [name, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const name of names) {
      const result = await measure(name);
      // The first round warms up.
      if (round > 0) results.get(name)?.push(result);
    }
  }
  return results;
}

function opener(name: string): Opener {
  const open = OPENERS[name];
  if (open === undefined) throw new Error(`no store is called ${name}`);
  return open;
}

const OUTPUT = "Some words of an answer. ".repeat(10);

const backend: Backend = {
  async *stream() {
    for (let batch = 0; batch < 10; batch++) yield [{ type: "text.delta", delta: OUTPUT }];
    yield [{ type: "finish", reason: "stop" }];
  },
  models: async () => ["m"],
  prefill: async () => undefined,
  count: async () => 0,
  close: async () => undefined,
};

/** Whole turns of sessions side by side, 2.5 KB in and 2.5 KB out; in turns per second. */
async function turnsPerSecond(name: string): Promise<number> {
  const store = await opener(name)();
  const engine = new Engine({
    models: { resolve: (model) => ({ backend, model }), list: async () => ["m"] },
    store,
    runtime: systemRuntime,
    seal: new ClearSeal(),
    observer: { observe: () => undefined },
    limits: DEFAULT_LIMITS,
  });
  const input = "x".repeat(2500);
  const talk = async (): Promise<void> => {
    const session = engine.openSession({ tenant: "bench", transport: "websocket" });
    let previous: string | null = null;
    for (let turn = 0; turn < TURNS; turn++) {
      const request = parseCreateRequest({ model: "m", input, previous_response_id: previous });
      await session.create(request, {
        emit: ([event]) => {
          // A client would get every event as text.
          JSON.stringify(event);
          if (event?.type === "response.created") previous = event.response.id;
        },
        bytesIn: 0,
        bytesOut: () => 0,
      });
    }
    session.close();
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: SESSIONS }, talk));
  const elapsed = performance.now() - started;
  await store.close();
  return (SESSIONS * TURNS * 1000) / elapsed;
}

function chainOf(turns: number, bytes: number): readonly ResponseNode[] {
  const nodes: ResponseNode[] = [];
  const half = "y".repeat(bytes / turns / 2);
  for (let turn = 0; turn < turns; turn++) nodes.push(makeTurn(`resp_${turn}`, nodes.at(-1) ?? null, half));
  return nodes;
}

function makeTurn(id: string, parent: ResponseNode | null, text: string): ResponseNode {
  return makeNode(id, {
    parent,
    tenant: "bench",
    input: [{ type: "message", role: "user", content: text }],
    output: [{ type: "text.delta", delta: text }],
  });
}

/** The best of several, since everything else that the machine does only adds to it; in milliseconds. */
async function time(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let repeat = 0; repeat < 15; repeat++) {
    const started = performance.now();
    await work();
    times.push(performance.now() - started);
  }
  return Math.min(...times);
}

/** A chain of 600 KB: milliseconds to read its bytes from a file and parse them, to load it, and to load and continue it. */
async function loading(name: string, turns: number): Promise<{ read: number; load: number; both: number }> {
  const store = await opener(name)({ memoryBytes: name === "memory" ? 1 << 30 : 0 });
  const nodes = chainOf(turns, 600_000);
  for (const node of nodes) await store.put(node);
  const file = join(folder, "bytes.json");
  writeFileSync(file, JSON.stringify(nodes.map(({ input, response }) => ({ input, response }))));
  const last = `resp_${turns - 1}`;
  const read = await time(async () => JSON.parse(readFileSync(file, "utf8")));
  const load = await time(() => store.load("bench", last));
  let count = 0;
  const both = await time(async () => {
    const parent = (await store.load("bench", last)) ?? null;
    const { input, response } = makeTurn(`resp_next_${count++}`, null, "y".repeat(1500));
    await store.put(commitNode({ id: response.id, tenant: "bench", parent, input, response }));
  });
  await store.close();
  return { read, load, both };
}

/** The longest that the event loop was held up while nodes were stored as fast as they can be, in milliseconds. */
async function delay(name: string, bytes: number, count: number): Promise<{ p99: number; max: number }> {
  const store = await opener(name)({ memoryBytes: 1 << 26 });
  const text = "z".repeat(bytes / 2);
  let made = 0;
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  const write = async (): Promise<void> => {
    while (made < count) {
      await store.put(makeTurn(`resp_${made++}`, null, text));
      await setImmediate();
    }
  };
  await Promise.all(Array.from({ length: SESSIONS }, write));
  histogram.disable();
  await store.close();
  return { p99: histogram.percentile(99) / 1e6, max: histogram.max / 1e6 };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}

const names = Object.keys(OPENERS);
const stores = names.filter((name) => name !== "sqlite, no thread");

const turns = await compare(stores, turnsPerSecond);
const inMemory = median(turns.get("memory") ?? []);
for (const [store, values] of turns) {
  const value = median(values);
  console.log(JSON.stringify({ what: "turns/s", store, value: round(value), ofMemory: round(value / inMemory) }));
}

for (const length of [1, 20, 200, 2000]) {
  const loads = await compare(stores, (name) => loading(name, length));
  for (const [store, values] of loads) {
    const [read, load, both] = (["read", "load", "both"] as const).map((key) =>
      median(values.map((each) => each[key])),
    );
    if (read === undefined || load === undefined || both === undefined) continue;
    const ratios = { loadToRead: round(load / read), loadAndContinueToRead: round(both / read) };
    console.log(JSON.stringify({ what: "600 KB chain", turns: length, store, readMs: round(read), ...ratios }));
  }
}

for (const [bytes, count] of [
  [5_000, 4_000],
  [2_000_000, 60],
] as const) {
  const delays = await compare(names, (name) => delay(name, bytes, count));
  for (const [store, values] of delays) {
    const p99 = round(median(values.map((each) => each.p99)));
    const max = round(Math.max(...values.map((each) => each.max)));
    console.log(JSON.stringify({ what: "event loop delay", nodeBytes: bytes, store, p99Ms: p99, worstMs: max }));
  }
}

await postgres?.stop();
rmSync(folder, { recursive: true });
