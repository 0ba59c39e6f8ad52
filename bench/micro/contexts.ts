// Contexts: what a turn costs before its request is written, however much has been said before it.

import { ChatContexts } from "../../src/backends/chat-context.ts";
import { COMMON_DIALECT } from "../../src/backends/dialect.ts";
import { commitNode, type ResponseNode } from "../../src/core/node.ts";
import { checkItemIds, pairedInput } from "../../src/core/pairing.ts";
import { Assembler } from "../../src/core/assembler.ts";
import { responseFrame } from "../../src/core/response-frame.ts";
import type { Item } from "../../src/protocol/items.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import type { Response } from "../../src/protocol/response.ts";
import { FakeRuntime } from "../../src/testing/index.ts";
import { always, type Benchmark, type Side } from "./benchmark.ts";
import { textOf } from "./samples.ts";

type Turn = { readonly input: readonly Item[]; readonly response: Response };

const KB = 1000;
const runtime = new FakeRuntime();
const frame = responseFrame(parseCreateRequest({ model: "bench", input: "Hi" }), runtime);

/** A turn of an agent: the output of a tool, an answer of few words, and the next call. */
function turn(characters: number, isFirst = false): Turn {
  const text = textOf(characters);
  const prompt = { type: "message", role: "user", content: [{ type: "input_text", text }] };
  const assembler = new Assembler({ ...frame, id: runtime.newId("response") }, runtime);
  assembler.push([
    { type: "text.delta", delta: "I see, and shall look at the next one of them." },
    { type: "call", key: 0, kind: "function", callId: "call_1", name: "read" },
    { type: "call.delta", key: 0, delta: '{"path":"src/main.ts"}' },
    { type: "finish", reason: "stop" },
  ]);
  const { response } = assembler.finish();
  return { input: isFirst ? [prompt] : [{ type: "function_call_output", call_id: "call_1", output: text }], response };
}

/** The same turn as a chat server is to read it. */
function messagesOf(characters: number): readonly object[] {
  const call = { id: "call_1", type: "function", function: { name: "read", arguments: '{"path":"src/main.ts"}' } };
  const content = "I see, and shall look at the next one of them.";
  return [
    { role: "tool", tool_call_id: "call_1", content: textOf(characters) },
    { role: "assistant", content, tool_calls: [call] },
  ];
}

function newContexts(): ChatContexts {
  return new ChatContexts({ ...COMMON_DIALECT, reasoning: "none" });
}

function noCompaction(): never {
  throw new Error("nothing here was compacted");
}

/** The bytes of a request's messages, as they are handed to the socket. */
function pieces(contexts: ChatContexts, parent: ResponseNode | null, input: readonly Item[]): readonly Uint8Array[] {
  const mapping = contexts.messages(parent, input, noCompaction);
  for (;;) {
    const { done, value } = mapping.next();
    if (done) return value.pieces();
  }
}

function commit(parent: ResponseNode | null, { input, response }: Turn): ResponseNode {
  return commitNode({ id: response.id, tenant: "bench", parent, input, response });
}

/** A turn from what comes in to what is kept of it. */
function take(contexts: ChatContexts, parent: ResponseNode | null, next: Turn): ResponseNode {
  checkItemIds(parent, next.input);
  pairedInput(parent, next.input);
  pieces(contexts, parent, next.input);
  return commit(parent, next);
}

function chain(turns: number, characters: number, step: (parent: ResponseNode | null, next: Turn) => ResponseNode) {
  let tip = step(null, turn(characters, true));
  for (let count = 1; count < turns; count += 1) tip = step(tip, turn(characters));
  return tip;
}

/** Made when they are first needed: some of them are large. */
const bases = new Map<string, { readonly contexts: ChatContexts; readonly tip: ResponseNode }>();

/** A chain that has been answered turn after turn. */
function answered(turns: number, characters: number) {
  const key = `${turns} ${characters}`;
  let base = bases.get(key);
  if (base === undefined) {
    const contexts = newContexts();
    base = { contexts, tip: chain(turns, characters, (parent, next) => take(contexts, parent, next)) };
    bases.set(key, base);
  }
  return base;
}

const SMALL = 300;

/** Small turns, one after another, on a chain of so many. The first one is a fork of what other rounds stand on. */
function continuing(turns: number, characters: number): Side {
  return (operations) => {
    const { contexts, tip } = answered(turns, characters);
    let parent = take(contexts, tip, turn(SMALL));
    const waiting = Array.from({ length: operations }, () => turn(SMALL));
    let index = 0;
    return () => {
      const next = waiting[index++];
      if (next !== undefined) parent = take(contexts, parent, next);
      return parent;
    };
  };
}

