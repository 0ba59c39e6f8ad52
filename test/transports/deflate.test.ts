import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { answer, finish, type Move } from "../../src/testing/index.ts";
import { rawUpgrade } from "../support/raw-upgrade.ts";
import { startServer } from "../support/server.ts";
import type { WsClient } from "../support/ws-client.ts";

const PATH = "/v1/responses";
const OFFER = { "sec-websocket-extensions": "permessage-deflate; client_max_window_bits" };
const EXTENSIONS = "sec-websocket-extensions";

/** Bytes that have gone over the wire, in and out. */
function bytesOf(client: WsClient): { readonly up: number; readonly down: number } {
  const { bytesWritten, bytesRead } = (client.socket as unknown as { readonly _socket: Socket })._socket;
  return { up: bytesWritten, down: bytesRead };
}

/** Bytes that a client with this echo gets in twenty turns. */
async function twentyTurns(echo: "full" | "minimal"): Promise<number> {
  const steps = Array.from({ length: 20 }, () => answer("ok"));
  const server = await startServer({ policy: { deflate: "on", echo }, steps });
  const client = await server.connect({ deflate: true });
  for (const _step of steps) await client.turn({ input: "x", instructions: "y".repeat(500) });
  return bytesOf(client).down;
}

describe("an offer to compress", () => {
  test.each([
    ["off", {}, false],
    ["on", {}, true],
    ["auto", {}, false],
    ["auto", { "x-forwarded-for": "203.0.113.9" }, true],
    ["auto", { forwarded: "for=203.0.113.9" }, true],
  ] as const)(
    "from this machine, when the policy is %s and the headers are %j: taken %s",
    async (deflate, headers, isTaken) => {
      const server = await startServer({ policy: { deflate } });
      const { status, headers: answered } = await rawUpgrade(server.url, PATH, { ...OFFER, ...headers });
      expect(status).toBe(101);
      expect(answered[EXTENSIONS]).toBe(isTaken ? "permessage-deflate" : undefined);
    },
  );

  test.each([
    ["permessage-deflate; server_max_window_bits=10", "permessage-deflate; server_max_window_bits=10"],
    ["permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"],
    ["permessage-deflate; what=ever", undefined],
    ["permessage-deflate; server_max_window_bits=99", undefined],
    ["permessage-deflate; server_max_window_bits=10; server_max_window_bits=11", undefined],
    ["x-webkit-deflate-frame", undefined],
  ])("is taken as it is or declined, and never a reason to refuse: %s", async (offer, taken) => {
    const server = await startServer({ policy: { deflate: "on" } });
    const { status, headers } = await rawUpgrade(server.url, PATH, { [EXTENSIONS]: offer });
    expect(status).toBe(101);
    expect(headers[EXTENSIONS]).toBe(taken);
  });

  test("is declined while enough connections compress", async () => {
    const server = await startServer({ policy: { deflate: "on" }, transportLimits: { maxDeflateConnections: 1 } });
    const first = await server.connect({ deflate: true });
    expect(first.socket.extensions).toBe("permessage-deflate");
    expect((await server.connect({ deflate: true })).socket.extensions).toBe("");
    await first.leave();
    expect((await server.connect({ deflate: true })).socket.extensions).toBe("permessage-deflate");
  });
});

describe("a connection that compresses", () => {
  test("sends what repeats itself once: turns cost what is new in them", async () => {
    const server = await startServer({ policy: { deflate: "on" }, steps: [answer("1"), answer("2"), answer("3")] });
    const client = await server.connect({ deflate: true });
    // As random as tools are not: only the memory of the last turn can make it small.
    const instructions = Array.from({ length: 2000 }, (_nothing, index) => (index * 7919 * 7919) % 999_983).join(" ");
    const turn = async () => {
      const before = bytesOf(client);
      const { response } = await client.turn({ instructions, input: "x", store: false });
      expect(response.instructions).toBe(instructions);
      const after = bytesOf(client);
      return { up: after.up - before.up, down: after.down - before.down };
    };
    const first = await turn();
    const second = await turn();
    expect(first.up).toBeGreaterThan(3000);
    expect(second.up).toBeLessThan(300);
    expect(second.down).toBeLessThan(first.down);
  });

  test("gets large messages compressed, and small ones as they are, in their order", async () => {
    const pieces: Move[] = Array.from({ length: 200 }, () => [{ type: "text.delta", delta: "x".repeat(100) }]);
    const large: Move = [{ type: "text.delta", delta: "y".repeat(100_000) }];
    const run = async (deflateThreshold: number) => {
      const steps = [[...pieces, large, ...pieces, finish()]];
      const server = await startServer({ policy: { deflate: "on" }, transportLimits: { deflateThreshold }, steps });
      const client = await server.connect({ deflate: true });
      const { frames } = await client.turn({ input: "x" });
      expect(frames.map((frame) => frame.sequence_number)).toEqual(frames.map((_frame, index) => index));
      return {
        wire: bytesOf(client).down,
        plain: frames.reduce((sum, frame) => sum + JSON.stringify(frame).length, 0),
      };
    };
    const some = await run(4096);
    const none = await run(Infinity);
    expect(none.wire).toBeGreaterThan(none.plain);
    // The large ones are gone, the 400 small ones are there.
    expect(some.wire).toBeLessThan(some.plain - 5 * 100_000);
    expect(some.wire).toBeGreaterThan(400 * 200);
  });

  test("gets snapshots without their echo compressed, small as they are", async () => {
    // With its 500 letters a snapshot is still below the other threshold.
    expect(await twentyTurns("minimal")).toBeLessThan((await twentyTurns("full")) / 2);
  });

  test("is closed with 1009 for a small message that is large inside", async () => {
    const server = await startServer({ policy: { deflate: "on" }, transportLimits: { maxMessageBytes: 1_000_000 } });
    const client = await server.connect({ deflate: true });
    client.create({ input: "x".repeat(2_000_000) });
    expect(await client.closed()).toEqual({ code: 1009, reason: "message is larger than the limit" });
    expect(bytesOf(client).up).toBeLessThan(100_000);
  });
});
