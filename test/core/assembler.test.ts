import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Assembler } from "../../src/core/assembler.ts";
import { responseFrame } from "../../src/core/response-frame.ts";
import type { BackendEvent, FinishReason } from "../../src/core/ports.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import type { ServerEvent } from "../../src/protocol/events.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import type { Response } from "../../src/protocol/response.ts";
import { FakeRuntime, finish } from "../../src/testing/index.ts";
import { anyGeneration } from "../support/backend-events.ts";
import { checkGrammar } from "../support/grammar.ts";
import { CONTRACT_IS_MISSING, contractSchema } from "../support/open-responses.ts";

/** Behind the name of a test that is skipped: the reason. */
const WHY_NOT = CONTRACT_IS_MISSING === null ? "" : ` (${CONTRACT_IS_MISSING})`;

const text = (delta: string): BackendEvent => ({ type: "text.delta", delta });
const reasoning = (delta: string): BackendEvent => ({ type: "reasoning.delta", delta });
const call = (key: number, name: string, callId: string | null = `call_${key}`): BackendEvent => ({
  type: "call",
  key,
  kind: "function",
  callId,
  name,
});
const custom = (key: number, name: string): BackendEvent => ({
  type: "call",
  key,
  kind: "custom",
  callId: `call_${key}`,
  name,
});
const more = (key: number, delta: string): BackendEvent => ({ type: "call.delta", key, delta });
const done = (key: number): BackendEvent => ({ type: "call.done", key });
const end = (reason: FinishReason = "stop"): BackendEvent => ({ type: "finish", reason });

function assembler(fields: object = {}): Assembler {
  const runtime = new FakeRuntime();
  return new Assembler(responseFrame(parseCreateRequest({ model: "m", input: "Hi", ...fields }), runtime), runtime);
}

/** All events of a generation, checked against the grammar. */
function assemble(batches: readonly (readonly BackendEvent[])[], fields: object = {}): readonly ServerEvent[] {
  const subject = assembler(fields);
  const events = [...subject.start(), ...batches.flatMap((batch) => subject.push(batch))];
  const last = subject.finish();
  events.push(...last.events, subject.terminal(last.response));
  checkGrammar(events);
  return events;
}

/** What a client sees of a generation that comes in one batch: names of events, and the last response. */
function shown(
  events: readonly BackendEvent[],
  fields: object = {},
): { readonly names: readonly string[]; readonly response: Response } {
  const stream = assemble([events], fields);
  const names = stream.map((event) => event.type.replace("response.", ""));
  return { names: names.slice(2), response: responseOf(stream.at(-1)) };
}

/** The phases of the messages in an answer. */
function phases(...batch: BackendEvent[]): readonly unknown[] {
  return shown([...batch, end()]).response.output.flatMap((item) => ("phase" in item ? [item["phase"]] : []));
}

function responseOf(event: ServerEvent | undefined): Response {
  if (event === undefined || !("response" in event)) throw new Error("the event has no response");
  return event.response;
}

