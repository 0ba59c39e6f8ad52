import { describe, expect, test } from "vitest";
import { ApiError } from "../../src/protocol/errors.ts";
import { isItem, type Item } from "../../src/protocol/items.ts";
import { parseSteer } from "../../src/protocol/steer.ts";
import { answer, callFunctions, ClearSeal, finish, Gate, type Step } from "../../src/testing/index.ts";
import { checkGrammar } from "../support/grammar.ts";
import { makeEngine, settled, turn, eventsOf } from "./harness.ts";

const user = (content: unknown): Item => ({ type: "message", role: "user", content });
const developer = (content: string): Item => ({ type: "message", role: "developer", content });
const assistant = (content: string): Item => ({ type: "message", role: "assistant", content });
const TRIGGER = { type: "compaction_trigger" };
const MANAGED = [{ type: "compaction", compact_threshold: 100 }];
/** Words that are many tokens, so that a context with them is beyond the threshold. */
const LONG = "many words ".repeat(100);

/** An answer of many words, which the model server has not counted: the context is then estimated. */
const longAnswer = (): Step => [[{ type: "text.delta", delta: LONG }], [{ type: "finish", reason: "stop" }]];

/** A model server that takes the context for too long. */
const tooLong = (): Step => [new ApiError("context_length_exceeded", "Too long.")];

const noText = (): Step => answer("<think>What to say?</think>");
const aCall = (): Step => callFunctions({ callId: "c1", name: "f" });
const textAndCall = (): Step => [
  [
    { type: "text.delta", delta: "I look first." },
    { type: "call", key: 0, kind: "function", callId: "c", name: "f" },
  ],
  finish(),
];

/** What an item says, in short: role and text of a message, the type of anything else. */
function gist(item: Item): string {
  if (!isItem(item, "message")) return item.type;
  const { role, content } = item;
  const text =
    typeof content === "string"
      ? content
      : content.map((part) => (typeof part["text"] === "string" ? part["text"] : part.type)).join("+");
  if (text.includes("answer with the summary alone")) return "ask for a summary";
  const summary = /<summary>\n([^]*)\n<\/summary>/.exec(text)?.[1];
  return summary === undefined ? `${role}: ${text}` : `summary: ${summary}`;
}

const gists = (items: readonly Item[] | undefined): readonly string[] | undefined => items?.map(gist);

/** The parts of a sealed item, which the seal of the tests leaves readable. */
function partsOf(item: unknown): Record<string, unknown> {
  const { encrypted_content } = item as { readonly encrypted_content: string };
  return JSON.parse(new ClearSeal().open("acme", encrypted_content, Infinity) ?? "null") as Record<string, unknown>;
}

