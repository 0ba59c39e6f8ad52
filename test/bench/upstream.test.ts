import { afterEach, expect, test } from "vitest";
import { PrefixCache, promptOf } from "../../src/bench/prefix-cache.ts";
import { answerOf, Upstream, type UpstreamOptions } from "../../src/bench/upstream.ts";

const open: Upstream[] = [];

afterEach(async () => {
  for (const upstream of open.splice(0)) await upstream.close();
});

async function start(options: Partial<UpstreamOptions> = {}): Promise<Upstream> {
  const upstream = await Upstream.start(options);
  open.push(upstream);
  return upstream;
}

type Chunk = {
  readonly choices: readonly {
    readonly delta: { readonly content?: string; readonly tool_calls?: readonly object[] };
  }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  };
};

async function ask(upstream: Upstream, content: string): Promise<readonly Chunk[]> {
  const response = await fetch(`${upstream.url}/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "bench", stream: true, messages: [{ role: "user", content }] }),
  });
  const text = await response.text();
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  return text
    .split("\n\n")
    .filter((block) => block.startsWith("data: {"))
    .map((block) => JSON.parse(block.slice(6)) as Chunk);
}

function textOf(chunks: readonly Chunk[]): string {
  return chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
}

const say = (text: string) => [{ type: "message", role: "assistant", content: [{ type: "output_text", text }] }];

test("answers each conversation by its own script, turn by turn", async () => {
  const upstream = await start();
  const one = upstream.script([answerOf(say("first"), 8), answerOf(say("second, with 🐢 in it"), 1)]);
  const two = upstream.script([answerOf(say("of another"), 8)]);
  expect(textOf(await ask(upstream, `hello ${one.marker}`))).toBe("first");
  expect(textOf(await ask(upstream, `hello ${two.marker}`))).toBe("of another");
  expect(textOf(await ask(upstream, `hello ${one.marker} and more`))).toBe("second, with 🐢 in it");
  expect(one.calls).toHaveLength(2);
  const [call] = one.calls;
  expect(call?.startedAt).toBeLessThanOrEqual(call?.receivedAt ?? 0);
  expect(call?.firstTokenAt).toBeLessThanOrEqual(call?.lastTokenAt ?? 0);
});

test("says what it was told to a conversation without a script", async () => {
  const upstream = await start({ answerTokens: 5 });
  expect(textOf(await ask(upstream, "hello"))).toBe("wordwordwordwordword");
});

test("calls tools as they were recorded", async () => {
  const upstream = await start();
  const call = { type: "function_call", call_id: "call_1", name: "look", arguments: '{"at":"it"}' };
  const script = upstream.script([answerOf([call], 8)]);
  const calls = (await ask(upstream, script.marker)).flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
  expect(calls[0]).toMatchObject({ id: "call_1", function: { name: "look" } });
  const pieces = calls.map((piece) => (piece as { function: { arguments: string } }).function.arguments);
  expect(pieces.join("")).toBe('{"at":"it"}');
});

test("tells how much of a prompt its cache has known", async () => {
  const upstream = await start({ cacheTokens: 10_000 });
  const usage = async (text: string) => (await ask(upstream, text)).at(-1)?.usage;
  const text = "a conversation that goes on. ".repeat(40);
  expect((await usage(text))?.prompt_tokens_details.cached_tokens).toBe(0);
  const again = await usage(`${text} And on.`);
  expect(again?.prompt_tokens_details.cached_tokens).toBeGreaterThan((again?.prompt_tokens ?? 0) * 0.85);
  expect((await usage(`Another. ${text}`))?.prompt_tokens_details.cached_tokens).toBe(0);
});

/** A block of the cache that is full of one letter. */
function block(letter: string): string {
  return letter.repeat(64);
}

test("a prefix counts up to the first block that differs", () => {
  const cache = new PrefixCache(1000);
  expect(cache.admit(block("a") + block("b"))).toEqual({ tokens: 32, cached: 0 });
  expect(cache.admit(block("a") + block("c") + block("b"))).toEqual({ tokens: 48, cached: 16 });
  expect(cache.admit(block("a") + block("c") + block("b"))).toEqual({ tokens: 48, cached: 47 });
});

test("a cache that is full forgets what was used longest ago", () => {
  const cache = new PrefixCache(32);
  cache.admit(block("a"));
  cache.admit(block("b"));
  cache.admit(block("a"));
  cache.admit(block("c"));
  expect(cache.admit(`${block("b")}.`).cached).toBe(0);
  expect(cache.admit(`${block("c")}.`).cached).toBe(16);
});

test("a prompt has tools before messages, whatever their order in the body", () => {
  expect(promptOf('{"messages":[{"b":1}],"tools":[{"a":1}]}')).toBe('{"a":1}\n{"b":1}');
});