describe("the grammar of", () => {
  test("a message: item, part, deltas, each ended in reverse order", () => {
    const { names, response } = shown([text("Hel"), text("lo"), end()]);
    expect(names).toEqual([
      "output_item.added",
      "content_part.added",
      "output_text.delta",
      "output_text.delta",
      "output_text.done",
      "content_part.done",
      "output_item.done",
      "completed",
    ]);
    expect(response.output).toEqual([
      {
        type: "message",
        phase: "final_answer",
        id: "msg_1o0",
        status: "completed",
        role: "assistant",
        content: [{ type: "output_text", text: "Hello", annotations: [], logprobs: [] }],
      },
    ]);
  });

  test("a message is commentary before a call or another item, and the answer where it ends the turn", () => {
    expect(phases(text("Let me look."), call(0, "read"))).toEqual(["commentary"]);
    expect(phases(text("a"), reasoning("Hm"), text("b"))).toEqual(["commentary", "final_answer"]);
    expect(phases(call(0, "read"), text("There."))).toEqual(["commentary"]);
    expect(phases(text("Here."), { type: "item", item: { type: "shell_call" } })).toEqual(["commentary"]);
  });

  test("a refusal: a part of the message, also behind text", () => {
    const { names, response } = shown([text("Well"), { type: "refusal.delta", delta: "No." }, end()]);
    expect(names).toContain("refusal.delta");
    expect(names).toContain("refusal.done");
    expect(response.output).toMatchObject([{ type: "message", content: [{ text: "Well" }, { refusal: "No." }] }]);
  });

  test("reasoning: an item of its own, before the message", () => {
    const { names, response } = shown([reasoning("Hm"), reasoning("m"), text("Yes"), end()]);
    expect(names.slice(0, 7)).toEqual([
      "output_item.added",
      "content_part.added",
      "reasoning_text.delta",
      "reasoning_text.delta",
      "reasoning_text.done",
      "content_part.done",
      "output_item.done",
    ]);
    expect(response.output).toMatchObject([
      { type: "reasoning", id: "rs_1o0", summary: [], content: [{ type: "reasoning_text", text: "Hmm" }] },
      { type: "message", content: [{ text: "Yes" }] },
    ]);
  });

  test("reasoning is sent as a summary where the request asks for one", () => {
    const { names, response } = shown([reasoning("Hm"), text("Yes"), end()], { reasoning: { summary: "auto" } });
    expect(names).toContain("reasoning_summary_text.delta");
    expect(names.filter((name) => name.startsWith("reasoning_text"))).toEqual([]);
    expect(response.output[0]).toMatchObject({ summary: [{ type: "summary_text", text: "Hm" }], content: [] });
  });

  test("a reasoning summary: parts with events of their own", () => {
    const { names, response } = shown([{ type: "summary.delta", delta: "In short" }, end()]);
    expect(names).toEqual([
      "output_item.added",
      "reasoning_summary_part.added",
      "reasoning_summary_text.delta",
      "reasoning_summary_text.done",
      "reasoning_summary_part.done",
      "output_item.done",
      "completed",
    ]);
    expect(response.output).toMatchObject([
      { type: "reasoning", summary: [{ type: "summary_text", text: "In short" }], content: [] },
    ]);
  });

  test("a function call: arguments without a part", () => {
    const { names, response } = shown([call(0, "read"), more(0, '{"a"'), more(0, ":1}"), end()]);
    expect(names).toEqual([
      "output_item.added",
      "function_call_arguments.delta",
      "function_call_arguments.delta",
      "function_call_arguments.done",
      "output_item.done",
      "completed",
    ]);
    expect(response.output).toEqual([
      {
        type: "function_call",
        id: "fc_1o0",
        status: "completed",
        call_id: "call_0",
        name: "read",
        arguments: '{"a":1}',
      },
    ]);
  });

  test("a custom tool call: input without a part", () => {
    const { names, response } = shown([custom(0, "shell"), more(0, "ls"), end()]);
    expect(names).toEqual([
      "output_item.added",
      "custom_tool_call_input.delta",
      "custom_tool_call_input.done",
      "output_item.done",
      "completed",
    ]);
    expect(response.output).toEqual([
      { type: "custom_tool_call", id: "ctc_1o0", status: "completed", call_id: "call_0", name: "shell", input: "ls" },
    ]);
  });

  test("an item that a backend invents: added and done at once, as it is", () => {
    const item = { type: "acme:search", id: "s_1", hits: [{ a: 1 }] };
    const { names, response } = shown([text("Let me look."), { type: "item", item }, text("Found."), end()]);
    expect(names.filter((name) => name.startsWith("output_item"))).toEqual([
      "output_item.added",
      "output_item.done",
      "output_item.added",
      "output_item.done",
      "output_item.added",
      "output_item.done",
    ]);
    expect(response.output.map((each) => each.type)).toEqual(["message", "acme:search", "message"]);
    expect(response.output[1]).toEqual(item);
  });

  test("nothing at all: a completed response without output", () => {
    const { names, response } = shown([end()]);
    expect(names).toEqual(["completed"]);
    expect(response).toMatchObject({ status: "completed", output: [], usage: null });
  });
});

