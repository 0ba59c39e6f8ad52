import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ChatCompletionsBackend, type ChatCompletionsOptions } from "../../src/backends/chat-completions.ts";
import { SimBackend } from "../../src/backends/sim.ts";
import { commitNode, type ResponseNode } from "../../src/core/node.ts";
import type { BackendEvent, BackendRequest } from "../../src/core/ports.ts";
import type { Item } from "../../src/protocol/items.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import type { Response } from "../../src/protocol/response.ts";
import { ChatUpstream, refuse, type UpstreamStep } from "../support/chat-upstream.ts";
import { compactions } from "../support/compactions.ts";

let upstream: ChatUpstream;
let backend: ChatCompletionsBackend;

beforeEach(async () => {
  upstream = await ChatUpstream.start();
});

afterEach(async () => {
  await backend.close();
  await upstream.close();
});

function open(options: Partial<ChatCompletionsOptions> = {}): void {
  backend = new ChatCompletionsBackend({
    url: upstream.url,
    key: "upstream-key",
    dialects: { reasoning: "none" },
    connectTimeoutMs: 5000,
    firstByteTimeoutMs: 60_000,
    silenceTimeoutMs: 60_000,
    retries: 0,
    retryDelayMs: 1,
    thinkTags: "auto",
    strictTools: false,
    mcpTools: "refuse",
    extraBody: {},
    defaultBody: {},
    allowFields: [],
    prefill: false,
    tokenizer: "auto",
    log: { warn: () => undefined },
    ...options,
  });
}

function requestOf(fields: object, parent: ResponseNode | null = null): BackendRequest {
  const settings = parseCreateRequest({ model: "m", input: "Hello there.", ...fields });
  return { model: "upstream", parent, input: settings.input, settings, session: {}, open: compactions.open };
}

const count = (fields: object = {}, parent: ResponseNode | null = null): Promise<number> =>
  backend.count(requestOf(fields, parent), new AbortController().signal);

const says = (answer: unknown): UpstreamStep => refuse(200, answer);

const TOOLS = [{ type: "function", name: "read", parameters: { type: "object", properties: {} } }];

describe("the model server's own count", () => {
  test("is vLLM's for the messages of the chat, with its template around them", async () => {
    open();
    upstream.script(says({ count: 41, max_model_len: 4096, tokens: [] }), says({ count: 42, max_model_len: 4096 }));
    expect(await count({ instructions: "Be brief.", tools: TOOLS })).toBe(41);
    expect(await count()).toBe(42);
    expect(upstream.calls.map(({ path }) => path)).toEqual(["/tokenize", "/tokenize"]);
    expect(upstream.calls[0]?.headers.authorization).toBe("Bearer upstream-key");
    expect(upstream.calls[0]?.body).toEqual({
      model: "upstream",
      add_generation_prompt: true,
      tools: [{ type: "function", function: { name: "read", parameters: { type: "object", properties: {} } } }],
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hello there." },
      ],
    });
  });

  test("is llama.cpp's for the prompt that its template makes of them; then it is asked for nothing else", async () => {
    open();
    upstream.script(
      says({ tokens: [] }),
      says({ prompt: "<user>Hello there.<assistant>" }),
      says({ tokens: [1, 2, 3, 4, 5] }),
      says({ prompt: "<user>Again.<assistant>" }),
      says({ tokens: [1, 2, 3] }),
    );
    expect(await count()).toBe(5);
    expect(await count()).toBe(3);
    expect(upstream.calls.map(({ path }) => path)).toEqual([
      "/tokenize",
      "/apply-template",
      "/tokenize",
      "/apply-template",
      "/tokenize",
    ]);
    expect(upstream.calls[2]?.body).toMatchObject({ content: "<user>Hello there.<assistant>", parse_special: true });
  });

  test.each([
    ["does not know the question", refuse(404, "no such page")],
    ["wants another one", refuse(422, { error: "prompt is missing" })],
    ["answers with something else", says({ tokens: "many" })],
    ["answers with no JSON", refuse(200, "<html>")],
  ])("is not asked for again when the server %s: the encoding counts", async (_, step) => {
    open();
    upstream.script(step);
    expect(await count()).toBe(10);
    expect(await count()).toBe(10);
    expect(upstream.calls).toHaveLength(1);
  });

  test("is asked for again when the server was only down", async () => {
    open();
    upstream.script(refuse(503, "busy"), says({ count: 7 }));
    expect(await count()).toBe(10);
    expect(await count()).toBe(7);
  });

  test("is not asked for where an encoding is configured", async () => {
    open({ tokenizer: "cl100k_base" });
    expect(await count()).toBe(10);
    expect(upstream.calls).toEqual([]);
  });
});

const message = (role: string, content: unknown): Item => ({ type: "message", role, content });
const image = (detail?: string) => ({
  type: "input_image",
  image_url: `data:image/png;base64,${"A".repeat(5000)}`,
  detail,
});

describe("by an encoding", () => {
  test("a context counts its texts, its images and what stands around them", async () => {
    open({ tokenizer: "o200k_base" });
    const empty = await count({ input: [] });
    expect(empty).toBe(3);
    const of = async (input: readonly Item[]) => (await count({ input })) - empty;
    expect(await of([message("user", "Hello there.")])).toBe(4 + 3);
    expect(await of([message("user", [{ type: "input_text", text: "Hello there." }, image()])])).toBe(4 + 3 + 765);
    expect(await of([message("user", [image("low")])])).toBe(4 + 85);
    expect(await of([{ type: "unheard_of", text: "Hello there." }])).toBe(0);
    const call = { type: "function_call", call_id: "c", name: "read", arguments: '{"path":"a"}' };
    expect(await of([call, { type: "function_call_output", call_id: "c", output: "text of a" }])).toBe(8 + 6 + 3);
    expect(await count({ input: [], instructions: "Be brief." })).toBe(3 + 4 + 3);
    expect(await count({ input: [], tools: TOOLS })).toBeGreaterThan(20);
  });

  test("a chain counts as the same items in one request", async () => {
    open({ tokenizer: "o200k_base" });
    const said = [message("user", "one two three"), message("assistant", "four five"), message("user", "six")];
    const response = { id: "resp_1", output: said.slice(1, 2), tools: [], instructions: null } as unknown as Response;
    const node = commitNode({ id: "resp_1", tenant: "t", parent: null, input: said.slice(0, 1), response });
    expect(await count({ input: said.slice(2) }, node)).toBe(await count({ input: said }));
  });
});

test("the simulator counts as the usage of its answers says", async () => {
  open();
  const sim = new SimBackend();
  const signal = new AbortController().signal;
  const request = requestOf({ instructions: "Be brief.", tools: TOOLS });
  const events: BackendEvent[] = [];
  for await (const batch of sim.stream(request, signal)) events.push(...batch);
  const usage = events.flatMap((event) => (event.type === "usage" ? event.usage.input_tokens : []));
  expect([await sim.count(request)]).toEqual(usage);
});
