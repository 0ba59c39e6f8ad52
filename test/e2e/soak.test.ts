import { isDeepStrictEqual } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Holding } from "../support/soak-server.ts";
import { SoakChild } from "../support/soak-child.ts";
import { WsClient } from "../support/ws-client.ts";

/** Memory that stays flat, and a server that holds nothing when its clients have left. */

let child: SoakChild;
let idle: Holding;

beforeEach(async () => {
  child = await SoakChild.start();
  idle = await child.holding();
});

afterEach(async () => {
  await child.end();
});

/** What a tool might have said. */
const PADDING = "x".repeat(500);

const connect = () => WsClient.open(`${child.url.replace("http", "ws")}/v1/responses`, undefined);
const message = (role: string, content: string) => ({ type: "message", role, content });
const ask = (text: string) => message("user", `Reply with exactly: ${text}`);

/** Waits until the server is as it was before anybody came. */
function untilIdle(): Promise<Holding> {
  return child.until(
    ({ openSessions, resources }) => openSessions === 0 && isDeepStrictEqual(resources, idle.resources),
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** What the heap holds beyond what an idle server needs. */
function overIdle(holdings: readonly Holding[]): number {
  return median(holdings.map(({ heapUsed }) => heapUsed)) - idle.heapUsed;
}

/** How much more that is at the end than in the middle. */
function growth(middle: readonly Holding[], end: readonly Holding[]): number {
  return overIdle(end) / overIdle(middle);
}

// Node runs the child as it is from 22.18 on.
describe.skipIf(!process.features.typescript)("the server", () => {
  test("holds a listener, and no other socket or timer, before anybody comes", () => {
    expect(idle.openSessions).toBe(0);
    expect(idle.resources.filter((name) => /^(TCP|Timeout|Immediate)/.test(name))).toEqual(["TCPServerWrap"]);
  });

  test("needs no more memory for its ten thousandth turn on one connection than for its three thousandth", async () => {
    const client = await connect();
    const heap: Holding[] = [];
    let previous: string | undefined;
    for (let turn = 0; turn < 10_000; turn += 1) {
      // Chains of 40 turns; the second half of every other one is stored, with all that it continues.
      if (turn % 40 === 0) previous = undefined;
      const store = turn % 80 >= 60;
      const continued = previous === undefined ? {} : { previous_response_id: previous };
      const input = [message("developer", `${turn} ${PADDING}`), ask("yes")];
      const { last } = await client.turn({ model: "sim", store, input, ...continued });
      expect(last.type).toBe("response.completed");
      previous = last.response?.id;
      if (turn % 250 === 249) heap.push(await child.holding());
    }
    const quarter = (index: number) => heap.slice(index * 10, index * 10 + 10);
    expect(growth(quarter(1), quarter(3))).toBeLessThan(1.5);
    expect(growth(quarter(2), quarter(3))).toBeLessThan(1.5);
    expect(heap.at(-1)).toMatchObject({ openSessions: 1 });
    await client.leave();
    await untilIdle();
  }, 60_000);

  test("keeps nothing of waves of clients that leave in the middle of a turn", async () => {
    const heap: Holding[] = [];
    for (let wave = 0; wave < 8; wave += 1) {
      const clients = await Promise.all(Array.from({ length: 200 }, connect));
      await Promise.all(
        clients.map(async (client, index) => {
          const fields = { model: "sim", store: index % 2 === 0 };
          const { response } = await client.turn({ ...fields, input: [ask("yes")] });
          client.create({ ...fields, input: [ask("word ".repeat(500))], previous_response_id: response.id });
          // The first word is here, and most are still to come.
          while ((await client.frame()).type !== "response.output_text.delta");
          client.socket.terminate();
        }),
      );
      heap.push(await untilIdle());
      expect(heap.at(-1)).toMatchObject({ abandoned: 200 * (wave + 1) });
    }
    expect(growth(heap.slice(2, 5), heap.slice(5))).toBeLessThan(1.5);
  }, 60_000);
});