describe("calls", () => {
  test("that come in parallel keep their places and their own arguments, however their deltas mix", () => {
    const { response } = shown([
      call(0, "read"),
      more(0, "{"),
      call(1, "write"),
      more(1, "["),
      more(0, "}"),
      more(1, "]"),
      end(),
    ]);
    expect(response.output).toMatchObject([
      { name: "read", call_id: "call_0", arguments: "{}" },
      { name: "write", call_id: "call_1", arguments: "[]" },
    ]);
  });

  test("end a text before them, and text behind them is a new message", () => {
    const { response } = shown([text("a"), call(0, "read"), more(0, "{}"), text("b"), more(0, " "), end()]);
    expect(response.output).toMatchObject([
      { type: "message", content: [{ text: "a" }] },
      { type: "function_call", arguments: "{} " },
      { type: "message", content: [{ text: "b" }] },
    ]);
  });

  test("without an id of their own get one", () => {
    const { response } = shown([call(0, "read", null), call(1, "read", null), end()]);
    expect(response.output).toMatchObject([{ call_id: "call_1" }, { call_id: "call_2" }]);
  });

  test("are opened once, and deltas of an unknown call are nothing", () => {
    const { names, response } = shown([
      more(0, "lost"),
      call(0, "read"),
      call(0, "again"),
      more(0, "{}"),
      more(7, "x"),
      end(),
    ]);
    expect(response.output).toMatchObject([{ name: "read", arguments: "{}" }]);
    expect(names.filter((name) => name === "function_call_arguments.delta")).toHaveLength(1);
  });
});

test("empty deltas are nothing", () => {
  const { names } = shown([text(""), reasoning(""), call(0, "read"), more(0, ""), text(""), end()]);
  expect(names.filter((name) => name.endsWith("added"))).toEqual(["output_item.added"]);
});

describe("a generation that was cut off", () => {
  test.each(["max_output_tokens", "content_filter"] as const)(
    "by %s is incomplete, and so is the text that it cut",
    (reason) => {
      const { names, response } = shown([reasoning("Hm"), text("Once upon"), end(reason)]);
      expect(names.at(-1)).toBe("incomplete");
      expect(response).toMatchObject({
        status: "incomplete",
        incomplete_details: { reason },
        error: null,
        completed_at: null,
      });
      expect(response.output).toMatchObject([
        { type: "reasoning" },
        { type: "message", status: "incomplete", content: [{ text: "Once upon" }] },
      ]);
    },
  );

  test("drops the call that it cut, so that no client runs it", () => {
    const { names, response } = shown([
      text("a"),
      call(0, "read"),
      more(0, "{}"),
      call(1, "rm"),
      more(1, '{"path":"/tm'),
      end("max_output_tokens"),
    ]);
    expect(names.filter((name) => name === "output_item.added")).toHaveLength(3);
    expect(names.filter((name) => name === "output_item.done")).toHaveLength(2);
    expect(response.output).toMatchObject([
      { type: "message", status: "completed" },
      { type: "function_call", name: "read" },
    ]);
  });

  test("drops the call that grew last, whichever was opened last", () => {
    const { response } = shown([
      call(0, "rm"),
      call(1, "read"),
      more(1, "{}"),
      more(0, '{"path":"/'),
      end("max_output_tokens"),
    ]);
    expect(response.output).toMatchObject([{ type: "function_call", name: "read" }]);
  });

  test("drops a call that had not begun to grow", () => {
    expect(shown([call(0, "rm"), end("content_filter")]).response.output).toEqual([]);
  });

  test("keeps all calls when it was text that it cut", () => {
    const { response } = shown([call(0, "read"), more(0, "{}"), text("and th"), end("max_output_tokens")]);
    expect(response.output).toMatchObject([
      { type: "function_call", status: "completed" },
      { type: "message", status: "incomplete" },
    ]);
  });

  test("before anything was said has no output", () => {
    expect(shown([end("max_output_tokens")]).response).toMatchObject({ status: "incomplete", output: [] });
  });
});

