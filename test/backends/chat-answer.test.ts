import { expect, test } from "vitest";
import { ChatAnswer } from "../../src/backends/chat-answer.ts";
import { chatTools } from "../../src/backends/chat-tools.ts";
import type { Taker, UpstreamCall } from "../../src/backends/upstream-call.ts";
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
  open: () => Promise<Pick<UpstreamCall, "take" | "abort" | "discard">>,
  signal = new AbortController().signal,
): ChatAnswer {
  const head = { tools: chatTools([]), allowed: null };
  return new ChatAnswer({
    head,
    open: open as () => Promise<UpstreamCall>,
    signal,
    silenceTimeoutMs: 1000,
    redact: async () => undefined,
  });
}

function said(content: string): string {
  return `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;
}

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
