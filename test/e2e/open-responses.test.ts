import { connect } from "node:net";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningServer, startServer } from "../../src/server.ts";
import { ScriptedBackend } from "../../src/testing/index.ts";
import { CONTRACT_IS_MISSING } from "../support/open-responses.ts";
import { breachesOf, ContractClient, type ContractTurn, readFrame } from "../support/open-responses-client.ts";

/**
 * The compliance suite of Open Responses, case by case under the names that it has there: the same requests, the same
 * demands, all at once against one server, as its runner does.
 */

const KEY = "the-contract-key";
const MODEL = "sim";
/** The schemas are compiled in the process of the server, which must not take that for load. */
const SETTINGS = { port: 0, store: "memory:", logLevel: "silent", maxLoopDelayMs: 0 } as const;
const WHY_SKIPPED = CONTRACT_IS_MISSING === null ? "" : `: ${CONTRACT_IS_MISSING}`;

let server: RunningServer;
let client: ContractClient;

beforeAll(async () => {
  server = await startServer({ ...SETTINGS, apiKeys: [{ tenant: "contract", key: KEY }] });
  client = new ContractClient(server.url, KEY, MODEL);
});

afterAll(async () => {
  await server.close();
});

const user = (content: unknown) => ({ type: "message", role: "user", content });
const GET_WEATHER = {
  type: "function",
  name: "get_weather",
  description: "Get the current weather for a location",
  parameters: {
    type: "object",
    properties: { location: { type: "string", description: "The city and state, e.g. San Francisco, CA" } },
    required: ["location"],
  },
};
/** 32 by 32 pixels of grey. */
const IMAGE =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAAAJ0lEQVR42u3NMQ0AAAwDoPrXVlFVsWMJGCA9FoFAIBAIBAKBQPAlGHHkkIi20+F6AAAAAElFTkSuQmCC";

const typesOf = (turn: ContractTurn) => turn.response?.output.map((item) => item.type);

/** The suite's S and O. */
function expectOutput(turn: ContractTurn): void {
  expect(turn.breaches).toEqual([]);
  expect(turn.response?.output.length).toBeGreaterThan(0);
}

/** The suite's S, O and C. */
function expectAnswer(turn: ContractTurn): void {
  expectOutput(turn);
  expect(turn.response?.status).toBe("completed");
}

/** The suite's E, V, S and C. */
function expectStream(turn: ContractTurn): void {
  expect(turn.events.length).toBeGreaterThan(0);
  expect(turn.breaches).toEqual([]);
  expect(turn.response?.status).toBe("completed");
}

