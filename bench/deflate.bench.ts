// What compression of WebSocket messages saves and costs: recorded agent runs over loopback, with the server in a process
// of its own. `node bench/deflate.bench.ts [trace …]`; the traces are looked for as the tests do.

import { fork } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { WebSocket } from "ws";
import { type BackendEvent, DEFAULT_LIMITS } from "../src/core/ports.ts";
import { Engine } from "../src/core/engine.ts";
import { KeyRing } from "../src/keys/key-ring.ts";
import { systemRuntime } from "../src/runtime.ts";
import { MemoryStore } from "../src/stores/memory.ts";
import { ClearSeal, finish, type Move, ScriptedBackend, type Step } from "../src/testing/index.ts";
import { Listener } from "../src/transports/listener.ts";
import { readTrace, type Trace } from "../test/support/traces.ts";

const DEFAULT_TRACES = ["tau1-airline-gpt4o-long-dupids", "miniswe-django-15738", "pi-refactor-opus45-part1"];
/** Bytes from which on the server compresses; null without compression at all. */
const THRESHOLDS: readonly (number | null)[] = [null, Infinity, 16_384, 4096, 1024, 512, 0];
const ROUNDS = 3;
/** Characters of one delta, and deltas that come in one batch. */
const TOKEN = 4;
const BATCH = 8;

type Measured = { readonly up: number; readonly down: number; readonly cpu: number };

/** The output of a recorded turn as a model would stream it. */
function stepOf(output: Trace["turns"][number]["output"]): Step {
  const deltas = output.flatMap((item, key): BackendEvent[] => {
    const { type } = item;
    if (type === "function_call") {
      const { call_id, name, arguments: text } = item as unknown as Record<"call_id" | "name" | "arguments", string>;
      return [
        { type: "call", key, kind: "function", callId: call_id, name },
        ...tokens(text).map((delta) => ({ type: "call.delta", key, delta }) as const),
      ];
    }
    const parts = (item as { readonly content?: readonly { readonly text?: string }[] | string }).content ?? [];
    const text = typeof parts === "string" ? parts : parts.map((part) => part.text ?? "").join("");
    const kind = type === "reasoning" ? "reasoning.delta" : "text.delta";
    return tokens(text).map((delta) => ({ type: kind, delta }) as const);
  });
  const batches: Move[] = [];
  for (let start = 0; start < deltas.length; start += BATCH) batches.push(deltas.slice(start, start + BATCH));
  return [...batches, finish()];
}

function tokens(text: string): readonly string[] {
  return text.match(new RegExp(`[^]{1,${TOKEN}}`, "g")) ?? [];
}

async function serve(name: string, threshold: number | null): Promise<void> {
  const trace = readTrace(`${name}.json`);
  const backend = new ScriptedBackend(trace.turns.map(({ output }) => stepOf(output)));
  const store = new MemoryStore({ budgetBytes: 1 << 20 });
  const engine = new Engine({
    models: { resolve: (model) => ({ backend, model }), list: async () => [] },
    store,
    runtime: systemRuntime,
    seal: new ClearSeal(),
    observer: { observe: () => undefined },
    limits: DEFAULT_LIMITS,
  });
  const listener = new Listener({
    engine,
    runtime: systemRuntime,
    access: new KeyRing({ configured: [], records: store.records, runtime: systemRuntime, isClosed: false }),
    version: "bench",
    limits: { deflateThreshold: threshold ?? Infinity },
    policy: { deflate: threshold === null ? "off" : "on" },
    onError: (error) => console.error(error),
  });
  const { port } = await listener.listen({ host: "127.0.0.1", port: 0 });
  process.send?.({ port });
  process.on("message", () => process.send?.({ cpu: process.cpuUsage() }));
}

async function measure(name: string, threshold: number | null): Promise<Measured> {
  const child = fork(import.meta.filename, ["serve", name, String(threshold)]);
  const ask = async <T>(question?: string): Promise<T> => {
    if (question !== undefined) child.send(question);
    const [answer] = (await once(child, "message")) as [T];
    return answer;
  };
  const { port } = await ask<{ port: number }>();
  const client = new WebSocket(`ws://127.0.0.1:${port}/v1/responses`);
  await once(client, "open");
  const socket = (client as unknown as { readonly _socket: Socket })._socket;
  const { instructions, tools, turns, model } = readTrace(`${name}.json`);
  const before = { up: socket.bytesWritten, down: socket.bytesRead, cpu: await ask<Cpu>("cpu") };
  let previous: string | null = null;
  for (const { input } of turns) {
    const fields = { model, instructions, tools, input, previous_response_id: previous, store: false };
    client.send(JSON.stringify({ type: "response.create", ...fields }));
    previous = await lastId(client);
  }
  const cpu = spent(await ask<Cpu>("cpu")) - spent(before.cpu);
  const measured = { up: socket.bytesWritten - before.up, down: socket.bytesRead - before.down, cpu };
  client.terminate();
  child.kill();
  await once(child, "exit");
  return { up: measured.up / turns.length, down: measured.down / turns.length, cpu: cpu / turns.length };
}

type Cpu = { readonly cpu: NodeJS.CpuUsage };

function spent({ cpu }: Cpu): number {
  return cpu.user + cpu.system;
}

/** Waits for the end of a turn. */
function lastId(client: WebSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    const listen = (data: unknown): void => {
      const { type, response } = JSON.parse(String(data)) as { type: string; response?: { id: string } };
      if (type === "error" || type === "response.failed") reject(new Error(String(data)));
      if (type !== "response.completed") return;
      client.off("message", listen);
      resolve(response?.id ?? "");
    };
    client.on("message", listen);
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function compare(names: readonly string[]): Promise<void> {
  for (const name of names) {
    const runs = new Map<number | null, Measured[]>(THRESHOLDS.map((threshold) => [threshold, []]));
    // One after another in each round, so that what else the machine does falls on all of them alike.
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const threshold of THRESHOLDS) runs.get(threshold)?.push(await measure(name, threshold));
    }
    const cpuOf = (threshold: number | null): number => median((runs.get(threshold) ?? []).map(({ cpu }) => cpu));
    console.log(`\n${name}: ${readTrace(`${name}.json`).turns.length} turns, bytes and server CPU per turn`);
    console.table(
      Object.fromEntries(
        THRESHOLDS.map((threshold) => {
          const [first] = runs.get(threshold) ?? [];
          const row = {
            up: Math.round(first?.up ?? 0),
            down: Math.round(first?.down ?? 0),
            "CPU ms": Number((cpuOf(threshold) / 1000).toFixed(2)),
            "CPU ratio": Number((cpuOf(threshold) / cpuOf(null)).toFixed(2)),
          };
          return [title(threshold), row];
        }),
      ),
    );
  }
}

function title(threshold: number | null): string {
  if (threshold === null) return "off";
  if (threshold === Infinity) return "up only";
  return threshold === 0 ? "up, all down" : `up, down >= ${threshold}`;
}

const [mode, name = "", threshold = ""] = process.argv.slice(2);
if (mode === "serve") await serve(name, threshold === "null" ? null : Number(threshold));
else await compare(process.argv.length > 2 ? process.argv.slice(2) : DEFAULT_TRACES);
