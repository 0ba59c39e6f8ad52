import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { type LinkClock, parseLink, Pipe, startLinkProxy, Way } from "../../src/bench/link.ts";

/** A clock that stands still until it is told to go on. */
class FakeClock implements LinkClock {
  #now = 0;
  #timers: { readonly at: number; readonly act: () => void }[] = [];

  now = (): number => this.#now;

  after = (ms: number, act: () => void): void => {
    this.#timers.push({ at: this.#now + ms, act });
  };

  /** Lets everything happen that is due until then, in its order. */
  advance(until: number): void {
    for (;;) {
      const next = this.#timers.toSorted((one, other) => one.at - other.at)[0];
      if (next === undefined || next.at > until) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = Math.max(this.#now, next.at);
      next.act();
    }
    this.#now = until;
  }
}

describe("a pipe", () => {
  test("takes its delay, and the time that the bytes need", () => {
    const pipe = new Pipe(8_000_000, 30);
    expect(pipe.arrival(100, 1000)).toBe(131);
  });

  test("sends one after another: what comes second waits for the first to have left", () => {
    const pipe = new Pipe(8_000_000, 30);
    expect(pipe.arrival(0, 5000)).toBe(35);
    expect(pipe.arrival(0, 1000)).toBe(36);
    expect(pipe.arrival(100, 1000)).toBe(131);
  });

  test("without a bound has its delay only", () => {
    expect(new Pipe(Infinity, 10).arrival(5, 1e9)).toBe(15);
  });
});

describe("a way through a pipe", () => {
  test("delivers the first packets of a long message before the last, and all in order", () => {
    const clock = new FakeClock();
    const got: { readonly at: number; readonly bytes: Buffer | null }[] = [];
    const way = new Way(new Pipe(8_000_000, 20), clock, (bytes) => got.push({ at: clock.now(), bytes }));
    const message = Buffer.from(Array.from({ length: 10_000 }, (_, index) => index % 251));
    way.push(message);
    way.push(null);
    expect(way.waitingBytes).toBe(10_000);
    clock.advance(20);
    expect(got).toEqual([]);
    clock.advance(1000);
    expect(got.at(0)?.at).toBeCloseTo(21.448);
    expect(got.at(-1)).toEqual({ at: 30, bytes: null });
    expect(Buffer.concat(got.map(({ bytes }) => bytes ?? Buffer.alloc(0)))).toEqual(message);
    expect(way.waitingBytes).toBe(0);
  });

  test("lets nothing leave before the connection is open", () => {
    const clock = new FakeClock();
    const at: number[] = [];
    const way = new Way(new Pipe(Infinity, 30), clock, () => at.push(clock.now()), 60);
    way.push(Buffer.from("hello"));
    clock.advance(500);
    expect(at).toEqual([90]);
  });

  test("shares its pipe with others", () => {
    const clock = new FakeClock();
    const at: number[] = [];
    const pipe = new Pipe(8_000_000, 0);
    for (const size of [1000, 1000]) new Way(pipe, clock, () => at.push(clock.now())).push(Buffer.alloc(size));
    clock.advance(10);
    expect(at).toEqual([1, 2]);
  });
});

describe("a link in words", () => {
  test("has a round trip and a rate for each way", () => {
    expect(parseLink("rtt=60ms,up=20mbit,down=0.1gbit")).toEqual({
      name: "rtt=60ms,up=20mbit,down=0.1gbit",
      rttMs: 60,
      upBitsPerSecond: 20e6,
      downBitsPerSecond: 100e6,
    });
    expect(parseLink("up=512kbit")).toMatchObject({ rttMs: 0, upBitsPerSecond: 512_000, downBitsPerSecond: Infinity });
  });

  test.each([["rtt=60"], ["up=fast"], ["down="], ["loss=1%"]])("refuses %s", (text) => {
    expect(() => parseLink(text)).toThrow(/is not like|a link has/);
  });
});

test("a proxy passes both ways on unchanged, and the end of each", async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const proxy = await startLinkProxy(parseLink("rtt=2ms,up=800mbit,down=800mbit"), `http://127.0.0.1:${port}`);
  onTestFinished(async () => {
    await proxy.close();
    server.close();
  });
  const socket = connect({ host: "127.0.0.1", port: Number(new URL(proxy.url).port), allowHalfOpen: true });
  const message = Buffer.alloc(300_000, "to and fro ");
  socket.end(message);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).equals(message)).toBe(true);
});

test("a link in front of TLS is refused in words", async () => {
  await expect(startLinkProxy(parseLink("rtt=2ms"), "https://127.0.0.1:1")).rejects.toThrow("for http only");
});
