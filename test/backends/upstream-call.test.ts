import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { Pool } from "undici";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UpstreamCall } from "../../src/backends/upstream-call.ts";

let answer: (response: ServerResponse) => void;
let pool: Pool;
const server = createServer((_request, response) => answer(response));

beforeEach(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  pool = new Pool(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterEach(async () => {
  await pool.destroy();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function call(): UpstreamCall {
  return new UpstreamCall(pool, { method: "GET", path: "/" });
}

async function textOf(made: UpstreamCall): Promise<string> {
  const all: Uint8Array[] = [];
  for (let chunks = await made.read(); chunks !== null; chunks = await made.read()) all.push(...chunks);
  return Buffer.concat(all).toString();
}

/** Resolves when the number has not changed for many turns of the event loop. */
async function standstill(read: () => number): Promise<void> {
  let last = -1;
  for (let same = 0; same < 500; same += 1) {
    if (read() !== last) same = 0;
    last = read();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("an answer comes with its head, whole and in order, and then it is over", async () => {
  const text = Array.from({ length: 50_000 }, (_, index) => `${index} `).join("");
  answer = (response) => response.writeHead(201, { "x-a": "b" }).end(text);
  const made = call();
  expect(await made.head).toMatchObject({ status: 201, headers: { "x-a": "b" } });
  expect(await textOf(made)).toBe(text);
  expect(await made.read()).toBeNull();
});

test("a reader that does not read holds the server up, and gets everything when it does", async () => {
  const piece = Buffer.alloc(1024 * 1024, "x");
  let written = 0;
  answer = (response) => {
    response.writeHead(200);
    const write = (): void => {
      while (written < 64) {
        written += 1;
        if (response.write(piece)) continue;
        response.once("drain", write);
        return;
      }
      response.end();
    };
    write();
  };
  const made = call();
  await made.head;
  await standstill(() => written);
  expect(written).toBeLessThan(64);
  expect((await textOf(made)).length).toBe(64 * piece.length);
});

test("an answer that breaks off gives what had come, then fails", async () => {
  answer = (response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write("half", () => response.destroy());
  };
  const made = call();
  expect(Buffer.concat((await made.read()) ?? []).toString()).toBe("half");
  await expect(made.read()).rejects.toThrow(/other side closed|terminated|socket/i);
});

test("nobody there is a failure of the head, and of whoever reads", async () => {
  const gone = new Pool("http://127.0.0.1:1");
  const made = new UpstreamCall(gone, { method: "GET", path: "/" });
  await expect(made.head).rejects.toThrow("ECONNREFUSED");
  await expect(made.read()).rejects.toThrow("ECONNREFUSED");
  await gone.destroy();
});

test("an abort ends a call wherever it is, and its connection with it", async () => {
  const left = Promise.withResolvers<void>();
  answer = (response) => {
    response.on("close", () => left.resolve());
    response.writeHead(200);
    response.write("on and on");
  };
  const made = call();
  await made.read();
  const next = made.read();
  made.abort();
  await expect(next).rejects.toThrow("ended");
  await left.promise;
  const other = call();
  other.abort();
  await expect(other.head).rejects.toThrow("ended");
});

test("a connection whose answer is not wanted any more is used again", async () => {
  const connections = new Set<unknown>();
  answer = (response) => {
    connections.add(response.socket);
    response.writeHead(200).end("x".repeat(1_000_000));
  };
  for (let count = 0; count < 3; count += 1) {
    const made = call();
    await made.head;
    made.discard(60_000);
    await made.read();
    // The pool takes the connection back once it has told us that the answer is over.
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(connections.size).toBe(1);
});

test.each([
  ["gzip", gzipSync],
  ["deflate", deflateSync],
  ["br", brotliCompressSync],
])("a body in %s is decoded, in whatever pieces it comes", async (encoding, encode) => {
  const body = "a long answer ".repeat(10_000);
  answer = (response) => {
    response.writeHead(200, { "content-encoding": encoding });
    const bytes = encode(body);
    for (let from = 0; from < bytes.length; from += 50) response.write(bytes.subarray(from, from + 50));
    response.end();
  };
  expect(await textOf(call())).toBe(body);
});

test("a body that is not in the encoding that it claims is a failure", async () => {
  answer = (response) => response.writeHead(200, { "content-encoding": "gzip" }).end("plain text");
  await expect(textOf(call())).rejects.toThrow("incorrect header check");
});

test("an answer that goes on behind its end loses its connection", async () => {
  const left = Promise.withResolvers<void>();
  answer = (response) => {
    response.on("close", () => left.resolve());
    response.writeHead(200).write("on and on");
  };
  const made = call();
  await made.head;
  made.discard(1);
  await left.promise;
});