const CASES: { readonly [name: string]: () => Promise<void> } = {
  "basic-response": async () => {
    expectAnswer(await client.create({ input: [user("Say hello in exactly 3 words.")] }));
  },

  "assistant-phase": async () => {
    const commentary = { type: "message", role: "assistant", phase: "commentary", content: "I will pick a number." };
    const answer = { type: "message", role: "assistant", phase: "final_answer", content: "The number is 7." };
    const input = [commentary, answer, user("Repeat only the number.")];
    expectAnswer(await client.create({ input }));
  },

  "response-output-phase-schema": async () => {
    for (const phase of ["commentary", "final_answer"]) {
      const content = [{ type: "output_text", text: "7", annotations: [], logprobs: [] }];
      const item = { type: "message", id: "msg_1", status: "completed", role: "assistant", phase, content };
      expect(breachesOf("ItemField", item)).toEqual([]);
    }
  },

  "streaming-response": async () => {
    expectStream(await client.stream({ input: [user("Count from 1 to 5.")] }));
  },

  "system-prompt": async () => {
    const system = { type: "message", role: "system", content: "You are a pirate. Always respond in pirate speak." };
    expectAnswer(await client.create({ input: [system, user("Say hello.")] }));
  },

  "tool-calling": async () => {
    const input = [user("What's the weather like in San Francisco?")];
    const turn = await client.create({ input, tools: [GET_WEATHER] });
    expectOutput(turn);
    expect(typesOf(turn)).toContain("function_call");
  },

  "tool-calling-streaming, which is to come": async () => {
    const input = [user("What's the weather like in San Francisco?")];
    const turn = await client.stream({ input, tools: [GET_WEATHER] });
    expect(turn.breaches).toEqual([]);
    const called = turn.events.flatMap((event) => (event.item?.type === "function_call" ? event.type : []));
    expect(called).toEqual(["response.output_item.added", "response.output_item.done"]);
    const types = turn.events.map((event) => event.type);
    expect(types).toContain("response.function_call_arguments.delta");
    expect(types).toContain("response.function_call_arguments.done");
  },

  "image-input": async () => {
    const content = [
      { type: "input_text", text: "What do you see in this image? Answer in one sentence." },
      { type: "input_image", image_url: IMAGE },
    ];
    expectAnswer(await client.create({ input: [user(content)] }));
  },

  "multi-turn": async () => {
    const assistant = { type: "message", role: "assistant", content: "Hello Alice! Nice to meet you." };
    const input = [user("My name is Alice."), assistant, user("What is my name?")];
    expectAnswer(await client.create({ input }));
  },

  "websocket-response": async () => {
    const socket = await client.connect();
    expectStream(await socket.turn({ input: [user("Count from 1 to 3.")] }));
    socket.close();
  },

  "websocket-sequential-responses": async () => {
    const socket = await client.connect();
    for (const word of ["first", "second"]) {
      expectStream(await socket.turn({ store: false, input: [user(`Reply with exactly: ${word}`)] }));
    }
    socket.close();
  },

  "websocket-continuation": async () => {
    const socket = await client.connect();
    const input = [user("Remember the code word: cobalt. Reply with OK.")];
    const first = await socket.turn({ store: false, input });
    expectStream(first);
    const question = [user("What is the code word? Reply with only the code word.")];
    const previous_response_id = first.response?.id;
    expectStream(await socket.turn({ store: false, previous_response_id, input: question }));
    socket.close();
  },

  "websocket-reconnect-store-false-recovery": async () => {
    const before = await client.connect();
    const input = [user("Remember the code word: copper. Reply with OK.")];
    const first = await before.turn({ store: false, input });
    expectStream(first);
    before.close();

    const after = await client.connect();
    const question = [user("What is the code word?")];
    const lost = await after.turn({ store: false, previous_response_id: first.response?.id, input: question });
    expect(lost.breaches).toEqual([]);
    expect(lost.code).toBe("previous_response_not_found");
    expectStream(await after.turn({ store: false, input: [...input, ...question] }));
    after.close();
  },

  "websocket-previous-response-not-found": async () => {
    const socket = await client.connect();
    const previous_response_id = `resp_openresponses_missing_${Date.now()}`;
    const turn = await socket.turn({ store: false, previous_response_id, input: [user("Hello.")] });
    expect(turn.breaches).toEqual([]);
    expect(turn.code).toBe("previous_response_not_found");
    socket.close();
  },

  "compact-response": async () => {
    const input = [user("Create a simple landing page."), { role: "assistant", content: "It is done." }];
    const compacted = await client.compact({ prompt_cache_key: "openresponses-compact-test", input });
    expect(compacted.status).toBe(200);
    expect(breachesOf("CompactResource", compacted.body)).toEqual([]);
    expect(compacted.output).toContainEqual(expect.objectContaining({ type: "compaction" }));
  },

  "compact-missing-model": async () => {
    expect((await client.compact({ model: undefined, input: "x" })).status).toBe(400);
  },

  "websocket-compact-new-chain": async () => {
    const said = { type: "message", role: "assistant", content: [{ type: "output_text", text: "OK" }] };
    const [first, last] = ["The code word is zinc.", "Go on."].map((text) => user([{ type: "input_text", text }]));
    const input = [first, said, last];
    const { output } = await client.compact({ input });
    const socket = await client.connect();
    const next = [...output, user("Continue from here. Reply with exactly: compacted")];
    expectStream(await socket.turn({ store: false, tools: [], input: next }));
    socket.close();
  },

  "websocket-failed-continuation-evicts-cache": async () => {
    const socket = await client.connect();
    const input = [user("Remember the code word: ember. Reply with OK.")];
    const first = await socket.turn({ store: false, input });
    expectStream(first);
    const previous_response_id = first.response?.id;

    const orphan = { type: "function_call_output", call_id: "call_openresponses_missing", output: "{}" };
    const failed = await socket.turn({ store: false, previous_response_id, input: [orphan] });
    expect(failed.breaches).toEqual([]);
    expect(failed.events.at(-1)?.type === "error" || failed.response?.status === "failed").toBe(true);

    const evicted = await socket.turn({ store: false, previous_response_id, input: [user("The code word?")] });
    expect(evicted.breaches).toEqual([]);
    expect(evicted.code).toBe("previous_response_not_found");
    socket.close();
  },
};

