// Whole turns of one session, from the request to the committed node: everything but sockets and the model.

import { ChatContexts } from "../../src/backends/chat-context.ts";
import { COMMON_DIALECT } from "../../src/backends/dialect.ts";
import { Engine } from "../../src/core/engine.ts";
import { type Backend, type BackendEvent, DEFAULT_LIMITS } from "../../src/core/ports.ts";
import type { Session } from "../../src/core/session.ts";
import { encodeFrame, parseJson } from "../../src/protocol/codec.ts";
import { parseClientEvent } from "../../src/protocol/client-event.ts";
import type { ServerEvent } from "../../src/protocol/events.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ClearSeal, FakeRuntime } from "../../src/testing/index.ts";
import type { Benchmark, Side } from "./benchmark.ts";
import { textOf } from "./samples.ts";

const TOKENS = 16;
const BATCH: readonly BackendEvent[] = Array.from({ length: 8 }, () => ({ type: "text.delta", delta: "word" }));

/** Maps the context as for a chat server, and always says the same. */
class MappingBackend implements Backend {
  readonly #contexts = new ChatContexts({ ...COMMON_DIALECT, reasoning: "none" });

  async *stream({ parent, input, open }: Parameters<Backend["stream"]>[0]) {
    const mapping = this.#contexts.messages(parent, input, open);
    while (mapping.next().done !== true);
    for (let token = 0; token < TOKENS; token += BATCH.length) yield BATCH;
    yield [{ type: "finish" as const, reason: "stop" as const }];
  }

  models = async () => ["bench"];
  prefill = async () => undefined;
  count = async () => 0;
  close = async () => undefined;
}

function openSession(): Session {
  const backend = new MappingBackend();
  const engine = new Engine({
    models: { resolve: (model) => ({ backend, model }), list: async () => [] },
    store: new MemoryStore({ budgetBytes: 1 << 20 }),
    runtime: new FakeRuntime(),
    seal: new ClearSeal(),
    observer: { observe: () => undefined },
    limits: { ...DEFAULT_LIMITS, sessionBytes: 1 << 30 },
  });
  return engine.openSession({ tenant: "bench", transport: "websocket" });
}

function frameOf(previous: string | null): string {
  const input = [{ type: "message", role: "user", content: textOf(300) }];
  return JSON.stringify({
    type: "response.create",
    model: "bench",
    input,
    store: false,
    previous_response_id: previous,
  });
}

/** Sends one turn as a client does, and gives the id to go on from. */
async function take(session: Session, previous: string | null, emit: (events: readonly ServerEvent[]) => void) {
  const event = parseClientEvent(parseJson(frameOf(previous)));
  if (event.type !== "create") throw new Error("a frame is to ask for a response");
  const { node, error } = await session.create(event.request, { emit, bytesIn: 0, bytesOut: () => 0 });
  if (node === undefined) throw new Error("a turn has failed", { cause: error });
  return node.id;
}

function encode(events: readonly ServerEvent[]): readonly string[] {
  return events.map((event) => encodeFrame(event, null));
}

type Long = { readonly session: Session; readonly id: string };

async function play(turns: number): Promise<Long> {
  const session = openSession();
  let id: string | null = null;
  for (let count = 0; count < turns; count += 1) id = await take(session, id, encode);
  return { session, id: id ?? "" };
}

/** A session of so many turns goes on; each slice from the same response. */
function after(turns: number): Side {
  let long: Promise<Long> | null = null;
  return async () => {
    long ??= play(turns);
    const { session, id: first } = await long;
    let id = await take(session, first, encode);
    return async () => {
      id = await take(session, id, encode);
      return id;
    };
  };
}

/** The least that a turn asks for: its frame read, and its events written. */
const stringify: Side = async () => {
  const { session, id } = await play(1);
  const written: ServerEvent[] = [];
  await take(session, id, (events) => written.push(...events));
  const frame = frameOf(id);
  return () => [JSON.parse(frame) as unknown, written.map((event) => JSON.stringify(event))];
};

export const turns: readonly Benchmark[] = [
  {
    name: "turn: 16 tokens, turn 20 of a session",
    ours: after(19),
    against: "JSON.parse of its frame, JSON.stringify of its events",
    reference: stringify,
    limit: 4.5,
  },
  {
    name: "turn: 16 tokens, turn 2,000 of a session",
    ours: after(1999),
    against: "turn 20",
    reference: after(19),
    limit: 2,
  },
];