describe("a steered generation", () => {
  test("goes on to the end of its item, and what would begin another is not heard", () => {
    const subject = assembler();
    const events = [...subject.start(), ...subject.push([text("a")])];
    subject.stopAtBoundary();
    events.push(...subject.push([text("b"), { type: "refusal.delta", delta: "c" }, ...finish().slice(0, 1)]));
    expect(subject.isAtBoundary).toBe(false);
    events.push(...subject.push([call(0, "read"), more(0, "{}"), text("d")]));
    expect(subject.isAtBoundary).toBe(true);
    const { events: last, response } = subject.cut("steered");
    events.push(...last, subject.terminal(response));
    checkGrammar(events);
    expect(response).toMatchObject({ status: "incomplete", incomplete_details: { reason: "steered" } });
    expect(response.output).toMatchObject([{ status: "completed", content: [{ text: "ab" }, { refusal: "c" }] }]);
  });

  test("that comes to its own end first has completed", () => {
    const subject = assembler();
    subject.push([reasoning("a")]);
    subject.stopAtBoundary();
    subject.push([reasoning("b"), end()]);
    expect([subject.isAtBoundary, subject.isFinished]).toEqual([false, true]);
    expect(subject.finish().response.status).toBe("completed");
  });
});

describe("a failure", () => {
  const error = new ApiError("server_error", "It broke.", { cause: new Error("secret") });

  test("shows the items that were done before, and only those", () => {
    const subject = assembler();
    const events = [
      ...subject.start(),
      ...subject.push([reasoning("Hm"), text("a"), call(0, "read"), more(0, "{}"), text("b")]),
      subject.terminal(subject.failed(error)),
    ];
    checkGrammar(events);
    const response = responseOf(events.at(-1));
    expect(response).toMatchObject({
      status: "failed",
      error: { code: "server_error", message: "It broke." },
      completed_at: null,
    });
    expect(response.output.map((item) => item.type)).toEqual(["reasoning", "message"]);
    expect(JSON.stringify(events)).not.toContain("secret");
  });

  test("after the end of the generation shows all items", () => {
    const subject = assembler();
    const events = [
      ...subject.start(),
      ...subject.push([text("a"), end()]),
      ...subject.finish().events,
      subject.terminal(subject.failed(error)),
    ];
    checkGrammar(events);
    expect(responseOf(events.at(-1)).output).toHaveLength(1);
  });

  test("is what a backend gets that ends without saying so", () => {
    const subject = assembler();
    subject.push([text("a")]);
    expect(() => subject.finish()).toThrow("The server had an error while processing your request.");
  });
});

