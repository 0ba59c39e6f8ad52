import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { brotliCompressSync, constants } from "node:zlib";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { CipherSeal } from "../../src/stores/cipher-seal.ts";
import { keyFile } from "../../src/stores/key-file.ts";
import { MEMORY_MUTANTS } from "./memory-mutants.ts";

/** What one key can make of small messages, against a server with a small heap and its default settings. */

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const MUTATE = new URL("../conformance/mutate.ts", import.meta.url).pathname;
const HEAP_MB = 256;
const MIB = 2 ** 20;

/** A chat server that answers each request by its model's name: "long" with 2 MiB of text, others with a word. */
let upstream: Server;
beforeAll(async () => {
  upstream = createServer((incoming, answer) => {
    let head = "";
    incoming.on("data", (chunk: Buffer) => (head = (head + chunk.toString("latin1")).slice(0, 200)));
    incoming.on("end", () => {
      const text = head.includes('"model":"long"') ? "x".repeat(2 * MIB) : "ok";
      const chunk = { choices: [{ index: 0, delta: { content: text }, finish_reason: "stop" }] };
      answer.writeHead(200, { "content-type": "text/event-stream" });
      answer.end(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`);
    });
  });
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", () => resolve()));
});
afterAll(() => void upstream.close());

type Target = { readonly url: string; readonly folder: string; readonly child: ChildProcess };

async function start(mutant: string | null, flags: readonly string[] = []): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-memory-"));
  const loader = mutant === null ? [] : ["--import", MUTATE];
  const backend = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`;
  const args = ["--port", "0", "--data-dir", folder, "--backend", backend, "--max-loop-delay-ms", "0"];
  const keys = [
    "--api-key",
    "attacker=key-one-is-long-enough",
    "--api-key",
    "other=key-two-is-long-enough",
    "--model",
    "m",
    "--model",
    "long",
  ];
  const node = [`--max-old-space-size=${HEAP_MB}`, ...loader, MAIN, "serve"];
  const child = spawn(process.execPath, [...node, ...args, ...keys, ...flags], {
    env: { ...process.env, MUTANT: mutant ?? "" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const { msg, url, memory } = JSON.parse(line) as { msg?: string; url?: string; memory?: { memoryBytes: number } };
    if (msg !== "listening" || url === undefined) continue;
    // The defaults are shares of this heap, and the operator sees them.
    expect(memory?.memoryBytes).toBeLessThan(HEAP_MB * MIB);
    child.stdout.resume();
    return { url, folder, child };
  }
  throw new Error("the server did not start");
}

type Answered = { readonly status: number; readonly code: string | null; readonly id: string };

async function post(
  url: string,
  body: object | Buffer,
  key = "key-one-is-long-enough",
  headers = {},
): Promise<Answered> {
  try {
    const answer = await request(`${url}/v1/responses`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
      body: Buffer.isBuffer(body) ? body : JSON.stringify({ model: "m", ...body }),
    });
    const { error, id = "" } = (await answer.body.json()) as { error?: { code?: string } | null; id?: string };
    return { status: answer.statusCode, code: error?.code ?? null, id };
  } catch {
    return { status: 0, code: "connection lost", id: "" };
  }
}

const codes = (answers: readonly Answered[]): readonly (string | null)[] => [
  ...new Set(answers.map(({ code }) => code)),
];
const user = (content: string) => ({ type: "message", role: "user", content });
const brotli = (json: object) =>
  brotliCompressSync(JSON.stringify(json), { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

/** Each attack, and the codes of the answers: one of those that are expected must be among them. */
const ATTACKS: {
  readonly [name: string]: {
    readonly run: (target: Target) => Promise<readonly (string | null)[]>;
    readonly refusedBy: readonly string[];
    readonly flags?: readonly string[];
  };
} = {
  "bodies of many small values": {
    run: async ({ url }) => {
      const body = { input: "Hi", metadata: times(1_000_000, () => ({})) };
      return codes(await Promise.all(times(4, () => post(url, body))));
    },
    refusedBy: ["request_memory_exceeded"],
  },
  "compressed bodies": {
    run: async ({ url }) => {
      const body = brotli({ model: "m", input: "x".repeat(48 * MIB) });
      return codes(
        await Promise.all(times(6, () => post(url, body, "key-one-is-long-enough", { "content-encoding": "br" }))),
      );
    },
    refusedBy: ["request_memory_exceeded"],
  },
  compactions: {
    run: async ({ url, folder }) => {
      const seal = new CipherSeal(() => keyFile(join(folder, "compaction.key")));
      const parts = { form: 1, replaces: false, before: [], summary: "x".repeat(4 * MIB), after: [] };
      const item = { type: "compaction", encrypted_content: seal.seal("attacker", JSON.stringify(parts)) };
      const body = brotli({ model: "m", input: [...times(200, () => item), user("Hi")] });
      return codes([await post(url, body, "key-one-is-long-enough", { "content-encoding": "br" })]);
    },
    refusedBy: ["context_length_exceeded", "request_memory_exceeded"],
  },
  "references to large items": {
    run: async ({ url }) => {
      const stored: Answered[] = [];
      for (let turn = 0; turn < 16; turn += 1) stored.push(await post(url, { input: [user("x".repeat(2 * MIB))] }));
      const references = stored.map(({ id }) => ({ type: "item_reference", id: `${id.replace("resp_", "msg_")}i0` }));
      return codes([await post(url, { input: references })]);
    },
    refusedBy: ["context_length_exceeded", "request_memory_exceeded"],
  },
  "a long chain": {
    run: async ({ url }) => {
      const answers: Answered[] = [];
      for (let turn = 0; turn < 24 && (answers.at(-1)?.code ?? null) === null; turn += 1) {
        const previous = answers.at(-1)?.id;
        answers.push(await post(url, { input: [user("x".repeat(2 * MIB))], previous_response_id: previous }));
      }
      return codes(answers);
    },
    refusedBy: ["context_length_exceeded"],
  },
  "connections that keep their contexts": {
    run: async ({ url }) => {
      const sockets = await Promise.all(times(24, () => open(url)));
      const all: (string | null)[] = [];
      for (const socket of sockets) {
        const input = [user("x".repeat(4 * MIB))];
        socket.send(JSON.stringify({ type: "response.create", model: "m", store: false, input }));
        all.push(await lastCode(socket));
      }
      for (const socket of sockets) socket.terminate();
      return [...new Set(all)];
    },
    refusedBy: ["tenant_memory_exceeded"],
  },
  "responses that fill the store": {
    run: async ({ url }) => {
      const answers: Answered[] = [];
      for (let turn = 0; turn < 12; turn += 1) answers.push(await post(url, { input: "x".repeat(200_000) }));
      return codes(answers);
    },
    refusedBy: ["tenant_storage_exceeded"],
    flags: ["--store-quota-bytes-per-tenant", "1MiB"],
  },
  "replays that are not read": {
    run: async ({ url }) => {
      const { id } = await post(url, { model: "long", input: "Hi" });
      const { port } = new URL(url);
      const head = `GET /v1/responses/${id}?stream=true HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer key-one-is-long-enough\r\n\r\n`;
      const all = await Promise.all(
        times(60, async () => {
          const socket = connect(Number(port), "127.0.0.1");
          onTestFinished(() => void socket.destroy());
          socket.on("error", () => undefined).write(head);
          // Only the beginning is read.
          const [first] = await new Promise<[Buffer]>((resolve) => {
            socket.once("data", (data: Buffer) => resolve([data]));
            socket.once("close", () => resolve([Buffer.alloc(0)]));
          });
          socket.pause();
          return first.toString("latin1").match(/"code":"(\w+_exceeded)"/)?.[1] ?? null;
        }),
      );
      return [...new Set(all)];
    },
    refusedBy: ["tenant_memory_exceeded"],
  },
};

async function open(url: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/v1/responses`, {
    headers: { authorization: "Bearer key-one-is-long-enough" },
  });
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("open", resolve));
  return socket;
}

/** The code that a turn was refused or failed with; null when it has completed. */
function lastCode(socket: WebSocket): Promise<string | null> {
  return new Promise((resolve) => {
    socket.once("close", () => resolve("connection lost"));
    socket.on("message", (data: Buffer) => {
      const text = data.toString();
      const { type } = JSON.parse(text) as { type: string };
      if (type === "response.completed") resolve(null);
      if (type === "error" || type === "response.failed") resolve(/"code":"(\w+)"/.exec(text)?.[1] ?? "unknown");
    });
  });
}

const LONG_MS = 120_000;

describe("one key cannot use up the memory of the server, by", () => {
  test.each(Object.keys(ATTACKS))(
    "%s",
    async (name) => {
      const { run, refusedBy, flags } = ATTACKS[name] as (typeof ATTACKS)[string];
      const target = await start(null, flags);
      const seen = await run(target);
      expect(seen.filter((code) => code !== null && refusedBy.includes(code))).not.toEqual([]);
      expect(seen).not.toContain("connection lost");
      expect(target.child.exitCode).toBeNull();
      const other = await post(target.url, { input: "Hi" }, "key-two-is-long-enough");
      expect(other).toMatchObject({ status: 200, code: null });
    },
    LONG_MS,
  );
});

describe("a server in which", () => {
  test.each(MEMORY_MUTANTS)(
    "$name is caught by $caughtBy",
    async ({ name, caughtBy }) => {
      const { run, refusedBy, flags } = ATTACKS[caughtBy] as (typeof ATTACKS)[string];
      const target = await start(name, flags);
      const seen = await run(target);
      expect(seen.filter((code) => code !== null && refusedBy.includes(code))).toEqual([]);
    },
    LONG_MS,
  );
});
