import fc from "fast-check";
import { expect, test } from "vitest";
import { DEFAULT_TRANSPORT_LIMITS } from "../../src/transports/limits.ts";
import { LARGE_MESSAGE_BYTES, Reader } from "../../src/transports/reader.ts";

const message = (fields: object): Buffer => Buffer.from(JSON.stringify(fields));
const create = (name: string, size: number): Buffer =>
  message({ type: "response.create", model: name, input: "x".repeat(size) });

test("small and large messages are read in the order of their arrival", async () => {
  const sizes = fc.array(fc.constantFrom(1, 10, LARGE_MESSAGE_BYTES), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(sizes, async (order) => {
      const reader = new Reader(DEFAULT_TRANSPORT_LIMITS);
      const read: string[] = [];
      await Promise.all(
        order.map(async (size, index) => {
          const reading = reader.read(create(`${index}`, size));
          const done = reading instanceof Promise ? await reading : reading;
          if ("event" in done && done.event.type === "create") read.push(done.event.request.model);
        }),
      );
      expect(read).toEqual(order.map((_, index) => `${index}`));
    }),
    { numRuns: 20 },
  );
});

test("a small message behind nothing large is read at once", async () => {
  const reader = new Reader(DEFAULT_TRANSPORT_LIMITS);
  expect(reader.read(create("a", 1))).not.toBeInstanceOf(Promise);
  const large = reader.read(create("b", LARGE_MESSAGE_BYTES));
  expect(large).toBeInstanceOf(Promise);
  expect(reader.read(create("c", 1))).toBeInstanceOf(Promise);
  await large;
  await new Promise((resolve) => setImmediate(resolve));
  expect(reader.read(create("d", 1))).not.toBeInstanceOf(Promise);
});

test("others have their turn while a large message is read, and one that cannot be read is a reading, too", async () => {
  const broken = Buffer.from(`{"type":"response.create","input":"${"x".repeat(32 * LARGE_MESSAGE_BYTES)}`);
  let isRead = false;
  let turns = 0;
  const others = (): void => {
    turns += 1;
    if (!isRead) setImmediate(others);
  };
  setImmediate(others);
  const reading = await new Reader(DEFAULT_TRANSPORT_LIMITS).read(broken);
  isRead = true;
  expect(turns).toBeGreaterThan(1);
  expect(reading).toMatchObject({ thrown: { code: "invalid_json" }, value: null });
});