describe("a snapshot", () => {
  const KEYS = [
    "id object created_at completed_at status incomplete_details model previous_response_id instructions output error",
    "tools tool_choice truncation parallel_tool_calls text top_p presence_penalty frequency_penalty top_logprobs",
    "temperature reasoning usage max_output_tokens max_tool_calls store background service_tier metadata",
    "safety_identifier prompt_cache_key",
  ].flatMap((line) => line.split(" "));

  const GENERATION: readonly (readonly BackendEvent[])[] = [
    [{ type: "summary.delta", delta: "s" }, reasoning("r"), text("t"), { type: "refusal.delta", delta: "n" }],
    [call(0, "read"), more(0, "{}")],
    finish(),
  ];

  const REQUESTS: readonly (readonly [string, object])[] = [
    ["of the smallest request", {}],
    [
      "of a request that says everything",
      {
        previous_response_id: "resp_0",
        instructions: "Be brief.",
        tools: [
          { type: "function", name: "read" },
          { type: "function", name: "write", description: "d", parameters: {}, strict: true },
        ],
        tool_choice: { type: "function", name: "read" },
        parallel_tool_calls: false,
        text: { format: { type: "json_object" }, verbosity: "low" },
        reasoning: { effort: "high", summary: "auto" },
        max_output_tokens: 100,
        max_tool_calls: 3,
        temperature: 0.5,
        top_p: 0.9,
        top_logprobs: 2,
        presence_penalty: 1,
        frequency_penalty: -1,
        truncation: "auto",
        store: false,
        metadata: { a: "b" },
        user: "u",
        safety_identifier: "s",
        prompt_cache_key: "k",
        service_tier: "flex",
      },
    ],
    [
      "of a choice of allowed tools",
      {
        tools: [{ type: "function", name: "read" }],
        tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "read" }] },
      },
    ],
    ["of half of the reasoning settings", { reasoning: { effort: "low" }, service_tier: "auto" }],
  ];

  const snapshots = (fields: object): readonly Response[] => {
    const failing = assembler(fields);
    const failed = [
      ...failing.start(),
      ...failing.push(GENERATION.flat()),
      failing.terminal(failing.failed(new ApiError("server_error", "No."))),
    ];
    const incomplete = assemble([[text("a"), end("max_output_tokens")]], fields);
    return [...assemble(GENERATION, fields), ...incomplete, ...failed].flatMap((event) =>
      "response" in event ? event.response : [],
    );
  };

  /** What OpenAI's snapshots have besides. */
  const OF_OPENAI = ["access_programs", "moderation", "prompt_cache_retention", "tool_usage", "user"];

  test.each(REQUESTS)(
    "%s has the 31 keys of Open Responses and the 5 further ones of OpenAI, and no value that is undefined",
    (_, fields) => {
      const all = snapshots(fields);
      expect(all).toHaveLength(9);
      for (const snapshot of all) {
        expect(Object.keys(snapshot).toSorted()).toEqual([...KEYS, ...OF_OPENAI].toSorted());
        expect(Object.values(snapshot)).not.toContain(undefined);
        expect(Object.isFrozen(snapshot)).toBe(true);
        expect(Object.isFrozen(snapshot.output)).toBe(true);
      }
    },
  );

  test.skipIf(CONTRACT_IS_MISSING !== null).each(REQUESTS)(
    `%s fits the contract of Open Responses${WHY_NOT}`,
    (_, fields) => {
      const breaches = contractSchema("ResponseResource");
      for (const snapshot of snapshots(fields)) expect(breaches(snapshot)).toEqual([]);
    },
  );

  test("says what the request said, and the API's default where it said nothing", () => {
    const silent = responseOf(assemble([[end()]]).at(-1));
    expect(silent).toMatchObject({
      object: "response",
      id: "resp_1",
      created_at: 1_800_000_000,
      completed_at: 1_800_000_000,
      model: "m",
      previous_response_id: null,
      instructions: null,
      tools: [],
      tool_choice: "auto",
      truncation: "disabled",
      parallel_tool_calls: true,
      text: { format: { type: "text" } },
      top_p: 1,
      temperature: 1,
      presence_penalty: 0,
      frequency_penalty: 0,
      top_logprobs: 0,
      reasoning: { effort: null, summary: null, context: null, mode: null },
      user: null,
      store: true,
      background: false,
      service_tier: "default",
      metadata: {},
    });
    const [, everything = {}] = REQUESTS[1] ?? [];
    const { tools: _tools, ...echoed } = everything as Record<string, unknown>;
    expect(responseOf(assemble([[end()]], everything).at(-1))).toMatchObject(echoed);
  });

  test("shows the usage as the backend counted it", () => {
    const usage = {
      input_tokens: 3,
      input_tokens_details: { cached_tokens: 1, cache_write_tokens: 0 },
      output_tokens: 2,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 5,
    };
    const subject = assembler();
    expect(responseOf(subject.start()[0]).usage).toBeNull();
    subject.push(finish());
    expect(subject.usage).toEqual(usage);
    expect(subject.finish().response.usage).toEqual(usage);
  });
});

/** The contract knows neither custom tools nor items that somebody invents. */
function isInContract(event: BackendEvent): boolean {
  return event.type !== "item" && !(event.type === "call" && event.kind === "custom");
}

