import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MemoryLease, Memory } from "../../src/core/budget.ts";
import { ContextMemory } from "../../src/core/context-memory.ts";
import { ApiError } from "../../src/protocol/errors.ts";

const memory = () => new Memory({ serverBytes: 100, tenantBytes: 60 });

function codeOf(work: () => void): string | null {
  try {
    work();
    return null;
  } catch (error) {
    return (error as ApiError).code;
  }
}

describe("bytes of memory", () => {
  test("are refused to a tenant that has its share, and granted to others", () => {
    const budget = memory();
    budget.of("a").open().grow(60);
    expect(codeOf(() => budget.of("a").open().grow(1))).toBe("tenant_memory_exceeded");
    expect(codeOf(() => budget.of("b").open().grow(40))).toBeNull();
    expect(codeOf(() => budget.of("b").open().grow(1))).toBe("server_memory_exceeded");
  });

  test("that one request can never have are refused for good, others with the time to come back", () => {
    const budget = memory();
    const lease = budget.of("a").open();
    lease.grow(10);
    expect(codeOf(() => lease.grow(51))).toBe("request_memory_exceeded");
    expect(lease.bytes).toBe(10);
    const errors = [51, 61].map((bytes) => budget.of("a").refusal(0, bytes));
    expect(errors.map(({ status, retryAfter }) => [status, retryAfter])).toEqual([
      [429, 2],
      [413, undefined],
    ]);
  });

  test("are given back by the last holder, once", () => {
    const budget = memory();
    const lease = budget.of("a").open();
    lease.grow(60);
    lease.share();
    lease.release();
    expect(budget.used).toBe(60);
    lease.release();
    lease.release();
    lease.grow(5);
    expect([budget.used, budget.of("a").used, budget.of("a").free]).toEqual([0, 0, 60]);
  });

  test("whatever leases do, what is used is what they hold, within the budgets, and zero in the end", () => {
    const step = fc.record({
      tenant: fc.constantFrom("a", "b", "c"),
      lease: fc.nat(3),
      act: fc.constantFrom("grow", "resize", "tryResize", "share", "release"),
      bytes: fc.nat(70),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const budget = memory();
        const leases = new Map<string, { readonly lease: MemoryLease; holders: number; bytes: number }>();
        for (const { tenant, lease: number, act, bytes } of steps) {
          const name = `${tenant}${number}`;
          const made = () => ({ lease: budget.of(tenant).open(), holders: 1, bytes: 0 });
          const held = leases.get(name) ?? made();
          leases.set(name, held);
          const { lease } = held;
          const outcomes: [boolean, boolean][] = [];
          const before = held.bytes;
          const target = act === "grow" ? before + bytes : bytes;
          if (act === "share") {
            lease.share();
            if (held.holders > 0) held.holders += 1;
          } else if (act === "release") {
            lease.release();
            held.holders = Math.max(0, held.holders - 1);
            if (held.holders === 0) held.bytes = 0;
          } else if (held.holders > 0) {
            const fits = target - before <= budget.of(tenant).free;
            const change = (): boolean => {
              if (act === "tryResize") return lease.tryResize(target);
              return codeOf(() => (act === "grow" ? lease.grow(bytes) : lease.resize(target))) === null;
            };
            outcomes.push([change(), fits]);
            if (fits) held.bytes = target;
          } else {
            lease.grow(bytes);
          }
          expect(lease.bytes).toBe(held.bytes);
          for (const [changed, expected] of outcomes) expect(changed).toBe(expected);
          const sum = (of: string) =>
            [...leases].reduce((total, [key, each]) => total + (key.startsWith(of) ? each.bytes : 0), 0);
          for (const each of ["a", "b", "c"]) expect(budget.of(each).used).toBe(sum(each));
          expect(budget.used).toBe(sum(""));
          expect(budget.used).toBeLessThanOrEqual(100);
        }
        for (const held of leases.values()) for (; held.holders > 0; held.holders -= 1) held.lease.release();
        expect(budget.used).toBe(0);
      }),
    );
  });
});

/** Opens a sealed text as a seal does. */
const open = (text: string) => (limit: number) => {
  if (text.length > limit) throw new RangeError("too long");
  return text;
};

describe("the memory of a context", () => {
  test("unseals no more than the context may have, all sealed texts together", () => {
    const context = new ContextMemory(new Memory().of("a").open(), 10);
    expect(context.unseal("s", open("123456"))).toBe("123456");
    expect(codeOf(() => context.unseal("s", open("12345")))).toBe("context_length_exceeded");
    expect(context.unseal("s", open("1234"))).toBe("1234");
  });

  test("unseals no more than there is memory for, and says which budget that is", () => {
    const budget = memory();
    const other = budget.of("a").open();
    other.grow(40);
    const context = new ContextMemory(budget.of("a").open());
    expect(codeOf(() => context.unseal("s", open("1234567")))).toBe("tenant_memory_exceeded");
    other.release();
    expect(codeOf(() => context.unseal("s", open("x".repeat(21))))).toBe("request_memory_exceeded");
    expect(context.unseal("s", open("1234567"))).toBe("1234567");
    context.release();
    expect(budget.used).toBe(0);
  });

  test("refuses a chain before it is loaded", () => {
    const context = new ContextMemory(memory().of("a").open(), 50);
    expect(codeOf(() => context.chain(51))).toBe("context_length_exceeded");
    expect(codeOf(() => context.chain(50))).toBe("request_memory_exceeded");
    expect(codeOf(() => context.chain(20))).toBeNull();
  });
});
