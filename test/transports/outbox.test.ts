import { expect, test, vi } from "vitest";
import { Memory } from "../../src/core/budget.ts";
import { Outbox, type Wire } from "../../src/transports/outbox.ts";

/** A wire that delivers when it is told to. */
class FakeWire implements Wire {
  readonly log: string[] = [];
  readonly #pending: { readonly bytes: number; readonly sent: (() => void) | undefined }[] = [];

  send(frame: string, sent?: () => void): void {
    this.log.push(frame);
    this.#pending.push({ bytes: Buffer.byteLength(frame), sent });
  }
  get buffered(): number {
    return this.#pending.reduce((sum, { bytes }) => sum + bytes, 0);
  }
  cork(): void {
    this.log.push("cork");
  }
  uncork(): void {
    this.log.push("uncork");
  }
  giveUp(): void {
    this.log.push("give up");
  }
  deliver(count = 1): void {
    for (const { sent } of this.#pending.splice(0, count)) sent?.();
  }
}

const limits = { outboxHighWater: 10, outboxLowWater: 4, outboxExcess: 20, slowClientMs: 1000 };

/** Whether a promise has settled by the time that all that is ready has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol("pending");
  const turn = new Promise((resolve) => process.nextTick(resolve, pending));
  return (await Promise.race([promise.then(() => "settled"), turn])) !== pending;
}

test("what is written before the event loop goes on leaves together", async () => {
  const wire = new FakeWire();
  const outbox = new Outbox(wire, limits, new Memory().of("a").open());
  expect(outbox.write(["a", "b"])).toBeUndefined();
  await Promise.resolve();
  expect(outbox.write(["c"])).toBeUndefined();
  expect(wire.log).toEqual(["cork", "a", "b", "c"]);
  await new Promise((resolve) => process.nextTick(resolve));
  expect(wire.log).toEqual(["cork", "a", "b", "c", "uncork"]);
  void outbox.write(["d"]);
  expect(wire.log.slice(-2)).toEqual(["cork", "d"]);
});

test("bytes are counted, not characters", () => {
  const outbox = new Outbox(new FakeWire(), limits, new Memory().of("a").open());
  void outbox.write(["é", "👋"]);
  expect(outbox.written).toBe(6);
});

test("nobody waits at the high water mark, and everybody beyond it until the low one", async () => {
  const wire = new FakeWire();
  const outbox = new Outbox(wire, limits, new Memory().of("a").open());
  expect(outbox.write(["12345", "12345"])).toBeUndefined();
  const full = outbox.write(["1"]) as Promise<void>;
  expect(outbox.write(["2"])).toBe(full);
  wire.deliver(2);
  expect(await isSettled(full)).toBe(false);
  wire.deliver();
  expect(await isSettled(full)).toBe(true);
  expect(outbox.write(["3"])).toBeUndefined();
});

test("whoever waits is let go when the client is gone, and nothing is written any more", async () => {
  const wire = new FakeWire();
  const outbox = new Outbox(wire, limits, new Memory().of("a").open());
  const full = outbox.write(["12345678901"]) as Promise<void>;
  outbox.close();
  await full;
  expect(outbox.write(["more"])).toBeUndefined();
  expect(wire.log).not.toContain("more");
});

test("a client that does not catch up in time is given up, and whoever waits is let go", async () => {
  vi.useFakeTimers();
  const wire = new FakeWire();
  const outbox = new Outbox(wire, limits, new Memory().of("a").open());
  const full = outbox.write(["12345678901"]) as Promise<void>;
  vi.advanceTimersByTime(999);
  expect(wire.log).not.toContain("give up");
  vi.advanceTimersByTime(1);
  vi.useRealTimers();
  await full;
  expect(wire.log).toContain("give up");
});

test("a client for which too much comes on top is given up at once, however large what made it fall behind", async () => {
  const wire = new FakeWire();
  const outbox = new Outbox(wire, limits, new Memory().of("a").open());
  const full = outbox.write(["x".repeat(1000)]) as Promise<void>;
  expect(outbox.write(["x".repeat(20)])).toBe(full);
  expect(wire.log).not.toContain("give up");
  expect(outbox.write(["x"])).toBeUndefined();
  expect(wire.log).toContain("give up");
  await full;
});

test("a client that has caught up is not given up later", async () => {
  vi.useFakeTimers();
  const wire = new FakeWire();
  const outbox = new Outbox(wire, limits, new Memory().of("a").open());
  void outbox.write(["12345678901"]);
  wire.deliver();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  expect(wire.log).not.toContain("give up");
});

test("what a client does not read is held against its tenant, and given back when it has left", () => {
  const KIB = 1024;
  const memory = new Memory({ serverBytes: 200 * KIB, tenantBytes: 200 * KIB });
  const wire = new FakeWire();
  const outbox = new Outbox(wire, { ...limits, outboxHighWater: KIB * KIB }, memory.of("a").open());
  const frame = "x".repeat(50 * KIB);
  void outbox.write([frame]);
  expect(memory.used).toBe(0);
  void outbox.write([frame, frame]);
  expect(memory.used).toBe(150 * KIB);
  wire.deliver(1);
  wire.deliver(1);
  expect(memory.used).toBe(0);
  void outbox.write([frame, frame, frame]);
  expect(wire.log.at(-1)).not.toBe("give up");
  void outbox.write([frame]);
  expect(wire.log.at(-1)).toBe("give up");
  expect(memory.used).toBe(0);
});
