import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ChatContexts } from "../../src/backends/chat-context.ts";
import { COMMON_DIALECT, type Dialect } from "../../src/backends/dialect.ts";
import { commitNode, type ResponseNode } from "../../src/core/node.ts";
import type { Item } from "../../src/protocol/items.ts";
import type { Response } from "../../src/protocol/response.ts";
import { compactions, open } from "../support/compactions.ts";

const contexts = (reasoning: Dialect["reasoning"] = "reasoning_content") =>
  new ChatContexts({ ...COMMON_DIALECT, reasoning });

/** The bytes of a mapping, run through to its end. */
function textOf(mapping: ReturnType<ChatContexts["messages"]>): string {
  for (;;) {
    const { done, value } = mapping.next();
    if (done) return Buffer.concat(value.pieces()).toString("utf8");
  }
}

function messagesOf(parent: ResponseNode | null, input: readonly Item[], chat = contexts()): unknown[] {
  const json = textOf(chat.messages(parent, input, open));
  return JSON.parse(`[${json.slice(1)}]`) as unknown[];
}

let count = 0;
function node(parent: ResponseNode | null, input: readonly Item[], output: readonly Item[]): ResponseNode {
  count += 1;
  const response = { id: `resp_${count}`, output, tools: [], instructions: null } as unknown as Response;
  return commitNode({ id: response.id, tenant: "test", parent, input, response });
}

const user = (text: string): Item => ({ type: "message", role: "user", content: [{ type: "input_text", text }] });
const system = (content: string | readonly object[], role = "developer"): Item => ({
  type: "message",
  role,
  content,
});
const assistant = (...texts: readonly string[]): Item => ({
  type: "message",
  role: "assistant",
  content: texts.map((text) => ({ type: "output_text", text })),
});
const call = (id: string, name = "read", args = "{}"): Item => ({
  type: "function_call",
  call_id: id,
  name,
  arguments: args,
});
const output = (id: string, text = "done"): Item => ({ type: "function_call_output", call_id: id, output: text });
const thought = (text: string): Item => ({
  type: "reasoning",
  summary: [],
  content: [{ type: "reasoning_text", text }],
});

/** Each message as its role and its texts. */
const texts = (items: readonly Item[]) =>
  messagesOf(null, items).map((message) => {
    const { role, content } = message as {
      role: string;
      content: string | readonly { text?: string; type: string }[];
    };
    return `${role}: ${typeof content === "string" ? content : content.map(({ text, type }) => text ?? type).join(" ")}`;
  });

const compaction = (
  replaces: boolean,
  summary: string,
  before: readonly Item[] = [],
  after: readonly Item[] = [],
): Item => ({ type: "compaction", encrypted_content: compactions.seal({ replaces, before, summary, after }) });

