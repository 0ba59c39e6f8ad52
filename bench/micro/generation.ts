// What a model says, on its way from the data of its stream to the events of a response.

import { ChatStream } from "../../src/backends/chat-stream.ts";
import { chatTools } from "../../src/backends/chat-tools.ts";
import { Assembler } from "../../src/core/assembler.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import { responseFrame } from "../../src/core/response-frame.ts";
import { type SseEvent, SseDecoder } from "../../src/protocol/sse-decoder.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { FakeRuntime } from "../../src/testing/index.ts";
import { always, type Benchmark } from "./benchmark.ts";
import { chatStream } from "./samples.ts";

const runtime = new FakeRuntime();
const frame = responseFrame(parseCreateRequest({ model: "bench", input: "Hi" }), runtime);
const BATCH = 8;

const word: BackendEvent = { type: "text.delta", delta: "word" };
const end: BackendEvent = { type: "finish", reason: "stop" };

function batches(events: readonly BackendEvent[]): readonly (readonly BackendEvent[])[] {
  return Array.from({ length: Math.ceil(events.length / BATCH) }, (_, index) =>
    events.slice(index * BATCH, (index + 1) * BATCH),
  );
}

/** Two calls whose arguments interleave. */
function callEvents(deltas: number): readonly BackendEvent[] {
  const calls = [0, 1].map(
    (key): BackendEvent => ({ type: "call", key, kind: "function", callId: `call_${key}`, name: "read" }),
  );
  const pieces = Array.from({ length: deltas }, (_, index): BackendEvent => {
    return { type: "call.delta", key: index % 2, delta: "word" };
  });
  return [...calls, ...pieces];
}

/** All events of a response that is made of these. */
function assembled(batched: readonly (readonly BackendEvent[])[]) {
  const assembler = new Assembler(frame, runtime);
  const events = [...assembler.start(), ...batched.flatMap((batch) => assembler.push(batch))];
  const last = assembler.finish();
  return [...events, ...last.events, assembler.terminal(last.response)];
}

function assembling(name: string, events: readonly BackendEvent[], limit: number): Benchmark {
  const batched = batches([...events, end]);
  const made = assembled(batched);
  return {
    name: `Assembler: ${name}`,
    ours: always(() => assembled(batched)),
    against: "JSON.stringify of the events",
    reference: always(() => made.map((event) => JSON.stringify(event))),
    limit,
  };
}

/** An assembler in the middle of an answer of so many tokens. */
function begun(tokens: number): Assembler {
  const assembler = new Assembler(frame, runtime);
  assembler.start();
  for (let count = 0; count < tokens; count += 1) assembler.push([word]);
  return assembler;
}

const goingOn = (tokens: number) => () => {
  const assembler = begun(tokens);
  return () => assembler.push([word]);
};

/** An answer that has been said, and whose calls are still open. */
function unfinished(): Assembler {
  const assembler = new Assembler(frame, runtime);
  assembler.push([word, word, ...callEvents(8), end]);
  return assembler;
}

const finishing: Benchmark = {
  name: "Assembler: finish of two calls",
  ours: (operations) => {
    const waiting = Array.from({ length: operations }, unfinished);
    return () => waiting.pop()?.finish();
  },
  against: "JSON.stringify of its events",
  reference: () => {
    const assembler = unfinished();
    const { events, response } = assembler.finish();
    const last = [...events, assembler.terminal(response)];
    return () => last.map((event) => JSON.stringify(event));
  },
  limit: 0.3,
};

const stream = chatStream(400);
const head = { tools: chatTools([]), allowed: null };

function dataOf(chunks: readonly Buffer[]): readonly SseEvent[] {
  const decoder = new SseDecoder(1 << 20);
  return chunks.flatMap((bytes) => decoder.push(bytes));
}

const data = dataOf(stream.bursts);
const chunks = data.slice(0, -1).map((event) => event.data);

export const generation: readonly Benchmark[] = [
  assembling(
    "a response of 400 tokens",
    Array.from({ length: 400 }, () => word),
    0.3,
  ),
  assembling("a response of two calls, 400 tokens", callEvents(400), 0.45),
  finishing,
  {
    name: "Assembler: a token after 20,000 others",
    ours: goingOn(20_000),
    against: "a token after 100 others",
    reference: goingOn(100),
    limit: 2,
  },
  {
    name: "ChatStream: an answer of 800 tokens",
    ours: always(() => {
      const events: BackendEvent[] = [];
      const reader = new ChatStream(head, "", "auto");
      for (const each of data) reader.read(each, events);
      return events;
    }),
    against: "JSON.parse of the data",
    reference: always(() => chunks.map((each) => JSON.parse(each) as unknown)),
    limit: 1.8,
  },
];
