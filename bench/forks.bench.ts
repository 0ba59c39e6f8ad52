// What forks cost: many of them begin at the end of one long chain, each on a connection's own lane, and the heap is
// measured before and after. `node --expose-gc bench/forks.bench.ts [turns] [forks]` prints it, with the chain as the unit.

import { Engine } from "../src/core/engine.ts";
import { type Backend, DEFAULT_LIMITS } from "../src/core/ports.ts";
import { parseCreateRequest } from "../src/protocol/request.ts";
import { MemoryStore } from "../src/stores/memory.ts";
import { ClearSeal, FakeRuntime } from "../src/testing/index.ts";

const TURNS = Number(process.argv[2] ?? 200);
const FORKS = Number(process.argv[3] ?? 100);
/** Characters of each input and each output, as an agent's tool output has. */
const SIZE = 8_000;

/** What the backend keeps of a request would be measured as well, so this one keeps nothing. */
const backend: Backend = {
  async *stream({ input }) {
    yield [{ type: "text.delta", delta: fresh(input.length) }];
    yield [{ type: "finish", reason: "stop" }];
  },
  models: async () => ["m"],
  prefill: async () => undefined,
  count: async () => 0,
  close: async () => undefined,
};

let count = 0;

/** A text of its own: strings that are made of each other share memory. */
function fresh(seed: number): string {
  count += 1;
  return Buffer.alloc(SIZE, `${count}.${seed} `).toString("latin1");
}

function heap(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

const engine = new Engine({
  models: { resolve: (model) => ({ backend, model }), list: async () => ["m"] },
  store: new MemoryStore({ budgetBytes: 1 << 30 }),
  runtime: new FakeRuntime(),
  seal: new ClearSeal(),
  observer: { observe: () => undefined },
  limits: { ...DEFAULT_LIMITS, sessionBytes: 1 << 30, laneNames: FORKS + 1 },
});
const session = engine.openSession({ tenant: "bench", transport: "websocket" });

async function turn(parent: string | null, input: string, lane: string): Promise<string> {
  let id = "";
  const request = { model: "m", input, store: false, previous_response_id: parent };
  await session.create(
    parseCreateRequest(request),
    {
      emit: ([event]) => {
        if (event?.type === "response.created") id = event.response.id;
      },
      bytesIn: 0,
      bytesOut: () => 0,
    },
    lane,
  );
  return id;
}

if (globalThis.gc === undefined) throw new Error("this needs `node --expose-gc`");
// What is made once, by whatever turn is the first.
await turn(await turn(null, "warm", "warm"), "up", "warm");
const empty = heap();
let last: string | null = null;
for (let index = 0; index < TURNS; index++) last = await turn(last, fresh(index), "");
const chain = heap() - empty;
const leaves: string[] = [];
for (let index = 0; index < FORKS; index++) leaves.push(await turn(last, "Go on.", `fork-${index}`));
// Each fork's own output is as large as any.
const forks = heap() - empty - chain;
const own = (FORKS * chain) / TURNS;
const ratio = (chain + forks) / chain;
console.log(JSON.stringify({ turns: TURNS, forks: leaves.length, chainBytes: chain, forkBytes: forks, own, ratio }));
