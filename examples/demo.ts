import { existsSync } from "node:fs";
import { join } from "node:path";
import { startServer } from "../src/index.ts";
import { type AgentResult, INSTRUCTIONS, runAgent } from "./agent.ts";
import { ByteCounter } from "./byte-counter.ts";
import { type Conversation, type Settings, StatelessHttp, WebSocketSession } from "./conversation.ts";
import { fileTools } from "./file-tools.ts";

// Runs the same agent twice against the same server, once over stateless HTTP and once over WebSocket, and shows what
// each way put on the wire. `turnwire demo`, or with a server of your own and its model:
//
//   TURNWIRE_URL=http://127.0.0.1:4400 TURNWIRE_MODEL=qwen3 turnwire demo [folder] [task]

const ROUNDS = 20;

type Run = AgentResult & { readonly up: number; readonly down: number; readonly seconds: number };

const [folder = programFolder(), task = "What does this program do, and how is it built?"] = process.argv.slice(2);
const { env } = process;
const tools = await fileTools(folder);
const own =
  env["TURNWIRE_URL"] === undefined
    ? await startServer({ port: 0, simRounds: ROUNDS, logLevel: "silent", store: "memory:" })
    : null;
const url = own?.url ?? env["TURNWIRE_URL"] ?? "";

const overHttp = () => measure("stateless HTTP", (settings) => new StatelessHttp(settings));
const overWebSocket = () => measure("WebSocket", (settings) => WebSocketSession.open(settings));
// Whatever runs first also pays for the start of the program, so both ways run once before they are timed.
if (own !== null) for (const run of [overHttp, overWebSocket]) await run();
const http = await overHttp();
const webSocket = await overWebSocket();
await own?.close();
console.log(table(http, webSocket));
console.log(
  own === null
    ? `\nNothing was simulated here; the model is the one that ${url} serves.`
    : "\nOnly the model is simulated: Turnwire's simulator chose the tool calls. Server, sockets, tools, files and every byte, headers included, are real.",
);

/** Turnwire's own files: the sources in a checkout, what they were compiled to in a package. */
function programFolder(): string {
  const sources = join(import.meta.dirname, "../src");
  return existsSync(sources) ? sources : join(import.meta.dirname, "..");
}

/** One run of the agent over a connection whose bytes are counted. */
async function measure(
  title: string,
  open: (settings: Settings) => Conversation | Promise<Conversation>,
): Promise<Run> {
  const counter = await ByteCounter.open(url);
  const started = performance.now();
  const conversation = await open({
    url: counter.url,
    key: env["TURNWIRE_KEY"],
    model: env["TURNWIRE_MODEL"] ?? "sim",
    instructions: INSTRUCTIONS,
    tools: tools.map(({ declaration }) => declaration),
  });
  const result = await runAgent({
    conversation,
    tools,
    task,
    onTurn: (turns) => progress(`${title}: turn ${turns}, ${bytes(counter.up)} bytes up, ${bytes(counter.down)} down`),
  });
  const seconds = (performance.now() - started) / 1000;
  const run = { ...result, up: counter.up, down: counter.down, seconds };
  conversation.close();
  counter.close();
  progress("");
  return run;
}

/** One line that is written over, where somebody is looking. */
function progress(line: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${line}`);
}

function table(before: Run, after: Run): string {
  const rows = [
    ["", "stateless HTTP", "WebSocket", "saved"],
    ["turns", before.turns, after.turns, ""],
    ["tool calls", before.toolCalls, after.toolCalls, ""],
    ["bytes up", bytes(before.up), bytes(after.up), saved(before.up, after.up)],
    ["bytes down", bytes(before.down), bytes(after.down), saved(before.down, after.down)],
    ["seconds", before.seconds.toFixed(2), after.seconds.toFixed(2), saved(before.seconds, after.seconds)],
  ];
  return rows
    .map(([name, ...cells]) =>
      `${String(name).padEnd(12)}${cells.map((cell) => String(cell).padStart(16)).join("")}`.trimEnd(),
    )
    .join("\n");
}

function bytes(count: number): string {
  return count.toLocaleString("en");
}

function saved(before: number, after: number): string {
  return `${((1 - after / before) * 100).toFixed(1)} %`;
}