/** Small turns that all continue the same response. */
function forking(turns: number, characters: number): Side {
  return (operations) => {
    const { contexts, tip } = answered(turns, characters);
    const waiting = Array.from({ length: operations }, () => turn(SMALL));
    return () => pieces(contexts, tip, waiting.pop()?.input ?? []);
  };
}

/** Writes as many turns as chat messages, and nothing else. */
function written(turns: number, characters: number): Side {
  const messages = Array.from({ length: turns }, () => messagesOf(characters)).flat();
  return always(() => Buffer.from(messages.map((message) => JSON.stringify(message)).join(",")));
}

const TURN = 2 * KB;

/** A chain whose nodes have never been looked at. */
function cold(turns: number, times = 1): Side {
  const tip = chain(turns, TURN, commit);
  const { input } = turn(SMALL);
  return always(() => Array.from({ length: times }, () => pieces(newContexts(), tip, input)));
}

/** The whole history in one input, as clients send it that do not continue. */
function fullHistory(turns: number): Side {
  const all = Array.from({ length: turns }, (_, index) => turn(TURN, index === 0));
  const items = all.flatMap(({ input, response }): readonly Item[] => [...input, ...response.output]);
  return always(() => pieces(newContexts(), null, items.concat(turn(SMALL).input)));
}

const LONG = 100 * KB;

/** An item is never mapped twice, and a long text of it is read from the context afterwards: each time a new one. */
const longOutput: Side = (operations) => {
  const output = textOf(LONG);
  const contexts = newContexts();
  const tip = chain(1, SMALL, (parent, next) => take(contexts, parent, next));
  const waiting = Array.from({ length: operations }, () => [{ ...turn(SMALL).input[0], output } as Item]);
  return () => pieces(contexts, tip, waiting.pop() ?? []);
};

const STRINGIFY = "JSON.stringify of the messages, Buffer.from";

/** Contexts of these sizes, by how many turns of two kilobytes they are. */
const [SMALLEST, ...LARGER] = [5, 50, 250, 1000] as const;

function sizeText(turns: number): string {
  return turns >= 500 ? `${(turns * TURN) / 1e6} MB` : `${(turns * TURN) / KB} KB`;
}

export const contexts: readonly Benchmark[] = [
  {
    name: "context: a small turn behind 10 KB",
    ours: continuing(SMALLEST, TURN),
    against: STRINGIFY,
    reference: written(1, SMALL),
    // 7.4 on a quiet machine: what a dialect wants of messages, and opaque fields, are looked at for each item.
    limit: 12,
  },
  ...LARGER.map(
    (turns): Benchmark => ({
      name: `context: a small turn behind ${sizeText(turns)}`,
      ours: continuing(turns, TURN),
      against: "the same behind 10 KB",
      reference: continuing(SMALLEST, TURN),
      limit: 2,
    }),
  ),
  {
    name: "context: turn 10,000 of small ones",
    ours: continuing(10_000, SMALL),
    against: "turn 20",
    reference: continuing(20, SMALL),
    limit: 2,
  },
  {
    name: "context: a fork behind 10 KB",
    ours: forking(SMALLEST, TURN),
    against: STRINGIFY,
    reference: written(1, SMALL),
    limit: 5,
  },
  {
    name: "context: a fork behind 2 MB",
    ours: forking(LARGER[2], TURN),
    against: "the same behind 10 KB",
    reference: forking(SMALLEST, TURN),
    limit: 2.5,
  },
  {
    name: "context: a cold chain of 200 turns",
    ours: cold(200),
    against: STRINGIFY,
    reference: written(200, TURN),
    limit: 2.7,
  },
  {
    name: "context: a cold chain of 800 turns",
    ours: cold(800),
    against: "four of 200 turns",
    reference: cold(200, 4),
    limit: 1.8,
  },
  {
    name: "context: 200 turns in one input",
    ours: fullHistory(200),
    against: STRINGIFY,
    reference: written(200, TURN),
    limit: 2.8,
  },
  {
    name: "context: a tool's output of 100 KB",
    ours: longOutput,
    against: STRINGIFY,
    reference: written(1, LONG),
    limit: 3.5,
  },
];
