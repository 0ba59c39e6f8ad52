import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openClient, play } from "../../src/bench/client.ts";
import { generate } from "../../src/bench/generate.ts";
import { marked } from "../../src/bench/recording.ts";
import { MODES } from "../../src/bench/requests.ts";
import type { Target } from "../../src/bench/target.ts";
import { answerOf } from "../../src/bench/upstream.ts";
import { ChatUpstream } from "../support/chat-upstream.ts";

/** The floor has to do the whole job, or its speed would mean nothing. */

let upstream: ChatUpstream;
let floor: ChildProcess;
let target: Target;

beforeAll(async () => {
  upstream = await ChatUpstream.start();
  const port = await freePort();
  const file = new URL("../../bench/floor.ts", import.meta.url).pathname;
  floor = spawn(process.execPath, [file, "--upstream", upstream.url, "--port", String(port)], { stdio: "inherit" });
  target = { name: "floor", url: `http://127.0.0.1:${port}`, key: null, pid: null };
  await untilListening(port);
});

afterAll(async () => {
  const ended = once(floor, "exit");
  floor.kill();
  await ended;
  await upstream.close();
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function untilListening(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const isOpen = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Where two texts part, in few words: whole contexts would fill the screen. */
function firstDifference(one: string, other: string): readonly string[] | null {
  if (one === other) return null;
  let at = 0;
  while (one[at] === other[at]) at += 1;
  return [one.slice(at - 60, at + 60), other.slice(at - 60, at + 60)];
}

test("the floor shows the model the same context in every mode, and tells the client all that it said", async () => {
  const run = marked(generate("coding", 4, 8), "");
  const contexts: string[][] = [];
  for (const mode of MODES) {
    const first = upstream.calls.length;
    for (const { output } of run.turns) {
      const { bursts, finish } = answerOf(output, 8);
      upstream.script((response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        for (const burst of bursts) response.write(burst);
        response.end(`data: {"choices":[{"index":0,"delta":{},"finish_reason":"${finish}"}]}\n\ndata: [DONE]\n\n`);
      });
    }
    const client = await openClient(target, mode);
    let index = 0;
    for await (const { output } of play(client, run, mode)) {
      expect(output).toMatchObject(run.turns[index++]?.output ?? []);
    }
    client.close();
    contexts.push(upstream.calls.slice(first).map(({ raw }) => raw.slice(raw.indexOf('"messages"'))));
  }
  const [full = [], ...others] = contexts;
  expect(full).toHaveLength(8);
  for (const other of others) {
    for (const [turn, context] of other.entries()) expect(firstDifference(context, full[turn] ?? "")).toBeNull();
  }
});