describe("a compaction trigger", () => {
  test("is answered with one compaction item and nothing else, written by the model", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("<think>Hm.</think>", "The sum", "mary.")] });
    const session = open();
    await turn(session, { input: [developer("Be brief."), user("u1")], tools: [{ type: "function", name: "f" }] }).end;
    const told = turn(session, {
      previous_response_id: "resp_1",
      input: [TRIGGER],
      tools: [{ type: "function", name: "f" }],
      text: { format: { type: "json_object" } },
    });
    const response = await told.response();
    checkGrammar(told.events);
    expect(response).toMatchObject({ status: "completed", usage: { input_tokens: 3, output_tokens: 2 } });
    expect(response.output).toEqual([{ type: "compaction", id: "cmp_2o0", encrypted_content: expect.any(String) }]);
    expect(partsOf(response.output[0])).toEqual({
      form: 1,
      replaces: false,
      before: [],
      summary: "The summary.",
      after: [],
    });
    // The model sees what it has seen before, so that its server has it in its cache, and is asked behind it.
    const [, asked] = scripted.calls;
    expect(gists(asked?.context)).toEqual(["developer: Be brief.", "user: u1", "assistant: a1", "ask for a summary"]);
    expect(asked?.settings).toMatchObject({ tool_choice: "none", text: { format: { type: "text" } } });
    expect(asked?.settings.tools).toEqual(scripted.calls[0]?.settings.tools);
  });

  test("its item stands for what a client leaves out, wherever the client puts it", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("All of it."), answer("ok"), answer("ok")] });
    const session = open();
    const { output } = await turn(session, { input: [user("u1"), assistant("a1"), TRIGGER], store: false }).response();
    const input = [developer("Be brief."), user("u1"), ...output, user("u2")];
    await turn(session, { input, store: false }).end;
    const seen = ["developer: Be brief.", "user: u1", "summary: All of it.", "user: u2"];
    expect(gists(scripted.calls[1]?.context)).toEqual(seen);
    // The same on another connection of the same tenant, which knows nothing of the first.
    await turn(open(), { input, store: false }).end;
    expect(gists(scripted.calls[2]?.context)).toEqual(seen);
  });

  test("is continued from what is kept and the summary alone", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("All of it."), answer("a2"), answer("a3")] });
    const session = open();
    const tools = { type: "additional_tools", role: "developer", tools: [{ type: "function", name: "f" }] };
    await turn(session, { input: [developer("Be brief."), tools, user("u1")] }).end;
    await turn(session, { previous_response_id: "resp_1", input: [user("u2"), TRIGGER] }).end;
    await turn(session, { previous_response_id: "resp_2", input: "u3" }).end;
    const kept = ["developer: Be brief.", "user: u1", "user: u2", "summary: All of it.", "user: u3"];
    expect(gists(scripted.calls[2]?.context)).toEqual(["additional_tools", ...kept]);
    expect(scripted.calls[2]?.settings.tools).toMatchObject([{ name: "f" }]);
    // And what came before can still be continued as it was.
    await turn(session, { previous_response_id: "resp_1", input: "u4" }).end;
    expect(gists(scripted.calls[3]?.context)?.slice(-3)).toEqual(["user: u1", "assistant: a1", "user: u4"]);
  });

  test("of an empty context is refused", async () => {
    const { open } = makeEngine();
    expect(await turn(open(), { input: [TRIGGER] }).code()).toBe("invalid_value");
  });

  test("of a context with calls that are not answered is refused like any other turn", async () => {
    const { open } = makeEngine({ steps: [callFunctions({ callId: "c1", name: "f" })] });
    const session = open();
    await turn(session).end;
    expect(await turn(session, { previous_response_id: "resp_1", input: [TRIGGER] }).code()).toBe(
      "tool_output_missing",
    );
  });

  test.each<[string, Step]>([
    ["the model server fails", [[{ type: "text.delta", delta: "Half" }], new Error("it fell over")]],
    ["the model server stops it", [[{ type: "text.delta", delta: "Half" }], finish("content_filter")]],
    ["the model server says no end", [[{ type: "text.delta", delta: "Half" }]]],
  ])("when %s: the response has failed, and what is stored is as it was", async (_, step) => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), step, answer("a2")] });
    const session = open();
    await turn(session).end;
    const told = turn(session, { previous_response_id: "resp_1", input: [TRIGGER] });
    expect(await told.code()).toBe("server_error");
    checkGrammar(told.events);
    expect(told.terminal?.response.output).toEqual([]);
    await turn(session, { previous_response_id: "resp_1", input: "u2" }).response();
    expect(gists(scripted.calls[2]?.context)).toEqual(["user: Hi", "assistant: a1", "user: u2"]);
  });

  test.each<[string, () => Step]>([
    ["writes nothing", noText],
    ["calls a tool, whatever tool_choice says", aCall],
    ["says something and calls a tool", textAndCall],
  ])("is tried again without tools when the model %s", async (_, step) => {
    const { open, scripted } = makeEngine({ steps: [step(), answer("All of it.")] });
    const tools = [{ type: "function", name: "f" }];
    const told = turn(open(), { input: [user("u1"), TRIGGER], tools });
    const { output, usage } = await told.response();
    checkGrammar(told.events);
    expect(output.map((item) => item.type)).toEqual(["compaction"]);
    expect(partsOf(output[0])["summary"]).toBe("All of it.");
    expect(scripted.calls.map(({ settings }) => settings.tools.length)).toEqual([1, 0]);
    expect(scripted.calls[1]?.context).toEqual(scripted.calls[0]?.context);
    // Both answers were paid for.
    expect(usage).toMatchObject({ input_tokens: 6, output_tokens: 4, total_tokens: 10 });
  });

  test.each<[string, () => Step]>([
    ["writes nothing", noText],
    ["calls a tool", aCall],
  ])("fails when the model %s twice, and what is stored is as it was", async (_, step) => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), step(), step(), answer("a2")] });
    const session = open();
    await turn(session).end;
    const told = turn(session, { previous_response_id: "resp_1", input: [TRIGGER] });
    expect(await told.code()).toBe("server_error");
    checkGrammar(told.events);
    expect(told.terminal?.response.output).toEqual([]);
    await turn(session, { previous_response_id: "resp_1", input: "u2" }).response();
    expect(gists(scripted.calls[3]?.context)).toEqual(["user: Hi", "assistant: a1", "user: u2"]);
  });

  test("a summary that was cut off says so", async () => {
    const { open } = makeEngine({ steps: [[[{ type: "text.delta", delta: "Half of" }], finish("max_output_tokens")]] });
    const { output } = await turn(open(), { input: [user("u1"), TRIGGER] }).response();
    expect(partsOf(output[0])["summary"]).toBe("Half of\n[The summary was cut off here.]");
  });

  test("keeps the newest words of the user within a budget, in words alone, and each instruction once", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("s"), answer("ok")] });
    const session = open();
    const image = { type: "input_image", image_url: "data:image/png;base64,AAAA" };
    const input = [
      developer("Be brief."),
      user("x".repeat(40_000)),
      assistant("a1"),
      developer("Be brief."),
      user([{ type: "input_text", text: "Look" }, image]),
      TRIGGER,
    ];
    await turn(session, { input }).end;
    await turn(session, { previous_response_id: "resp_1", input: "u2" }).end;
    const [first = "", second, third] = gists(scripted.calls[1]?.context) ?? [];
    expect(first.length).toBeLessThan(33_000);
    expect(first).toMatch(/^user: x+\n\[… left out …\]\nx+$/);
    expect([second, third]).toEqual(["developer: Be brief.", "user: Look\n[input_image: left out]"]);
  });
});

