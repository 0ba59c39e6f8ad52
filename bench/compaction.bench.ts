// What compaction costs and saves: a recorded agent run goes through the engine with thresholds of several sizes, against a
// model server that keeps the prefix of every request it has answered. `node bench/compaction.bench.ts <trace.json>
// [summary characters]` prints, for each threshold, how many tokens the model reads, and how many of them anew.
//
// Tokens are bytes of the chat request divided by four. The answers are those that were recorded, so it measures sizes and
// caches, not whether the model still knows what it needs.

import { readFileSync } from "node:fs";
import { ChatContexts } from "../src/backends/chat-context.ts";
import { COMMON_DIALECT } from "../src/backends/dialect.ts";
import { chatTools } from "../src/backends/chat-tools.ts";
import { ASK_FOR_SUMMARY } from "../src/core/compaction-prompt.ts";
import { Engine } from "../src/core/engine.ts";
import { type Backend, type BackendRequest, DEFAULT_LIMITS } from "../src/core/ports.ts";
import type { Item } from "../src/protocol/items.ts";
import { parseCreateRequest } from "../src/protocol/request.ts";
import { MemoryStore } from "../src/stores/memory.ts";
import { ClearSeal, FakeRuntime } from "../src/testing/index.ts";

type Trace = {
  readonly instructions: string;
  readonly tools: readonly object[];
  readonly turns: readonly { readonly input: readonly Item[]; readonly output: readonly Item[] }[];
};

const [, , FILE, SUMMARY = "5000"] = process.argv;
if (FILE === undefined) throw new Error("give the file of a recorded run");
const trace = JSON.parse(readFileSync(FILE, "utf8")) as Trace;
const SUMMARY_TEXT = "summary ".repeat(Number(SUMMARY) / 8);
const THRESHOLDS = [null, 100_000, 60_000, 30_000];
const tokensOf = (bytes: number): number => Math.ceil(bytes / 4);

/** A model server that remembers the prefixes of its requests, and answers what was recorded. */
class CachingModel implements Backend {
  readonly #contexts = new ChatContexts({ ...COMMON_DIALECT, reasoning: "none" });
  readonly #cached: Buffer[] = [];
  answer: readonly Item[] = [];
  read = 0;
  readAnew = 0;
  largest = 0;
  summaries = 0;

  async *stream(request: BackendRequest) {
    const { settings, input } = request;
    const isSummary = input.at(-1) === ASK_FOR_SUMMARY;
    const head = `${settings.instructions ?? ""}${chatTools(settings.tools).json ?? ""}`;
    const prompt = Buffer.concat([Buffer.from(head), this.#messages(request)]);
    const cached = Math.max(0, ...this.#cached.map((other) => commonPrefix(prompt, other)));
    this.#cached.push(prompt);
    if (this.#cached.length > 4) this.#cached.shift();
    this.read += tokensOf(prompt.length);
    this.readAnew += tokensOf(prompt.length - cached);
    this.largest = Math.max(this.largest, tokensOf(prompt.length));
    if (isSummary) {
      this.summaries += 1;
      yield [{ type: "text.delta" as const, delta: SUMMARY_TEXT }];
    } else {
      yield this.answer.map((item) => ({ type: "item" as const, item }));
    }
    const [input_tokens, output_tokens] = [prompt.length, JSON.stringify(this.answer).length].map(tokensOf) as [
      number,
      number,
    ];
    const usage = {
      input_tokens,
      input_tokens_details: { cached_tokens: tokensOf(cached), cache_write_tokens: 0 },
      output_tokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: input_tokens + output_tokens,
    };
    yield [
      { type: "usage" as const, usage },
      { type: "finish" as const, reason: "stop" as const },
    ];
  }

  #messages({ parent, input, open }: BackendRequest): Buffer {
    const mapping = this.#contexts.messages(parent, input, open);
    for (;;) {
      const { done, value } = mapping.next();
      if (done) return Buffer.concat(value.pieces());
    }
  }

  models = async () => ["m"];
  prefill = async () => undefined;
  count = async () => 0;
  close = async () => undefined;
}

function commonPrefix(a: Buffer, b: Buffer): number {
  const end = Math.min(a.length, b.length);
  let [known, differs] = [0, end + 1];
  while (differs - known > 1) {
    const middle = Math.floor((known + differs) / 2);
    if (a.subarray(known, middle).equals(b.subarray(known, middle))) known = middle;
    else differs = middle;
  }
  return known;
}

async function replay(threshold: number | null) {
  const model = new CachingModel();
  const engine = new Engine({
    models: { resolve: async () => ({ backend: model, model: "m" }), list: async () => ["m"] },
    store: new MemoryStore({ budgetBytes: 1 << 30 }),
    runtime: new FakeRuntime(),
    seal: new ClearSeal(),
    observer: { observe: () => undefined },
    limits: { ...DEFAULT_LIMITS, sessionBytes: 1 << 30 },
  });
  const session = engine.openSession({ tenant: "bench", transport: "websocket" });
  let previous_response_id: string | null = null;
  for (const { input, output } of trace.turns) {
    model.answer = output;
    const { instructions, tools } = trace;
    const compaction =
      threshold === null ? {} : { context_management: [{ type: "compaction", compact_threshold: threshold }] };
    const request = { model: "m", instructions, tools, input, previous_response_id, store: false, ...compaction };
    const sink = { bytesIn: 0, bytesOut: () => 0, emit: () => undefined };
    const { node, error } = await session.create(parseCreateRequest(request), sink);
    if (node === undefined) throw new Error("a turn has failed", { cause: error });
    previous_response_id = node.id;
  }
  session.close();
  return model;
}

const round = (number: number): string => Math.round(number).toLocaleString("en");
console.log("| threshold | compactions | largest context | tokens read | of these anew |\n|---:|---:|---:|---:|---:|");
for (const threshold of THRESHOLDS) {
  const { summaries, largest, read, readAnew } = await replay(threshold);
  const cells = [
    threshold === null ? "none" : round(threshold),
    summaries,
    round(largest),
    round(read),
    round(readAnew),
  ];
  console.log(`| ${cells.join(" | ")} |`);
}
