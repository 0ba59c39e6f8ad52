import { describe, expect, test } from "vitest";
import type { Backend, BackendRequest } from "../../src/core/ports.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import type { Item } from "../../src/protocol/items.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { answer, ScriptedBackend, type Step } from "../../src/testing/index.ts";
import { contextOf } from "../stores/nodes.ts";
import { makeEngine, turn } from "./harness.ts";

const user = (content: string): Item => ({ type: "message", role: "user", content });
const system = (content: string): Item => ({ type: "message", role: "system", content });
const call = (call_id: string): Item => ({ type: "function_call", call_id, name: "f", arguments: "{}" });
const output = (call_id: string): Item => ({ type: "function_call_output", call_id, output: "x".repeat(200) });
const thought = (text: string): Item => ({
  type: "reasoning",
  summary: [],
  content: [{ type: "reasoning_text", text }],
});
const tooLong = () => new ApiError("context_length_exceeded", "Too long.", { param: "input" });

/** A model that takes so many items and no more; what it has refused it says when it is asked for the first batch. */
class ShortSighted implements Backend {
  readonly scripted: ScriptedBackend;
  readonly refused: (readonly Item[])[] = [];
  readonly #most: number;

  constructor(most: number, steps: Iterable<Step>) {
    this.#most = most;
    this.scripted = new ScriptedBackend(steps);
  }

  stream(request: BackendRequest, signal: AbortSignal): ReturnType<Backend["stream"]> {
    const context = [...contextOf(request.parent ?? undefined), ...request.input];
    if (context.length <= this.#most) return this.scripted.stream(request, signal);
    this.refused.push(context);
    return REFUSING;
  }

  models = async () => [];
  count = async () => 0;
  prefill = async () => undefined;
  close = async () => undefined;
}

/** Fails before it says anything. */
const REFUSING: AsyncIterable<never> = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(tooLong()) }) };

const texts = (context: readonly Item[] | undefined): readonly unknown[] | undefined =>
  context?.map(({ type, content, call_id }) =>
    typeof content === "string"
      ? content
      : Array.isArray(content)
        ? (content[0] as { text: string }).text
        : `${type} ${String(call_id)}`,
  );

const LONG = Array.from({ length: 12 }, (_, index) => user(`${index} ${"x".repeat(100)}`));
const names = (context: readonly Item[] | undefined) => texts(context)?.map((text) => String(text).split(" ")[0]);

describe("with truncation: auto", () => {
  test("the oldest items are left out until the model takes the context", async () => {
    const backend = new ShortSighted(7, [answer("ok")]);
    const { open } = makeEngine({ backend });
    const done = turn(open(), { input: LONG, truncation: "auto" });
    expect((await done.response()).truncation).toBe("auto");
    expect(names(backend.scripted.calls[0]?.context)).toEqual(["6", "7", "8", "9", "10", "11"]);
    expect(backend.refused.map((context) => context.length)).toEqual([12, 9]);
    expect(done.events.filter(({ type }) => type === "response.created")).toHaveLength(1);
  });

  test("a context that fits is left as it is", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("ok")] });
    await turn(open(), { input: LONG, truncation: "auto" }).response();
    expect(scripted.calls[0]?.context).toEqual(LONG);
  });

  test("nothing is lost from the chain", async () => {
    const store = new MemoryStore({ budgetBytes: 1 << 30 });
    const backend = new ShortSighted(5, [answer("ok")]);
    const { open } = makeEngine({ backend, store });
    const { id, output: said } = await turn(open(), { input: LONG, truncation: "auto" }).response();
    expect(contextOf(await store.load("acme", id))).toEqual([...LONG, ...said]);
  });

  test("the turns behind it begin where it was cut, and only ask again when that is too long as well", async () => {
    const backend = new ShortSighted(10, [answer("a"), answer("b"), answer("c")]);
    const { open } = makeEngine({ backend });
    const session = open();
    let previous: string | undefined;
    const input = [[...LONG], [user("more")], [user("and more")]];
    const asked: number[] = [];
    for (const items of input) {
      const before = backend.refused.length;
      const request = { input: items, truncation: "auto", ...(previous && { previous_response_id: previous }) };
      previous = (await turn(session, request).response()).id;
      asked.push(backend.refused.length - before);
    }
    expect(asked).toEqual([1, 1, 0]);
    expect(names(backend.scripted.calls[1]?.context)?.slice(-3)).toEqual(["11", "a", "more"]);
    expect(names(backend.scripted.calls[2]?.context)?.slice(-4)).toEqual(["a", "more", "b", "and"]);
  });

  test("another model, or a turn without it, sees the whole chain", async () => {
    const backend = new ShortSighted(10, [answer("a")]);
    const { open } = makeEngine({ backend });
    const session = open();
    const first = await turn(session, { input: LONG, truncation: "auto" }).response();
    const next = { input: "more", previous_response_id: first.id };
    expect(await turn(session, next).code()).toBe("context_length_exceeded");
    expect(backend.refused.at(-1)).toHaveLength(14);
  });

  test("the system's words, the newest message of the user and the newest unit stay", async () => {
    const input = [
      system("rules"),
      user("old"),
      user("task"),
      ...[1, 2, 3, 4].flatMap((index) => [thought(`t${index}`), call(`c${index}`), output(`c${index}`)]),
    ];
    const backend = new ShortSighted(5, [answer("ok")]);
    const { open } = makeEngine({ backend });
    await turn(open(), { input, truncation: "auto" }).response();
    expect(texts(backend.scripted.calls[0]?.context)).toEqual([
      "rules",
      "task",
      "t4",
      "function_call c4",
      "function_call_output c4",
    ]);
  });

  test("no call is parted from its output, nor from the calls beside it", async () => {
    const input = [
      user("task"),
      call("a"),
      call("b"),
      output("b"),
      output("a"),
      call("c"),
      call("d"),
      output("c"),
      output("d"),
      call("e"),
      output("e"),
    ];
    for (let most = 3; most <= input.length; most += 1) {
      const backend = new ShortSighted(most, [answer("ok")]);
      const { open } = makeEngine({ backend });
      await turn(open(), { input, truncation: "auto" }).response();
      const context = backend.scripted.calls[0]?.context ?? [];
      const ids = (type: string) => context.filter((item) => item.type === type).map(({ call_id }) => call_id);
      expect(new Set(ids("function_call"))).toEqual(new Set(ids("function_call_output")));
    }
  });

  test("a context that cannot be cut is refused, after a few tries", async () => {
    const backend = new ShortSighted(0, []);
    const { open } = makeEngine({ backend });
    const failed = turn(open(), { input: LONG, truncation: "auto" });
    expect(await failed.code()).toBe("context_length_exceeded");
    expect(backend.refused.map((context) => context.length)).toEqual([12, 9, 6, 3, 1]);
  });

  test("another failure, or one behind the first words, is told as it is", async () => {
    const steps: Step[] = [[new ApiError("server_error", "No.")], [[{ type: "text.delta", delta: "a" }], tooLong()]];
    const { open, scripted } = makeEngine({ steps });
    expect(await turn(open(), { input: LONG, truncation: "auto" }).code()).toBe("server_error");
    expect(await turn(open(), { input: LONG, truncation: "auto" }).code()).toBe("context_length_exceeded");
    expect(scripted.calls).toHaveLength(2);
  });
});

test("without it a context that is too long fails the turn", async () => {
  const backend = new ShortSighted(5, []);
  const { open } = makeEngine({ backend });
  expect(await turn(open(), { input: LONG }).code()).toBe("context_length_exceeded");
  expect(backend.refused).toHaveLength(1);
});