describe("a compaction item", () => {
  test.each([
    ["of another tenant", "other|{}"],
    ["that nobody sealed", "anything"],
    ["that is sealed reasoning", "acme|reasoning:Hm."],
    ["that is no object", "acme|null"],
    ["of a form to come", `acme|${JSON.stringify({ form: 2 })}`],
  ])("%s is refused by its place", async (_, encrypted_content) => {
    const { open, scripted } = makeEngine();
    const { error, outcome } = await turn(open(), { input: [user("u1"), { type: "compaction", encrypted_content }] })
      .end;
    expect([outcome, error?.code, error?.param]).toEqual(["refused", "invalid_value", "input[1].encrypted_content"]);
    expect(scripted.calls).toEqual([]);
  });

  test("of one tenant is nothing to another, whatever connection it is sent on", async () => {
    const { open } = makeEngine({ steps: [answer("s"), answer("ok")] });
    const { output } = await turn(open("acme"), { input: [user("u1"), TRIGGER] }).response();
    expect(await turn(open("other"), { input: [...output, user("u2")] }).code()).toBe("invalid_value");
    expect(await turn(open("acme"), { input: [...output, user("u2")] }).code()).toBe("completed");
  });

  test("is no reason to wait for the model in a warm-up, and counts in what follows", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("s"), answer("ok")] });
    const session = open();
    const { output } = await turn(session, { input: [user("u1"), TRIGGER] }).response();
    await turn(session, { input: output, generate: false }).end;
    await turn(session, { previous_response_id: "resp_2", input: "u2" }).end;
    expect(gists(scripted.calls[1]?.context)).toEqual(["summary: s", "user: u2"]);
  });
});

