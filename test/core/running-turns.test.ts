import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RunningTurns } from "../../src/core/running-turns.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { answer, finish, Gate } from "../../src/testing/index.ts";
import { startServer } from "../support/server.ts";

const refusedBy = (work: () => unknown): string | null => {
  try {
    work();
    return null;
  } catch (error) {
    return error instanceof ApiError ? error.code : String(error);
  }
};

describe("running turns", () => {
  test("are never more than the limits, and as many as they allow", () => {
    const step = fc.record({ enters: fc.boolean(), tenant: fc.constantFrom("a", "b", "c"), which: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const turns = new RunningTurns({ turns: 5, turnsPerTenant: 3 });
        const running: { readonly tenant: string; readonly leave: () => void }[] = [];
        for (const { enters, tenant, which } of steps) {
          const own = running.filter((each) => each.tenant === tenant).length;
          const isFull = own >= 3 || running.length >= 5;
          expect(refusedBy(() => turns.check(tenant))).toBe(isFull ? "too_many_turns" : null);
          if (enters && !isFull) running.push({ tenant, leave: turns.enter(tenant) });
          if (!enters) for (const { leave } of running.splice(which, 1)) leave();
        }
      }),
    );
  });
});

const waiting = (gate: Gate) => [[{ type: "text.delta" as const, delta: "x" }], gate, finish()];

const post = (server: Awaited<ReturnType<typeof startServer>>, key?: string) =>
  server.http(key).create({ input: "a", store: false });

describe("a turn beyond the limit", () => {
  test("is refused with 429 over HTTP before its body is read, and its model is not asked", async () => {
    const gate = new Gate();
    const server = await startServer({ steps: [waiting(gate), answer("b")], limits: { turnsPerTenant: 1 } });
    const first = post(server);
    await server.backend.call(0);
    const refused = await server.http().call("/v1/responses", { method: "POST", body: "{not json" });
    expect(refused).toMatchObject({ status: 429, json: { error: { code: "too_many_turns" } } });
    expect(refused.headers["retry-after"]).toBe("1");
    gate.open();
    expect((await first).status).toBe(200);
    expect((await post(server)).status).toBe(200);
    expect(server.backend.calls).toHaveLength(2);
  });

  test("leaves other tenants alone, up to the limit of the server", async () => {
    const keys = ["a", "b", "c"].map((tenant) => ({ tenant, key: `key-of-tenant-${tenant}` }));
    const gate = new Gate();
    const steps = [waiting(gate), waiting(gate), answer("c")];
    const server = await startServer({ keys, steps, limits: { turnsPerTenant: 1, turns: 2 } });
    const running = [post(server, keys[0]?.key), post(server, keys[1]?.key)];
    await server.backend.call(1);
    expect((await post(server, keys[2]?.key)).status).toBe(429);
    gate.open();
    for (const each of running) expect((await each).status).toBe(200);
    expect((await post(server, keys[2]?.key)).status).toBe(200);
  });

  test("over WebSocket does not forget what it continues", async () => {
    const gate = new Gate();
    const steps = [answer("a"), waiting(gate), answer("c")];
    const server = await startServer({ steps, limits: { turnsPerTenant: 1 } });
    const client = await server.connect();
    const { response } = await client.turn({ input: "a", store: false });
    const other = await server.connect();
    other.create({ input: "b" });
    await server.backend.call(1);
    client.create({ input: "c", previous_response_id: response.id, store: false });
    expect(await client.frame()).toMatchObject({ type: "error", status: 429, error: { code: "too_many_turns" } });
    gate.open();
    await other.rest();
    const again = await client.turn({ input: "c", previous_response_id: response.id, store: false });
    expect(again.response.status).toBe("completed");
  });
});