describe("whatever a backend says", () => {
  test("the stream is grammatical, and its events fold into its last snapshot", () => {
    fc.assert(
      fc.property(anyGeneration, (batches) => {
        assemble(batches);
      }),
      { numRuns: 500 },
    );
  });

  test("it is the same stream, however it is cut into batches", () => {
    fc.assert(
      fc.property(anyGeneration, (batches) => {
        expect(assemble([batches.flat()])).toEqual(assemble(batches));
        expect(assemble(batches.flat().map((event) => [event]))).toEqual(assemble(batches));
      }),
    );
  });

  test("a failure at any point leaves a grammatical stream", () => {
    fc.assert(
      fc.property(anyGeneration, fc.nat(), (batches, at) => {
        const subject = assembler();
        const before = batches.slice(0, at % (batches.length + 1));
        const events = [...subject.start(), ...before.flatMap((batch) => subject.push(batch))];
        events.push(subject.terminal(subject.failed(new ApiError("server_error", "It broke."))));
        checkGrammar(events);
      }),
    );
  });

  test("no event changes after it was made", () => {
    fc.assert(
      fc.property(anyGeneration, (batches) => {
        const subject = assembler();
        const made: [ServerEvent, string][] = [];
        const note = (events: readonly ServerEvent[]): void => {
          for (const event of events) made.push([event, JSON.stringify(event)]);
        };
        note(subject.start());
        for (const batch of batches) note(subject.push(batch));
        const last = subject.finish();
        note([...last.events, subject.terminal(last.response)]);
        for (const [event, json] of made) expect(JSON.stringify(event)).toBe(json);
      }),
    );
  });

  test.skipIf(CONTRACT_IS_MISSING !== null)(`the last snapshot fits the contract of Open Responses${WHY_NOT}`, () => {
    const breaches = contractSchema("ResponseResource");
    fc.assert(
      fc.property(anyGeneration, (batches) => {
        const known = batches.map((batch) => batch.filter(isInContract));
        expect(breaches(responseOf(assemble(known).at(-1)))).toEqual([]);
      }),
    );
  });
});

describe("a call that the backend closes", () => {
  test("is done before the next item begins", () => {
    const { names } = shown([call(0, "f"), more(0, "{}"), done(0), custom(1, "g"), done(1), done(1), text("t"), end()]);
    expect(names.slice(0, 8)).toEqual([
      "output_item.added",
      "function_call_arguments.delta",
      "function_call_arguments.done",
      "output_item.done",
      "output_item.added",
      "custom_tool_call_input.done",
      "output_item.done",
      "output_item.added",
    ]);
  });

  test("stays, whatever cuts the response behind it", () => {
    const { response } = shown([call(0, "f"), done(0), end("max_output_tokens")]);
    expect(response.output).toMatchObject([{ type: "function_call", arguments: "{}", status: "completed" }]);
  });
});

describe("sources of a text", () => {
  const source = { type: "url_citation", url: "https://a.x", title: "A", start_index: 0, end_index: 1 } as const;

  test("are told as they come, counted from 0, and stand in the part when it is done", () => {
    const annotations = [source, { ...source, url: "https://b.x" }];
    const events = assemble([
      [text("a"), ...annotations.map((annotation) => ({ type: "annotation", annotation }) as const), end()],
    ]);
    const told = events.filter(({ type }) => type === "response.output_text.annotation.added");
    expect(told).toMatchObject([
      { annotation_index: 0, annotation: source, output_index: 0, content_index: 0 },
      { annotation_index: 1, annotation: { url: "https://b.x" } },
    ]);
    expect(responseOf(events.at(-1)).output).toMatchObject([{ content: [{ annotations }] }]);
  });

  test("without a text are nothing", () => {
    const annotation: BackendEvent = { type: "annotation", annotation: source };
    const { names } = shown([annotation, reasoning("a"), annotation, end()]);
    expect(names).not.toContain("output_text.annotation.added");
  });
});
