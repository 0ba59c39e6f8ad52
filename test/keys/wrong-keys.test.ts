import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type WrongKey, WrongKeys } from "../../src/keys/wrong-keys.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { startServer } from "../support/server.ts";

function make() {
  let now = 0;
  const log: WrongKey[] = [];
  const wrong = new WrongKeys(
    () => now,
    (each) => log.push(each),
  );
  const isHeard = (address: string, hash: string): boolean => {
    try {
      wrong.check(address, hash);
      return true;
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "rate_limit_exceeded" || !error.retryAfter) throw error;
      return false;
    }
  };
  /** Tries a wrong key. @returns whether it was looked at */
  const guess = (address: string): boolean => {
    if (!isHeard(address, "wrong")) return false;
    wrong.wrong(address);
    return true;
  };
  return { wrong, log, isHeard, guess, pass: (ms: number) => (now += ms) };
}

describe("an address that sends wrong keys", () => {
  test("is heard ten times at once, and ten times a minute then, however often it asks", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2000 }), { minLength: 50, maxLength: 300 }), (waits) => {
        const { guess, pass } = make();
        let heard = 0;
        let time = 0;
        for (const wait of waits) {
          pass(wait);
          time += wait;
          if (guess("192.0.2.1")) heard += 1;
        }
        expect(heard).toBeLessThanOrEqual(10 + Math.ceil(time / 6000) + 1);
      }),
    );
  });

  test("may use a key that was right from there, and no other", () => {
    const { wrong, guess, isHeard, pass } = make();
    wrong.right("192.0.2.1", "right");
    while (guess("192.0.2.1"));
    expect(isHeard("192.0.2.1", "right")).toBe(true);
    expect(isHeard("192.0.2.1", "unknown")).toBe(false);
    expect(isHeard("192.0.2.2", "unknown")).toBe(true);
    pass(6000);
    expect(isHeard("192.0.2.1", "unknown")).toBe(true);
  });

  test("is one with its network in IPv6, and with itself as IPv4 in IPv6", () => {
    const { guess } = make();
    while (guess("2001:db8:1:2::1"));
    expect(guess("2001:db8:1:2:ffff:1:2:3")).toBe(false);
    expect(guess("2001:db8:1:3::1")).toBe(true);
    while (guess("::ffff:192.0.2.1"));
    expect(guess("192.0.2.1")).toBe(false);
  });

  test("gives two lines of the log, however many keys it sends", () => {
    const { guess, log } = make();
    for (let count = 0; count < 1000; count += 1) guess("192.0.2.1");
    expect(log).toEqual([
      { address: "192.0.2.1", count: 1, isSlowed: false },
      { address: "192.0.2.1", count: 10, isSlowed: true },
    ]);
  });

  test("does not make the memory grow: of very many addresses the oldest are forgotten", () => {
    const { wrong } = make();
    for (let count = 0; count < 30_000; count += 1) wrong.wrong(`10.0.${count >> 8}.${count & 255}`);
    expect(wrong.size).toBe(10_000);
  });
});

describe("a server", () => {
  const keys = [{ tenant: "acme", key: "the-key-of-acme" }];

  test("answers 429 to an address with many wrong keys, over HTTP and WebSocket, and serves who was there before", async () => {
    const server = await startServer({ keys });
    const statuses: number[] = [];
    expect((await server.http("the-key-of-acme").call("/v1/models")).status).toBe(200);
    for (let count = 0; count < 12; count += 1) {
      statuses.push((await server.http(`guess-${count}`).call("/v1/models")).status);
    }
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429, 429]);
    const slowed = await server.http("another").call("/v1/models");
    expect(slowed.json).toMatchObject({ error: { code: "rate_limit_exceeded" } });
    expect(slowed.headers["retry-after"]).toBe("6");
    await expect(server.connect({ key: "guess-by-socket" })).rejects.toThrow("429");
    expect((await server.http("the-key-of-acme").call("/v1/models")).status).toBe(200);
    expect(server.wrongKeys.map(({ count, isSlowed }) => [count, isSlowed])).toEqual([
      [1, false],
      [10, true],
    ]);
    expect(JSON.stringify(server.wrongKeys)).not.toContain("guess");
  });
});