describe.skipIf(CONTRACT_IS_MISSING !== null)(`the compliance suite${WHY_SKIPPED}`, () => {
  const outcomes = new Map<string, Promise<void>>();

  beforeAll(() => {
    // All at once; each test then tells how its case went.
    for (const [name, run] of Object.entries(CASES)) {
      const outcome = run();
      outcome.catch(() => undefined);
      outcomes.set(name, outcome);
    }
  });

  test.each(Object.keys(CASES))("%s", async (name) => {
    await outcomes.get(name);
  });
});

describe.skipIf(CONTRACT_IS_MISSING !== null)(`beyond the suite${WHY_SKIPPED}`, () => {
  test("a failure in mid-stream is an error event, then a failed response, and both fit the contract", async () => {
    const half = [{ type: "text.delta", delta: "half of " }] as const;
    const backend = new ScriptedBackend([[half, new Error("the model fell over")]]);
    const broken = await startServer(SETTINGS, { backend });
    const turn = await new ContractClient(broken.url, KEY, MODEL).stream({ input: [user("x")] });
    expect(turn.breaches).toEqual([]);
    expect(turn.events.slice(-2).map((event) => event.type)).toEqual(["error", "response.failed"]);
    expect(turn.code).toBe("server_error");
    await broken.close();
  });
});

describe("on the socket", () => {
  test("every HTTP chunk is one frame, and what arrives together ends where a frame ends", async () => {
    const text = "Count from 1 to 5. Über ¿ひらがな? 👩‍👩‍👧";
    const reads = await rawExchange(JSON.stringify({ model: MODEL, stream: true, input: [user(text)] }));
    const [head, ...rest] = reads;
    const headEnd = (head?.indexOf("\r\n\r\n") ?? -1) + 4;
    expect(headEnd).toBeGreaterThan(4);
    const frames = [head?.subarray(headEnd) ?? Buffer.alloc(0), ...rest].flatMap(wholeChunks);
    expect(frames.pop()).toBe("");
    expect(frames.pop()).toBe("data: [DONE]\n\n");
    const events = frames.map((frame) => {
      expect(frame.endsWith("\n\n")).toBe(true);
      const [name, data] = readFrame(frame.slice(0, -2));
      const event = JSON.parse(data) as { type: string; sequence_number: number };
      expect(event.type).toBe(name);
      return event;
    });
    expect(events.map((event) => event.sequence_number)).toEqual([...events.keys()]);
    expect(events.at(-1)?.type).toBe("response.completed");
  });
});

/** Everything that was read for one request, as it was read. */
async function rawExchange(body: string): Promise<readonly Buffer[]> {
  const { hostname, port } = new URL(server.url);
  const socket = connect({ host: hostname, port: Number(port) });
  const reads: Buffer[] = [];
  socket.on("data", (read: Buffer) => reads.push(read));
  const headers = [
    "POST /v1/responses HTTP/1.1",
    `host: ${hostname}`,
    `authorization: Bearer ${KEY}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.write(`${headers.join("\r\n")}\r\n\r\n${body}`);
  await once(socket, "close");
  return reads;
}

/** The HTTP chunks of one read. @throws when it begins or ends within one, or a chunk is cut within a character */
function wholeChunks(read: Buffer): readonly string[] {
  const chunks: string[] = [];
  for (let at = 0; at < read.length; ) {
    const lineEnd = read.indexOf("\r\n", at);
    const size = /^[0-9a-f]+$/i.exec(read.subarray(at, lineEnd).toString())?.[0];
    if (size === undefined) throw new Error(`no chunk begins at: ${read.subarray(at, at + 40).toString()}`);
    const end = lineEnd + 2 + Number.parseInt(size, 16);
    if (read.subarray(end, end + 2).toString() !== "\r\n") throw new Error("a read ends within a chunk");
    chunks.push(new TextDecoder("utf-8", { fatal: true }).decode(read.subarray(lineEnd + 2, end)));
    at = end + 2;
  }
  return chunks;
}