describe("messages", () => {
  test("a user message with one text becomes a string, with several parts a list", () => {
    const image = { type: "input_image", image_url: "data:image/png;base64,AA==", detail: "low" };
    expect(messagesOf(null, [user("hi"), { type: "message", role: "user", content: "plain" }])).toEqual([
      { role: "user", content: "hi" },
      { role: "user", content: "plain" },
    ]);
    const content = [{ type: "input_text", text: "look" }, image];
    expect(messagesOf(null, [{ type: "message", role: "user", content }])).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "look" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AA==", detail: "low" } },
        ],
      },
    ]);
  });

  test("the texts of one message are one string, with nothing between", () => {
    const content = [
      { type: "input_text", text: "one" },
      { type: "input_text", text: "two" },
    ];
    expect(messagesOf(null, [{ type: "message", role: "user", content }])).toEqual([
      { role: "user", content: "onetwo" },
    ]);
  });

  const parts = [
    { type: "input_text", text: "one" },
    { type: "input_text", text: "two" },
  ];

  test("developer and system messages that come first are one message of the system, always with a string", () => {
    expect(messagesOf(null, [system(parts), system('th"ree', "system"), user("go")])).toEqual([
      { role: "system", content: 'onetwo\n\nth"ree' },
      { role: "user", content: "go" },
    ]);
    expect(messagesOf(null, [system("alone")])).toEqual([{ role: "system", content: "alone" }]);
    const first = node(null, [system("one")], []);
    expect(messagesOf(first, [system("two"), call("c"), output("c")])).toMatchObject([
      { role: "system", content: "one\n\ntwo" },
      { role: "assistant" },
      { role: "tool" },
    ]);
    // A fork adds to what was there before it, and to nothing else.
    const [left, right] = ["left", "right"].map((text) => node(first, [system(text), user("go")], []));
    const chat = contexts();
    expect(messagesOf(left ?? null, [], chat)[0]).toEqual({ role: "system", content: "one\n\nleft" });
    expect(messagesOf(right ?? null, [], chat)[0]).toEqual({ role: "system", content: "one\n\nright" });
  });

  test("those that come later stay where they are, or are the user's", () => {
    const items = [user("go"), system(parts), system("three")];
    expect(messagesOf(null, items)).toEqual([
      { role: "user", content: "go" },
      { role: "system", content: "onetwo" },
      { role: "system", content: "three" },
    ]);
    const late = new ChatContexts({ ...COMMON_DIALECT, reasoning: "none", system: "first" });
    expect(messagesOf(null, [system("zero"), ...items], late)).toEqual([
      { role: "system", content: "zero" },
      { role: "user", content: "go" },
      { role: "user", content: "<system>\nonetwo\n</system>" },
      { role: "user", content: "<system>\nthree\n</system>" },
    ]);
  });

  test("consecutive items of the assistant are one message", () => {
    expect(
      messagesOf(null, [
        user("go"),
        thought("hmm"),
        assistant("first", " still first"),
        assistant(""),
        assistant("second"),
        call("c1"),
        call("c2", "list", '{"a":1}'),
      ]),
    ).toEqual([
      { role: "user", content: "go" },
      {
        role: "assistant",
        content: "first still first\n\nsecond",
        reasoning_content: "hmm",
        tool_calls: [
          { id: "c1", type: "function", function: { name: "read", arguments: "{}" } },
          { id: "c2", type: "function", function: { name: "list", arguments: '{"a":1}' } },
        ],
      },
    ]);
  });

  test("calls without text have empty content, and reasoning alone leaves no message unless it is passed back", () => {
    expect(messagesOf(null, [call("c1"), output("c1")])[0]).toMatchObject({ role: "assistant", content: "" });
    expect(messagesOf(null, [user("a"), thought("secret"), user("b")], contexts("none"))).toEqual([
      { role: "user", content: "a" },
      { role: "user", content: "b" },
    ]);
    expect(messagesOf(null, [thought("why")], contexts("reasoning"))).toEqual([
      { role: "assistant", content: "", reasoning: "why" },
    ]);
  });

  test("a summary stands in for reasoning whose text is not known, and encrypted reasoning says nothing", () => {
    const summary = {
      type: "reasoning",
      summary: [{ type: "summary_text", text: "in short" }],
      encrypted_content: "x",
    };
    const encrypted = { type: "reasoning", summary: [], encrypted_content: "x" };
    expect(messagesOf(null, [summary, assistant("a")])).toEqual([
      { role: "assistant", content: "a", reasoning_content: "in short" },
    ]);
    expect(messagesOf(null, [encrypted, assistant("a")])).toEqual([{ role: "assistant", content: "a" }]);
  });

  test("a custom tool call is a function call with one string", () => {
    const custom = { type: "custom_tool_call", call_id: "c1", name: "patch", input: 'say "hi"' };
    const answer = { type: "custom_tool_call_output", call_id: "c1", output: [{ type: "input_text", text: "ok" }] };
    expect(messagesOf(null, [custom, answer])).toEqual([
      {
        role: "assistant",
        content: "",
        tool_calls: [
          { id: "c1", type: "function", function: { name: "patch", arguments: '{"input":"say \\"hi\\""}' } },
        ],
      },
      { role: "tool", tool_call_id: "c1", content: "ok" },
    ]);
  });

  test("calls of tools in namespaces have the name that the tool has in chat", () => {
    const spawn = { ...call("c1", "spawn"), namespace: "agents" };
    const custom = { type: "custom_tool_call", call_id: "c2", name: "js", namespace: "agents", input: "1" };
    const names = (chat?: ChatContexts) =>
      (messagesOf(null, [spawn, custom], chat)[0] as { tool_calls: { function: { name: string } }[] }).tool_calls.map(
        (each) => each.function.name,
      );
    expect(names()).toEqual(["agents__spawn", "agents__js"]);
    const renamed = new Map([['["agents","spawn"]', "agents__spawn_2"]]);
    expect(names(new ChatContexts({ ...COMMON_DIALECT, reasoning: "none" }, renamed))).toEqual([
      "agents__spawn_2",
      "agents__js",
    ]);
  });

  test("what comes between a call and its output is put behind the output", () => {
    const items = [call("c1"), call("c2"), output("c1", "one"), user("wait"), output("c2", "two"), user("go on")];
    expect(messagesOf(null, items).map((message) => (message as { role: string; content: string }).content)).toEqual([
      "",
      "one",
      "two",
      "wait",
      "go on",
    ]);
  });

  test("images in a tool output follow the outputs in a user message", () => {
    const image = { type: "input_image", image_url: "data:image/png;base64,AA==" };
    const shot = { type: "function_call_output", call_id: "c1", output: [{ type: "input_text", text: "shot" }, image] };
    const messages = messagesOf(null, [call("c1"), call("c2"), shot, output("c2")]);
    expect(messages.map((message) => (message as { role: string }).role)).toEqual([
      "assistant",
      "tool",
      "tool",
      "user",
    ]);
    expect(messages[3]).toEqual({
      role: "user",
      content: [
        { type: "text", text: "Image output of tool call c1:" },
        { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
      ],
    });
  });

  test("a call of an async tool is told to be running until its output is there", () => {
    const slow = { ...call("c1", "slow"), async: true };
    const running = "The tool is still running. Go on without its output: it comes in a later message.";
    expect(messagesOf(null, [slow, output("c1", "soon")]).slice(1)).toEqual([
      { role: "tool", tool_call_id: "c1", content: "soon" },
    ]);
    const items = [slow, call("c2"), output("c2"), user("and?"), output("c1", "late"), output("c1", "again")];
    expect(messagesOf(null, items).slice(1)).toEqual([
      { role: "tool", tool_call_id: "c2", content: "done" },
      { role: "tool", tool_call_id: "c1", content: running },
      { role: "user", content: "and?" },
      { role: "user", content: "Output of tool slow (call c1):\nlate" },
      { role: "user", content: "Output of tool slow (call c1):\nagain" },
    ]);
    expect(messagesOf(null, [slow])[1]).toEqual({ role: "tool", tool_call_id: "c1", content: running });
  });

  test("an output without a call is told by the name of its tool", () => {
    const told = (item: object) =>
      messagesOf(null, [{ type: "function_call_output", output: "x", ...item }, user("hi")]);
    expect(told({ name: "read" })[0]).toEqual({ role: "user", content: "Output of tool read:\nx" });
    const inside = { type: "custom_tool_call_output", call_id: null, name: "read", namespace: "files" };
    expect(told(inside)[0]).toEqual({ role: "user", content: "Output of tool files__read:\nx" });
    expect(told({ call_id: null })[0]).toEqual({ role: "user", content: "Output of a tool:\nx" });
    // Between a call and its answer it waits like anything else.
    const items = [call("c"), { type: "function_call_output", name: "read", output: "x" }, output("c")];
    expect(messagesOf(null, items).map((message) => (message as { role: string }).role)).toEqual([
      "assistant",
      "tool",
      "user",
    ]);
  });

  test("images and files of the assistant, the system and tools are the user's, behind the answers", () => {
    const image = { type: "input_image", image_url: "data:image/png;base64,AA==" };
    const pdf = { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,AA==" };
    const drawn = { type: "message", role: "assistant", content: [{ type: "output_text", text: "Look" }, image] };
    expect(texts([drawn])).toEqual(["assistant: Look", "user: Image in the message of the assistant: image_url"]);
    expect(texts([drawn, call("c"), output("c")])).toEqual([
      "assistant: Look",
      "user: Image in the message of the assistant: image_url",
      "assistant: ",
      "tool: done",
    ]);
    expect(texts([system([{ type: "input_text", text: "Read" }, image, pdf])])).toEqual([
      "system: Read",
      "user: Image and file in the message of the developer: image_url file",
    ]);
    const read = { type: "function_call_output", call_id: "a", output: [pdf] };
    expect(texts([call("a"), call("b"), read, output("b")])).toEqual([
      "assistant: ",
      "tool: ",
      "tool: done",
      "user: File output of tool call a: file",
    ]);
    const slow = { ...call("s"), async: true };
    expect(texts([call("a"), slow, read, output("s")]).at(-1)).toBe("user: File output of tool call a: file");
  });

  test("call ids may be used again once they are answered", () => {
    const items = [call("c", "a"), output("c", "1"), call("c", "b"), output("c", "2"), user("end")];
    expect(messagesOf(null, items).map((message) => (message as { role: string }).role)).toEqual([
      "assistant",
      "tool",
      "assistant",
      "tool",
      "user",
    ]);
  });

  test("calls of other kinds are answered by their outputs, in whatever kind those come", () => {
    const shell = { type: "shell_call", call_id: "s", action: { commands: ["ls"] } };
    const local = { type: "local_shell_call", call_id: "l", action: { type: "exec", command: ["ls"] } };
    const said = { type: "shell_call_output", call_id: "s", output: [{ stdout: "a", stderr: "" }] };
    const messages = messagesOf(null, [shell, local, output("l", "b"), said, user("on")]);
    const calls = [
      { id: "s", type: "function", function: { name: "shell", arguments: '{"commands":["ls"]}' } },
      { id: "l", type: "function", function: { name: "local_shell", arguments: '{"type":"exec","command":["ls"]}' } },
    ];
    expect(messages).toEqual([
      { role: "assistant", content: "", tool_calls: calls },
      { role: "tool", tool_call_id: "l", content: "b" },
      { role: "tool", tool_call_id: "s", content: "a" },
      { role: "user", content: "on" },
    ]);
  });

  test("calls of other kinds that have no output are answered with nothing; an output without a call is the user's", () => {
    const shell = { type: "shell_call", call_id: "s", action: {} };
    const late = { type: "shell_call_output", call_id: "s", output: "late" };
    const roles = (items: readonly Item[]) =>
      messagesOf(null, items).map((message) => (message as { role: string }).role);
    expect(roles([shell])).toEqual(["assistant", "tool"]);
    expect(roles([shell, user("on"), late])).toEqual(["assistant", "tool", "user", "user"]);
    expect(messagesOf(null, [late])).toEqual([{ role: "user", content: "Output of tool call s:\nlate" }]);
    // The function call keeps what comes behind it until its answer is there; the other call has none to wait for.
    expect(roles([call("c"), shell, user("on"), output("c"), user("and on")])).toEqual([
      "assistant",
      "tool",
      "tool",
      "user",
      "user",
    ]);
    expect(roles([call("c"), user("wait"), shell, output("c"), user("on")])).toEqual([
      "assistant",
      "tool",
      "user",
      "assistant",
      "tool",
      "user",
    ]);
  });

  test("a tool that ran elsewhere is a call with its answer", () => {
    const mcp = { type: "mcp_call", id: "m", name: "ask", arguments: "{}", output: "yes" };
    expect(messagesOf(null, [call("c"), mcp, assistant("so"), output("c")])).toMatchObject([
      { role: "assistant", tool_calls: [{ id: "c" }, { id: "m", function: { name: "ask" } }] },
      { role: "tool", tool_call_id: "m", content: "yes" },
      { role: "tool", tool_call_id: "c" },
      { role: "assistant", content: "so" },
    ]);
  });

  test("arguments are always a JSON object, since servers read them as one", () => {
    const said = ["", " ", '{"a":1}', "[1]", '"x"', "{broken"].map((args) => {
      const [message] = messagesOf(null, [call("c", "f", args), output("c")]);
      return (message as { tool_calls: [{ function: { arguments: string } }] }).tool_calls[0].function.arguments;
    });
    expect(said).toEqual([
      "{}",
      "{}",
      '{"a":1}',
      '{"arguments":"[1]"}',
      '{"arguments":"\\"x\\""}',
      '{"arguments":"{broken"}',
    ]);
  });

  test("items that chat has no form for are left out and break nothing apart", () => {
    const list = { type: "mcp_list_tools", id: "mcpl_1", tools: [] };
    expect(messagesOf(null, [assistant("a"), list, assistant("b")])).toEqual([
      { role: "assistant", content: "a\n\nb" },
    ]);
  });
});

