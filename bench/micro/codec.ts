// Frames and bodies: what is written to clients, what is read from them, and the streams of model servers.

import { generate } from "../../src/bench/generate.ts";
import { Assembler } from "../../src/core/assembler.ts";
import { responseFrame } from "../../src/core/response-frame.ts";
import { parseClientEvent } from "../../src/protocol/client-event.ts";
import { encodeFrame, encodeSse, parseJson } from "../../src/protocol/codec.ts";
import type { ServerEvent } from "../../src/protocol/events.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { SseDecoder } from "../../src/protocol/sse-decoder.ts";
import { FakeRuntime } from "../../src/testing/index.ts";
import { always, type Benchmark } from "./benchmark.ts";
import { chatStream, cut, textOf } from "./samples.ts";

/** Twenty kilobytes. */
const { tools } = generate("service", 1, 1);
const SMALL_TURN = {
  type: "response.create",
  model: "bench",
  previous_response_id: "resp_0123456789abcdef0123456789abcdef",
  store: false,
  input: [{ type: "function_call_output", call_id: "call_1", output: textOf(300) }],
};

/** A delta of a few characters, and the last event of a response with tools. */
function serverEvents(): { readonly delta: ServerEvent; readonly completed: ServerEvent } {
  const runtime = new FakeRuntime();
  const frame = responseFrame(parseCreateRequest({ model: "bench", input: "Hi", tools }), runtime);
  const assembler = new Assembler(frame, runtime);
  const events = assembler.push([
    { type: "text.delta", delta: textOf(4000) },
    { type: "text.delta", delta: "word" },
    { type: "finish", reason: "stop" },
  ]);
  const delta = events.at(-1);
  if (delta?.type !== "response.output_text.delta") throw new Error("the last event is to be a delta");
  return { delta, completed: assembler.terminal(assembler.finish().response) };
}

const { delta, completed } = serverEvents();

const encoding: readonly Benchmark[] = [
  {
    name: "encodeFrame: a delta",
    ours: always(() => encodeFrame(delta, null)),
    against: "JSON.stringify of the event",
    reference: always(() => JSON.stringify(delta)),
    limit: 1.6,
  },
  {
    name: "encodeFrame: a delta, on a lane",
    ours: always(() => encodeFrame(delta, "lane-1")),
    against: "JSON.stringify of the event",
    reference: always(() => JSON.stringify(delta)),
    limit: 1.8,
  },
  {
    name: "encodeFrame: completed, with 20 KB of tools",
    ours: always(() => encodeFrame(completed, null)),
    against: "JSON.stringify of the event",
    reference: always(() => JSON.stringify(completed)),
    // The tools are serialised once for all events that show them.
    limit: 0.5,
  },
  {
    name: "encodeSse: a delta",
    ours: always(() => encodeSse(delta)),
    against: "JSON.stringify of the event",
    reference: always(() => JSON.stringify(delta)),
    limit: 1.7,
  },
];

function reading(name: string, frame: object, limit: number): Benchmark {
  const text = JSON.stringify(frame);
  return {
    name: `parseClientEvent: ${name}`,
    ours: always(() => parseClientEvent(parseJson(text))),
    against: "JSON.parse of the text",
    reference: always(() => JSON.parse(text) as unknown),
    limit,
  };
}

function decoding(name: string, chunks: readonly Uint8Array[], limit: number): Benchmark {
  return {
    name: `SseDecoder: ${name}`,
    ours: always(() => {
      const decoder = new SseDecoder(1 << 20);
      return chunks.map((bytes) => decoder.push(bytes)).concat(decoder.end());
    }),
    against: "Buffer.concat, toString, split",
    reference: always(() => Buffer.concat(chunks).toString().split("\n\n")),
    limit,
  };
}

const stream = chatStream(400);

export const codec: readonly Benchmark[] = [
  ...encoding,
  reading("a small turn", SMALL_TURN, 4),
  reading("a small turn with 20 KB of tools", { ...SMALL_TURN, tools }, 2),
  decoding("chunks of eight tokens", stream.bursts, 6),
  decoding("chunks of 61 bytes, which cut UTF-8", cut(stream.bytes, 61), 14),
];
