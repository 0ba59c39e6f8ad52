// One key attacks the server in every way at once, while another key works: what the other feels, and what memory it takes.
//
//   npm run bench:hostile [seconds of attack, 10 by default]
//
// The server is a process of its own with its default limits; all traffic stays on this machine. The ratio is of the two
// phases of one run. The attacking side runs in this process as well and takes its share of the cores.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { gzipSync } from "node:zlib";
import { WebSocket } from "ws";

const SECONDS = Number(process.argv[2] ?? 10);
const IDLE_SECONDS = 4;
const GOOD = "key-of-the-one-that-works";
const BAD = "key-of-the-one-that-attacks";

async function startServer(): Promise<{ readonly child: ChildProcess; readonly url: URL }> {
  const keys = ["--api-key", `good=${GOOD}`, "--api-key", `bad=${BAD}`];
  const main = new URL("../src/cli/main.ts", import.meta.url).pathname;
  const settings = [
    "--port",
    "0",
    "--store",
    "memory:",
    "--log-format",
    "json",
    "--log-level",
    "info",
    "--sim-rounds",
    "0",
  ];
  const child = spawn(process.execPath, [main, "serve", ...settings, ...keys], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const { url } = JSON.parse(line) as { readonly url?: string };
    if (url === undefined) continue;
    child.stdout.resume();
    return { child, url: new URL(url) };
  }
  throw new Error("the server ended before it listened");
}

/** Milliseconds of each turn that the key that works has in this time. */
async function work(url: URL, seconds: number): Promise<readonly number[]> {
  const socket = new WebSocket(`ws://${url.host}/v1/responses`, { headers: { authorization: `Bearer ${GOOD}` } });
  await once(socket, "open");
  const took: number[] = [];
  let done = Promise.withResolvers<void>();
  socket.on("message", (data: Buffer) => {
    const { type } = JSON.parse(data.toString()) as { readonly type: string };
    if (type === "response.completed") done.resolve();
    else if (type === "error") done.reject(new Error(`the key that works was refused: ${data.toString()}`));
  });
  for (const end = performance.now() + seconds * 1000; performance.now() < end; ) {
    const begun = performance.now();
    done = Promise.withResolvers<void>();
    socket.send(JSON.stringify({ type: "response.create", model: "sim", input: "Hello", store: false }));
    await done.promise;
    took.push(performance.now() - begun);
  }
  socket.close();
  return took.toSorted((one, other) => one - other);
}

const answers = new Map<string, number>();

async function post(
  url: URL,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<void> {
  const all = { authorization: `Bearer ${BAD}`, "content-type": "application/json", ...headers };
  const status = await fetch(new URL("/v1/responses", url), { method: "POST", body, headers: all }).then(
    async (answer) => {
      await answer.arrayBuffer();
      return String(answer.status);
    },
    () => "cut",
  );
  answers.set(status, (answers.get(status) ?? 0) + 1);
}

const ids = Array.from({ length: 30_000 }, (_, index) => `call_${index}`);
const reversed = JSON.stringify({
  model: "sim",
  store: false,
  input: [
    ...ids.map((call_id) => ({ type: "function_call", call_id, name: "f", arguments: "{}" })),
    ...ids.toReversed().map((call_id) => ({ type: "function_call_output", call_id, output: "x" })),
  ],
});
const inflating = gzipSync(JSON.stringify({ model: "sim", input: "x".repeat(60 << 20) }));
const schemas = JSON.stringify({
  model: "sim",
  input: "x",
  tool_choice: "required",
  tools: [
    { type: "function", name: "f", parameters: { allOf: Array.from({ length: 50_000 }, () => ({ type: "object" })) } },
  ],
});
const long = JSON.stringify({ model: "sim", input: `Reply with exactly: ${"word ".repeat(200_000)}` });
const small = JSON.stringify({ model: "sim", input: "x", store: false });

/** A request that is written to a socket and whose answer nobody reads. */
function unread(url: URL, request: string): () => void {
  const socket = connect(Number(url.port), url.hostname);
  socket.on("error", () => undefined);
  socket.write(request);
  socket.pause();
  return () => socket.destroy();
}

const ATTACKS: readonly ((url: URL) => Promise<unknown>)[] = [
  (url) => post(url, reversed),
  (url) => post(url, new Uint8Array(inflating), { "content-encoding": "gzip" }),
  (url) => post(url, schemas),
  (url) => post(url, long),
  (url) => Promise.all(Array.from({ length: 64 }, () => post(url, small))),
  (url) => post(url, small, { authorization: "Bearer a-key-that-nobody-has" }),
];

async function attack(url: URL, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000;
  const head = `POST /v1/responses HTTP/1.1\r\nhost: ${url.host}\r\nauthorization: Bearer ${BAD}\r\ncontent-type: application/json\r\n`;
  const streamed = long.replace("{", '{"stream":true,');
  const held = [
    ...Array.from({ length: 40 }, () => unread(url, `${head}content-length: ${streamed.length}\r\n\r\n${streamed}`)),
    ...Array.from({ length: 40 }, () => unread(url, `${head}content-length: 9000000\r\n\r\n{"model":`)),
  ];
  await Promise.all(
    ATTACKS.map(async (one) => {
      while (performance.now() < end) await one(url);
    }),
  );
  for (const release of held) release();
}

const at = (sorted: readonly number[], share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? NaN;
const memory = (pid: number | undefined, field: string): string =>
  new RegExp(`^${field}:\\s+(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "unknown";

const { child, url } = await startServer();
try {
  const idle = await work(url, IDLE_SECONDS);
  const [attacked] = await Promise.all([work(url, SECONDS), attack(url, SECONDS)]);
  const row = (name: string, times: readonly number[]) => ({
    "": name,
    turns: times.length,
    "p50 ms": at(times, 0.5).toFixed(1),
    "p99 ms": at(times, 0.99).toFixed(1),
  });
  console.table([row("idle", idle), row("under attack", attacked)]);
  console.log(`p99 under attack is ${(at(attacked, 0.99) / at(idle, 0.99)).toFixed(1)} times that of idle.`);
  console.log(`Memory of the server: ${memory(child.pid, "VmRSS")} now, ${memory(child.pid, "VmHWM")} at most.`);
  console.log("Answers that the attacking key got:", Object.fromEntries(answers));
  console.log(child.exitCode === null ? "The server is still the same process." : "The server ended.");
} finally {
  child.kill();
}