describe("one mapping", () => {
  // A conversation as agents make them: every call is answered before the next thing happens.
  const texts = fc.string({ maxLength: 20 });
  const foreign = fc.constantFrom<Item>(
    { type: "shell_call", call_id: "c1", action: {} },
    { type: "shell_call_output", call_id: "c1", output: "done" },
    { type: "local_shell_call", call_id: "c2", action: {} },
    { type: "mcp_call", id: "m", name: "ask", arguments: "{}", output: "yes" },
    { type: "web_search_call", id: "w" },
    { type: "mcp_list_tools", id: "l" },
    { type: "hologram_output", call_id: "c3", output: { depth: 3 } },
    { type: "function_call", call_id: "late", name: "slow", arguments: "{}", async: true },
    { type: "function_call_output", call_id: "late", output: "at last" },
    { type: "function_call_output", name: "read", output: "alone" },
    {
      type: "function_call_output",
      call_id: null,
      output: [{ type: "input_image", image_url: "data:image/png;base64,AA==" }],
    },
    { type: "message", role: "assistant", content: [{ type: "input_image", image_url: "data:image/png;base64,AA==" }] },
  );
  const round = fc.oneof(
    texts.map((text): Item[] => [{ type: "message", role: "developer", content: text }]),
    texts.map((text) => [user(text)]),
    texts.map((text) => [assistant(text)]),
    texts.map((text) => [thought(text)]),
    fc.tuple(texts, fc.boolean()).map(([text, replaces]) => [compaction(replaces, text)]),
    fc
      .tuple(fc.array(fc.constantFrom("c1", "c2", "c3"), { minLength: 1, maxLength: 3 }), texts, fc.boolean())
      .map(([ids, text, interrupted]) => [
        ...ids.map((id) => call(id)),
        ...(interrupted ? [user("meanwhile")] : []),
        ...ids.map((id) => output(id, text)),
      ]),
    fc.array(foreign, { maxLength: 3 }),
  );
  const conversation = fc.array(round, { maxLength: 12 }).map((rounds) => rounds.flat());

  test("the same items give the same bytes, however turns cut them", () => {
    fc.assert(
      fc.property(conversation, fc.array(fc.nat({ max: 5 }), { maxLength: 30 }), (items, cuts) => {
        const chat = contexts();
        let parent: ResponseNode | null = null;
        let rest: readonly Item[] = items;
        for (const [index, size] of cuts.entries()) {
          const input = rest.slice(0, size);
          const made = rest.slice(size, size + ((index % 3) + 1));
          // As in a real run, the request is mapped before its output is known.
          textOf(chat.messages(parent, input, open));
          parent = node(parent, input, made);
          rest = rest.slice(size + made.length);
        }
        const cut = textOf(chat.messages(parent, rest, open));
        const whole = textOf(contexts().messages(null, items, open));
        expect(cut).toBe(whole);
      }),
    );
  });

  test("whatever comes in whatever order, each call is followed by its answer, and nothing is lost", () => {
    fc.assert(
      fc.property(conversation, (items) => {
        const waiting: string[] = [];
        const messages = messagesOf(null, items) as {
          readonly role: string;
          readonly tool_calls?: readonly { readonly id: string }[];
          readonly tool_call_id: string;
        }[];
        const faults: unknown[] = [];
        for (const message of messages) {
          const isAnswer = message.role === "tool" && waiting.includes(message.tool_call_id);
          if (message.role === "tool" ? !isAnswer : waiting.length > 0) faults.push(message);
          if (isAnswer) waiting.splice(waiting.indexOf(message.tool_call_id), 1);
          waiting.push(...(message.tool_calls ?? []).map(({ id }) => id));
        }
        expect([faults, waiting]).toEqual([[], []]);
        // What a compaction stands for is not lost, but it is not there either.
        const last = items.findLastIndex(({ type }) => type === "compaction");
        const said = items.slice(last + 1).filter((item) => item.type === "message" && item["role"] === "user");
        expect(messages.filter(({ role }) => role === "user").length).toBeGreaterThanOrEqual(said.length);
      }),
    );
  });

  test("a compaction that stands for everything leaves nothing of what was before it, however turns cut it", () => {
    const kept = [{ type: "message", role: "developer", content: "Be brief." }];
    const latest = [call("c9"), output("c9", "newest")];
    const item = compaction(true, "All of it.", kept, latest);
    fc.assert(
      fc.property(conversation, conversation, fc.nat({ max: 40 }), (before, follows, size) => {
        const behind = follows.filter(({ type }) => type !== "compaction");
        const items = [...before, item, ...behind];
        const root = node(null, items.slice(0, size), items.slice(size, size + 3));
        const whole = messagesOf(null, [item, ...behind]);
        expect(messagesOf(root, items.slice(size + 3))).toEqual(whole);
        expect(messagesOf(null, items)).toEqual(whole);
        expect(whole.slice(0, 4)).toMatchObject([
          { role: "system", content: "Be brief." },
          { role: "user", content: expect.stringContaining("All of it.") },
          { role: "assistant", tool_calls: [{ id: "c9" }] },
          { role: "tool", content: "newest" },
        ]);
      }),
    );
  });

  test("a compaction beside other items is one more message", () => {
    const messages = messagesOf(null, [user("one"), compaction(false, "All of it."), user("two")]);
    expect(messages).toEqual([
      { role: "user", content: "one" },
      { role: "user", content: expect.stringContaining("<summary>\nAll of it.\n</summary>") },
      { role: "user", content: "two" },
    ]);
  });

  test("a large input is mapped in steps, and others that go on meanwhile do not disturb it", () => {
    const chat = contexts();
    const root = node(null, [user("root")], [assistant("yes")]);
    const large = (name: string) => Array.from({ length: 8 }, (_, index) => user(`${name}${index}`.repeat(100_000)));
    const inputs = ["a", "b"].map(large);
    const mappings = inputs.map((input) => chat.messages(root, input, open));
    const steps = mappings.map((mapping) => mapping.next().done);
    expect(steps).toEqual([false, false]);
    expect(messagesOf(root, [user("small")], chat)).toHaveLength(3);
    expect(mappings.map(textOf)).toEqual(inputs.map((input) => textOf(contexts().messages(root, input, open))));
  });

  test("forks of one parent do not disturb each other", () => {
    const chat = contexts();
    const root = node(null, [user("root")], [assistant("yes")]);
    const forks = ["a", "b", "c"].map((name) => node(root, [user(name)], [assistant(`${name}!`)]));
    for (const fork of forks) messagesOf(fork, [user("next")], chat);
    for (const [index, name] of ["a", "b", "c"].entries()) {
      expect(messagesOf(forks[index] ?? null, [user("end")], chat)).toEqual([
        { role: "user", content: "root" },
        { role: "assistant", content: "yes" },
        { role: "user", content: name },
        { role: "assistant", content: `${name}!` },
        { role: "user", content: "end" },
      ]);
    }
  });
});