describe("context management", () => {
  test("below the threshold changes nothing", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("a2")] });
    const session = open();
    await turn(session, { context_management: MANAGED }).end;
    const { output } = await turn(session, {
      previous_response_id: "resp_1",
      input: "u2",
      context_management: MANAGED,
    }).response();
    expect(output).toMatchObject([{ type: "message" }]);
    expect(scripted.calls).toHaveLength(2);
  });

  test("beyond it summarises what the model has answered, and goes on in the same response", async () => {
    const steps = [longAnswer(), answer("All of it."), answer("a2"), answer("a3")];
    const { open, scripted, reports } = makeEngine({ steps });
    const session = open();
    await turn(session, { input: [developer("Be brief."), user(`u1 ${LONG}`)], store: false }).end;
    const told = turn(session, {
      previous_response_id: "resp_1",
      input: "u2",
      context_management: MANAGED,
      store: false,
    });
    const response = await told.response();
    checkGrammar(told.events);
    expect(told.events.map(({ type }) => type).slice(0, 6)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.compaction.compacting",
      "response.output_item.done",
      "response.output_item.added",
    ]);
    expect(response.output).toMatchObject([{ type: "compaction" }, { type: "message", content: [{ text: "a2" }] }]);
    expect(reports().map(({ compacted }) => compacted)).toEqual([false, true]);
    // Both calls of the model.
    expect(response.usage).toMatchObject({ input_tokens: 6, output_tokens: 4, total_tokens: 10 });
    const [, summarised, generated] = scripted.calls;
    // What is new has not been answered: the model need not read it twice.
    expect(gists(summarised?.context)).toEqual([
      "developer: Be brief.",
      `user: u1 ${LONG}`,
      `assistant: ${LONG}`,
      "ask for a summary",
    ]);
    const compacted = [
      "developer: Be brief.",
      expect.stringMatching(/^user: u1 m.*left out/s),
      "summary: All of it.",
      "user: u2",
    ];
    expect(gists(generated?.context)).toEqual(compacted);
    expect(generated?.settings.text.format).toEqual({ type: "text" });

    await turn(session, { previous_response_id: "resp_2", input: "u3", store: false }).end;
    expect(gists(scripted.calls[3]?.context)).toEqual([...compacted, "assistant: a2", "user: u3"]);
    expect(scripted.calls[3]?.chain).toHaveLength(1);
  });

  test("a client that sends everything every turn gives the model the very same context, whole or cut short", async () => {
    const steps = [longAnswer(), answer("All of it."), answer("a2"), answer("a3"), answer("a4"), answer("a5")];
    const { open, scripted } = makeEngine({ steps });
    const session = open();
    await turn(session, { input: [user(`u1 ${LONG}`)] }).end;
    const managed = { context_management: MANAGED };
    const { output } = await turn(session, { previous_response_id: "resp_1", input: "u2", ...managed }).response();
    await turn(session, { previous_response_id: "resp_2", input: "u3" }).end;
    const items = [user(`u1 ${LONG}`), assistant(LONG), user("u2"), ...output, user("u3")];
    await turn(open(), { input: items }).end;
    await turn(open(), { input: items.slice(3) }).end;
    const seen = scripted.calls.slice(3).map(({ context }) => gists(context));
    expect(seen[0]).toEqual([
      expect.stringMatching(/^user: u1/),
      "summary: All of it.",
      "user: u2",
      "assistant: a2",
      "user: u3",
    ]);
    expect(seen).toEqual([seen[0], seen[0], seen[0]]);
  });

  test("the newest outputs stay with their calls, word for word", async () => {
    const steps: Step[] = [
      [
        [
          { type: "text.delta", delta: LONG },
          { type: "call", key: 0, kind: "function", callId: "c1", name: "f" },
          { type: "call", key: 1, kind: "function", callId: "c2", name: "f" },
        ],
        [{ type: "finish", reason: "stop" }],
      ],
      answer("All of it."),
      answer("a2"),
      answer("a3"),
    ];
    const { open, scripted } = makeEngine({ steps });
    const session = open();
    await turn(session, { input: LONG }).end;
    const outputs = ["c1", "c2"].map((call_id) => ({ type: "function_call_output", call_id, output: `of ${call_id}` }));
    await turn(session, { previous_response_id: "resp_1", input: outputs, context_management: MANAGED }).end;
    await turn(session, { previous_response_id: "resp_2", input: "u3" }).end;
    const tail = ["function_call", "function_call", "function_call_output", "function_call_output"];
    expect(gists(scripted.calls[1]?.context)?.slice(-5)).toEqual([...tail, "ask for a summary"]);
    expect(gists(scripted.calls[2]?.context)?.slice(1)).toEqual(["summary: All of it.", ...tail]);
    expect(gists(scripted.calls[3]?.context)?.slice(1)).toEqual([
      "summary: All of it.",
      ...tail,
      "assistant: a2",
      "user: u3",
    ]);
  });

  test("so do the outputs of tools that this server knows nothing of", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("All of it."), answer("a1")] });
    const calls = ["s1", "s2"].map((call_id) => ({ type: "shell_call", call_id, action: { commands: ["ls"] } }));
    const outputs = calls.map(({ call_id }) => ({ type: "shell_call_output", call_id, output: [] }));
    const input = [user("u1"), assistant(LONG), ...calls, ...outputs];
    await turn(open(), { input, context_management: MANAGED }).end;
    const tail = ["shell_call", "shell_call", "shell_call_output", "shell_call_output"];
    expect(gists(scripted.calls[1]?.context)).toEqual(["user: u1", "summary: All of it.", ...tail]);
  });

  test("is done again when the context has grown again: the earlier summary is summarised, the user's words stay", async () => {
    const steps = [longAnswer(), answer("First."), longAnswer(), answer("Second."), answer("a3")];
    const { open, scripted } = makeEngine({ steps });
    const session = open();
    await turn(session, { input: "u1", context_management: MANAGED }).end;
    await turn(session, { previous_response_id: "resp_1", input: "u2", context_management: MANAGED }).end;
    await turn(session, { previous_response_id: "resp_2", input: "u3", context_management: MANAGED }).end;
    expect(gists(scripted.calls[3]?.context)).toEqual([
      "user: u1",
      "summary: First.",
      "user: u2",
      `assistant: ${LONG}`,
      "ask for a summary",
    ]);
    expect(gists(scripted.calls[4]?.context)).toEqual(["user: u1", "user: u2", "summary: Second.", "user: u3"]);
  });

  test("is not done where it would save next to nothing", async () => {
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("a2"), answer("a3")] });
    const session = open();
    // All of it is new.
    await turn(session, { input: LONG, context_management: MANAGED }).end;
    await turn(session, { input: "u1" }).end;
    // Nearly all of it is.
    await turn(session, { previous_response_id: "resp_2", input: LONG, context_management: MANAGED }).end;
    expect(scripted.calls).toHaveLength(3);
  });

  test("by bytes: images reach that threshold first", async () => {
    const image = { type: "input_image", image_url: `data:image/png;base64,${"A".repeat(50_000)}` };
    const look = user([{ type: "input_text", text: "Look" }, image]);
    const managed = { context_management: [{ type: "compaction", compact_threshold_bytes: 90_000 }] };
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("Two images."), answer("a2")] });
    const session = open();
    await turn(session, { input: [look], ...managed }).end;
    const second = turn(session, { previous_response_id: "resp_1", input: [look], ...managed });
    expect((await second.response()).output).toMatchObject([{ type: "compaction" }, { type: "message" }]);
    // The new one is seen, the old one only remembered.
    expect(gists(scripted.calls[2]?.context)).toEqual([
      "user: Look\n[input_image: left out]",
      "summary: Two images.",
      "user: Look+input_image",
    ]);
  });

  test("a thread of images that outgrows its connection lives on", async () => {
    const image = { type: "input_image", image_url: `data:image/png;base64,${"A".repeat(50_000)}` };
    const live = async (context_management: readonly object[]) => {
      const steps = Array.from({ length: 40 }, () => answer("ok"));
      const session = makeEngine({ steps, limits: { sessionBytes: 200_000 } }).open();
      let previous_response_id: string | null = null;
      for (let count = 0; count < 15; count += 1) {
        const request = { previous_response_id, input: [user([image])], store: false, context_management };
        const told = turn(session, request);
        if ((await told.end).error !== null) return count;
        previous_response_id = (await told.response()).id;
      }
      return Infinity;
    };
    expect(await live([])).toBeLessThan(5);
    expect(await live([{ type: "compaction", compact_threshold_bytes: 120_000 }])).toBe(Infinity);
  });

  test("images of the newest items are seen once more, and not kept for later when they are many bytes", async () => {
    const image = { type: "input_image", image_url: `data:image/png;base64,${"A".repeat(1_200_000)}` };
    const look = user([{ type: "input_text", text: "Look" }, image]);
    const managed = { context_management: [{ type: "compaction", compact_threshold_bytes: 2_000_000 }] };
    const { open, scripted } = makeEngine({ steps: [answer("a1"), answer("s"), answer("a2"), answer("a3")] });
    const session = open();
    await turn(session, { input: [look] }).end;
    await turn(session, { previous_response_id: "resp_1", input: [look], ...managed }).end;
    await turn(session, { previous_response_id: "resp_2", input: "u3" }).end;
    expect(gists(scripted.calls[2]?.context)?.at(-1)).toBe("user: Look+input_image");
    expect(gists(scripted.calls[3]?.context)?.[2]).toMatch(/^user: Look\+\[An image was here/);
  });

  test("without a threshold uses the server's own", async () => {
    const context_management = [{ type: "compaction" }];
    const { open, scripted } = makeEngine({
      limits: { compactTokens: 100 },
      steps: [longAnswer(), answer("s"), answer("a2")],
    });
    const session = open();
    await turn(session, { input: LONG, context_management }).end;
    await turn(session, { previous_response_id: "resp_1", input: "u2", context_management }).end;
    expect(scripted.calls).toHaveLength(3);
  });

  test("a failure of the summary fails the response, and the answer is not begun", async () => {
    const { open, scripted } = makeEngine({ steps: [longAnswer(), [new Error("it fell over")], answer("a2")] });
    const session = open();
    await turn(session, { input: LONG }).end;
    const told = turn(session, { previous_response_id: "resp_1", input: "u2", context_management: MANAGED });
    expect(await told.code()).toBe("server_error");
    checkGrammar(told.events);
    expect(scripted.calls).toHaveLength(2);
    expect(await turn(session, { previous_response_id: "resp_1", input: "u2" }).code()).toBe("completed");
  });

  describe("where the model server takes less than the thresholds say", () => {
    const managed = { context_management: [{ type: "compaction", compact_threshold: 1_000_000 }] };

    test("a context that it refuses is compacted then", async () => {
      const { open, scripted } = makeEngine({ steps: [longAnswer(), tooLong(), answer("All of it."), answer("a2")] });
      const session = open();
      await turn(session, { input: "u1" }).end;
      const told = turn(session, { previous_response_id: "resp_1", input: "u2", ...managed });
      expect((await told.response()).output).toMatchObject([{ type: "compaction" }, { content: [{ text: "a2" }] }]);
      checkGrammar(told.events);
      expect(gists(scripted.calls[3]?.context)).toEqual(["user: u1", "summary: All of it.", "user: u2"]);
    });

    test("one that asks for no compaction is refused as ever, and so is one with nothing to summarise", async () => {
      const { open, scripted } = makeEngine({ steps: [longAnswer(), tooLong(), tooLong()] });
      const session = open();
      await turn(session, { input: "u1" }).end;
      expect(await turn(session, { previous_response_id: "resp_1", input: "u2" }).code()).toBe(
        "context_length_exceeded",
      );
      expect(await turn(session, { input: LONG, ...managed }).code()).toBe("context_length_exceeded");
      expect(scripted.calls).toHaveLength(3);
    });

    test("a summary is written of the later half, and says so, when all of it is too much even for that", async () => {
      const calls = ["c1", "c2"].map((call_id) => ({ type: "function_call", call_id, name: "f", arguments: "{}" }));
      const outputs = calls.map(({ call_id }) => ({ type: "function_call_output", call_id, output: LONG }));
      const input = [
        user(`u1 ${LONG}`),
        assistant(LONG),
        ...calls,
        ...outputs,
        user("u2"),
        assistant(LONG),
        user("u3"),
      ];
      const { open, scripted } = makeEngine({ steps: [tooLong(), tooLong(), answer("Some of it.")] });
      const told = turn(open(), { input: [...input, TRIGGER] });
      const { output } = await told.response();
      checkGrammar(told.events);
      expect(partsOf(output[0])["summary"]).toMatch(/^\[The oldest part .*\]\nSome of it\.$/);
      const asked = scripted.calls.map(({ context }) => gists(context));
      expect(asked[1]).toEqual(["user: u2", `assistant: ${LONG}`, "user: u3", "ask for a summary"]);
      expect(asked[2]).toEqual(["user: u3", "ask for a summary"]);
    });

    test("and not at all when nothing can be left out any more", async () => {
      const { open } = makeEngine({ steps: [tooLong()] });
      expect(await turn(open(), { input: [user(LONG), TRIGGER] }).code()).toBe("context_length_exceeded");
    });
  });

  test("an interrupt drops the compaction that is being written, and the chain goes on as it was", async () => {
    const gate = new Gate();
    const { open, scripted } = makeEngine({ steps: [longAnswer(), [gate, finish()], answer("a3")] });
    const session = open();
    await turn(session, { input: LONG }).end;
    const told = turn(session, { previous_response_id: "resp_1", input: "u2", context_management: MANAGED });
    await gate.reached;
    await settled();
    session.interrupt(null, null);
    const response = await told.response();
    checkGrammar(told.events);
    expect([response.status, response.output]).toEqual(["incomplete", []]);
    expect(await scripted.calls[1]?.ended).toBe("aborted");
    await turn(session, { previous_response_id: "resp_2", input: "u3" }).end;
    expect(gists(scripted.calls[2]?.context)).toEqual([`user: ${LONG}`, `assistant: ${LONG}`, "user: u2", "user: u3"]);
  });

  test("an interrupt behind it leaves the compaction in force", async () => {
    const gate = new Gate();
    const { open, scripted } = makeEngine({ steps: [longAnswer(), answer("All."), [gate, finish()], answer("a3")] });
    const session = open();
    await turn(session, { input: LONG }).end;
    const told = turn(session, { previous_response_id: "resp_1", input: "u2", context_management: MANAGED });
    await gate.reached;
    await settled();
    session.interrupt(null, null);
    expect((await told.response()).output).toMatchObject([{ type: "compaction" }]);
    await turn(session, { previous_response_id: "resp_2", input: "u3" }).end;
    expect(gists(scripted.calls[3]?.context)?.slice(1)).toEqual(["summary: All.", "user: u2", "user: u3"]);
  });

  test("the events of a stored one are told again as they were", async () => {
    const { open, engine } = makeEngine({ steps: [longAnswer(), answer("All of it."), answer("a2")] });
    const session = open();
    await turn(session, { input: LONG }).end;
    const told = turn(session, { previous_response_id: "resp_1", input: "u2", context_management: MANAGED });
    await told.end;
    expect(await eventsOf(engine, "resp_2")).toEqual(told.events);
  });

  test("in a conversation leaves all of its items, and the model sees what is left", async () => {
    const steps = [longAnswer(), answer("First."), answer("a2"), answer("Second."), answer("a3")];
    const { open, engine, scripted } = makeEngine({ steps });
    const conversations = engine.conversations("acme", engine.memory.of("acme").open());
    const { id: conversation } = await conversations.create({ items: [developer("Be brief.")], metadata: {} });
    await turn(open(), { conversation, input: "u1" }).response();
    await turn(open(), { conversation, input: "u2", context_management: MANAGED }).response();
    const types = (await conversations.items(conversation)).map(({ item }) => item.type);
    expect(types.join(" ")).toBe("message message message message compaction message");
    await turn(open(), { conversation, input: [TRIGGER] }).response();
    await turn(open(), { conversation, input: "u3" }).response();
    const left = ["developer: Be brief.", "user: u1"];
    expect(gists(scripted.calls[2]?.context)).toEqual([...left, "summary: First.", "user: u2"]);
    expect(gists(scripted.calls[4]?.context)).toEqual([...left, "user: u2", "summary: Second.", "user: u3"]);
    expect(await conversations.items(conversation)).toHaveLength(10);
  });

  test("signs of life are given while a long summary is written", async () => {
    const { open } = makeEngine({
      steps: [longAnswer(), answer(...Array<string>(5).fill("s".repeat(900))), answer("a2")],
    });
    const session = open();
    await turn(session, { input: LONG }).end;
    const told = turn(session, { previous_response_id: "resp_1", input: "u2", context_management: MANAGED });
    await told.end;
    checkGrammar(told.events);
    const signs = told.events.filter(({ type }) => type === "response.compaction.compacting");
    expect(signs.length).toBeGreaterThan(3);
    expect(signs.length).toBeLessThan(7);
    expect(JSON.stringify(signs)).not.toContain("sss");
  });

  test("such responses, and those of a trigger, cannot be steered", async () => {
    const gates = [new Gate(), new Gate()];
    const { open } = makeEngine({ steps: gates.map((gate) => [gate, [{ type: "text.delta", delta: "s" }], finish()]) });
    const session = open();
    for (const [index, fields] of [{ context_management: MANAGED }, { input: [user("u1"), TRIGGER] }].entries()) {
      const told = turn(session, fields);
      await gates[index]?.reached;
      const steer = { type: "response.steer", previous_response_id: `resp_${index + 1}`, input: "Wait!" };
      session.steer(parseSteer(steer), () => undefined);
      gates[index]?.open();
      await told.end;
      const failed = told.events.find(({ type }) => type === "response.steer.failed");
      expect(failed).toMatchObject({ error: { code: "steering_not_supported" } });
    }
  });
});
