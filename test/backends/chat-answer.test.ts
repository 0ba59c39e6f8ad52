import { afterEach, describe, expect, test, vi } from "vitest";
import { ChatAnswer } from "../../src/backends/chat-answer.ts";
import { chatTools } from "../../src/backends/chat-tools.ts";
import type { Taker, UpstreamCall } from "../../src/backends/upstream-call.ts";
import type { Watchdog } from "../../src/backends/watchdog.ts";
import { ApiError } from "../../src/protocol/errors.ts";

/** A call whose chunks are given by hand. */
class FakeCall implements Pick<UpstreamCall, "take" | "abort" | "discard"> {
  readonly log: string[] = [];
  readonly #chunks: (string | null)[];
  #taker: Taker | null = null;

  constructor(...chunks: (string | null)[]) {
    this.#chunks = chunks;
  }

  take(taker: Taker): void {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) this.#taker = taker;
    else taker(chunk === null ? null : [Buffer.from(chunk)], null);
  }
  abort(): void {
    this.log.push("abort");
    const taker = this.#taker;
    this.#taker = null;
    taker?.(null, new Error("The call was ended."));
  }
  discard(): void {
    this.log.push("discard");
  }
}

function answerOf(
  open: (watchdog: Watchdog) => Promise<Pick<UpstreamCall, "take" | "abort" | "discard">>,
  silenceTimeoutMs = 1000,
  signal = new AbortController().signal,
): ChatAnswer {
  const head = { tools: chatTools([]), allowed: null };
  return new ChatAnswer({
    head,
    open: open as () => Promise<UpstreamCall>,
    signal,
    silenceTimeoutMs,
    thinkTags: "auto",
    origin: "here",
    redact: async () => undefined,
  });
}

function said(content: string, finish: string | null = null): string {
  return `data: ${JSON.stringify({ choices: [{ delta: { content }, finish_reason: finish }] })}\n\n`;
}

afterEach(() => {
  vi.useRealTimers();
});

test("each batch is what came together, and a connection whose answer is whole is kept", async () => {
  const call = new FakeCall(said("a") + said("b"), ": nothing\n\n", said("c"), "data: [DONE]\n\n");
  const answer = answerOf(async () => call);
  const batches = [];
  for await (const batch of answer) batches.push(batch);
  expect(batches).toEqual([
    [],
    [{ type: "text.delta", delta: "ab" }],
    [{ type: "text.delta", delta: "c" }],
    [{ type: "finish", reason: "stop" }],
  ]);
  expect(call.log).toEqual(["discard"]);
  expect(await answer.next()).toEqual({ done: true, value: undefined });
});

test("nothing is asked before somebody wants the answer", async () => {
  let asked = 0;
  const answer = answerOf(async () => {
    asked += 1;
    return new FakeCall();
  });
  await answer.return();
  expect(await answer.next()).toEqual({ done: true, value: undefined });
  expect(asked).toBe(0);
});

test("an answer that is left before it has begun is ended as soon as it begins", async () => {
  const call = new FakeCall();
  const opening = Promise.withResolvers<FakeCall>();
  const answer = answerOf(() => opening.promise);
  const next = answer.next();
  await answer.return();
  opening.resolve(call);
  expect(await next).toEqual({ done: true, value: undefined });
  expect(call.log).toContain("abort");
});

test("an answer that is left in the middle is ended, and whoever still waits hears no error", async () => {
  const call = new FakeCall(said("a"));
  const answer = answerOf(async () => call);
  await answer.next();
  await answer.next();
  const next = answer.next();
  await answer.return();
  expect(await next).toEqual({ done: true, value: undefined });
  expect(call.log).toEqual(["abort"]);
});

test("what breaks in the middle is told as the model server's failure, after what had come", async () => {
  const call = new FakeCall(said("a"), null);
  const answer = answerOf(async () => call);
  expect(await answer.next()).toEqual({ done: false, value: [] });
  expect(await answer.next()).toEqual({ done: false, value: [{ type: "text.delta", delta: "a" }] });
  const error: unknown = await answer.next().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ApiError);
  expect(call.log).toEqual(["abort"]);
});

const types = (batch: unknown): readonly string[] =>
  (batch as { value: readonly { type: string }[] }).value.map(({ type }) => type);

describe("behind the model's last word", () => {
  const usage = 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n';
  test.each([
    ["without usage", [said("a", "stop")], 1_999, ["finish"]],
    ["with usage", [said("a", "stop"), usage], 499, ["usage", "finish"]],
  ])("a silent connection is given up after a grace, %s", async (_, chunks, grace, expected) => {
    vi.useFakeTimers();
    const call = new FakeCall(...chunks);
    const answer = answerOf(async (watchdog) => {
      watchdog.guard(() => call.abort());
      return call;
    }, 60_000);
    await answer.next();
    expect(types(await answer.next())).toEqual(["text.delta"]);
    const next = answer.next();
    await vi.advanceTimersByTimeAsync(grace);
    expect(call.log).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(types(await next)).toEqual(expected);
  });

  test("a connection that breaks takes nothing from the answer", async () => {
    const call = new FakeCall(said("a", "stop"));
    const answer = answerOf(async () => call);
    await answer.next();
    await answer.next();
    const next = answer.next();
    call.abort();
    expect(types(await next)).toEqual(["finish"]);
    expect(await answer.next()).toEqual({ done: true, value: undefined });
  });

  test("the client's leaving is no end of the answer", async () => {
    const client = new AbortController();
    const call = new FakeCall(said("a", "stop"));
    const answer = answerOf(
      async (watchdog) => {
        watchdog.guard(() => call.abort());
        return call;
      },
      1000,
      client.signal,
    );
    await answer.next();
    await answer.next();
    const next = answer.next();
    client.abort();
    await expect(next).rejects.toBeInstanceOf(ApiError);
  });
});

test("a page of HTML is no answer, and the log has its beginning", async () => {
  const answer = answerOf(async () => new FakeCall("<html>Just a ", "moment...</html>", null));
  await answer.next();
  const error: unknown = await answer.next().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    message: "The model server answered with something that is not a chat completion stream.",
    cause: { cause: { message: "<html>Just a moment...</html>" } },
  });
});
