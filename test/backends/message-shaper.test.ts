import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ChatContexts } from "../../src/backends/chat-context.ts";
import { changed, COMMON_DIALECT, type Dialect, type DialectChange } from "../../src/backends/dialect.ts";
import { type ChatMessage, MessageShaper, shortId, UNSHAPED } from "../../src/backends/message-shaper.ts";
import { commitNode, type ResponseNode } from "../../src/core/node.ts";
import type { Item } from "../../src/protocol/items.ts";
import type { Response } from "../../src/protocol/response.ts";
import { open } from "../support/compactions.ts";

const dialects: fc.Arbitrary<Dialect> = fc
  .record({
    system: fc.constantFrom("anywhere" as const, "first" as const, "none" as const),
    sameRole: fc.constantFrom("separate" as const, "joined" as const),
    firstMessage: fc.constantFrom("any" as const, "user" as const),
    lastMessage: fc.constantFrom("any" as const, "user" as const),
    afterTool: fc.constantFrom("any" as const, "assistant" as const),
    toolMessages: fc.constantFrom("tool" as const, "text" as const),
    callsPerMessage: fc.constantFrom("many" as const, "one" as const),
    callIds: fc.constantFrom("any" as const, "alphanumeric9" as const),
    reasoning: fc.constantFrom("reasoning_content" as const, "reasoning" as const, "none" as const),
    reasoningOn: fc.constantFrom("thoughts" as const, "all" as const),
    emptyContent: fc.constantFrom("string" as const, "null" as const, "words" as const),
    emptyMessages: fc.constantFrom("kept" as const, "avoided" as const),
    content: fc.constantFrom("parts" as const, "text" as const),
  })
  .map((change) => changed(COMMON_DIALECT, change));

let count = 0;
const mark = (): string => `mark${(count += 1)}.`;

type Make = () => readonly Item[];
const ids = fc.array(fc.constantFrom("call_1", "call_2", "call_3"), { minLength: 1, maxLength: 3 });
const round: fc.Arbitrary<Make> = fc.oneof(
  fc.constantFrom<Make>(
    () => [{ type: "message", role: "developer", content: mark() }],
    () => [{ type: "message", role: "user", content: mark() }],
    () => [
      {
        type: "message",
        role: "user",
        content: [
          { type: "input_text", text: mark() },
          { type: "input_image", image_url: "data:," },
        ],
      },
    ],
    () => [{ type: "message", role: "assistant", content: [{ type: "output_text", text: mark() }] }],
    () => [{ type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "thought" }] }],
  ),
  ids.map((names) => () => [
    ...names.map((call_id): Item => ({ type: "function_call", call_id, name: "read", arguments: `{"a":"${mark()}"}` })),
    ...names.toReversed().map((call_id): Item => ({ type: "function_call_output", call_id, output: mark() })),
  ]),
);
const conversation = fc.array(round, { maxLength: 10 }).map((rounds) => rounds.flatMap((make) => make()));

function textOf(chat: ChatContexts, parent: ResponseNode | null, input: readonly Item[]): string {
  const mapping = chat.messages(parent, input, open);
  for (;;) {
    const { done, value } = mapping.next();
    if (done) return Buffer.concat(value.pieces()).toString("utf8");
  }
}

const messagesIn = (json: string) => JSON.parse(`[${json.slice(1)}]`) as (ChatMessage & { readonly role: string })[];

function node(parent: ResponseNode | null, input: readonly Item[], output: readonly Item[]): ResponseNode {
  const response = { id: `resp_${(count += 1)}`, output, tools: [], instructions: null } as unknown as Response;
  return commitNode({ id: response.id, tenant: "test", parent, input, response });
}

/** Which demands of the dialect the messages do not meet. */
function faultsIn(messages: readonly ChatMessage[], dialect: Dialect): readonly string[] {
  const behind = messages.slice(messages[0]?.role === "system" ? 1 : 0);
  const roles = behind.map(({ role }) => role);
  const neighbours = roles.slice(1).map((role, index) => `${roles[index]} ${role}`);
  const waiting: string[] = [];
  const demands: [string, boolean][] = [
    ["no system", dialect.system !== "none" || messages.every(({ role }) => role !== "system")],
    ["system first", dialect.system !== "first" || !roles.includes("system")],
    ["user first", dialect.firstMessage !== "user" || roles.find((role) => role !== "system") === "user"],
    ["user last", dialect.lastMessage !== "user" || roles.at(-1) !== "assistant"],
    ["assistant behind tools", dialect.afterTool !== "assistant" || !neighbours.includes("tool user")],
    ["no tools", dialect.toolMessages !== "text" || !roles.includes("tool")],
    [
      "joined",
      dialect.sameRole !== "joined" ||
        ["user", "assistant", "system"].every((role) => !neighbours.includes(`${role} ${role}`)),
    ],
  ];
  for (const { role, content, tool_calls: calls = [], tool_call_id: id = "", ...fields } of messages) {
    demands.push(["answered", role === "tool" ? waiting.includes(id) : waiting.length === 0]);
    if (role === "tool") waiting.splice(waiting.indexOf(id), 1);
    waiting.push(...calls.map((call) => call.id));
    const isShort = calls.every((call) => /^[a-zA-Z0-9]{9}$/.test(call.id));
    const reasoning = Object.keys(fields);
    demands.push(
      ["one call", dialect.callsPerMessage !== "one" || calls.length <= 1],
      ["short ids", dialect.callIds !== "alphanumeric9" || isShort],
      ["text", dialect.content !== "text" || content === null || typeof content === "string"],
      ["no empty message", dialect.emptyMessages !== "avoided" || calls.length > 0 || content !== ""],
      ["no empty content", dialect.emptyContent === "string" || calls.length === 0 || content !== ""],
      ["no reasoning", dialect.reasoning !== "none" || reasoning.length === 0],
      [
        "reasoning on all",
        dialect.reasoning === "none" ||
          dialect.reasoningOn !== "all" ||
          role !== "assistant" ||
          reasoning.includes(dialect.reasoning),
      ],
    );
  }
  demands.push(["all answered", waiting.length === 0]);
  return demands.filter(([, holds]) => !holds).map(([name]) => name);
}

const shaped = (change: DialectChange, ...messages: readonly ChatMessage[]): ChatMessage[] => {
  const written: ChatMessage[] = [];
  const shaper = new MessageShaper(UNSHAPED, changed(COMMON_DIALECT, change), (message) => written.push(message));
  for (const message of messages) shaper.message(message, []);
  shaper.finish();
  return written;
};

const call = (id: string) => ({ id, type: "function" as const, function: { name: "f", arguments: "{}" } });

describe("messages in a dialect", () => {
  test("whatever the dialect, deltas and whole histories give the same bytes, and no text is lost", () => {
    fc.assert(
      fc.property(conversation, dialects, fc.array(fc.nat({ max: 4 }), { maxLength: 20 }), (items, dialect, cuts) => {
        const chat = new ChatContexts(dialect);
        let parent: ResponseNode | null = null;
        let rest: readonly Item[] = items;
        for (const [index, size] of cuts.entries()) {
          const input = rest.slice(0, size);
          const made = rest.slice(size, size + ((index % 3) + 1));
          textOf(chat, parent, input);
          parent = node(parent, input, made);
          rest = rest.slice(size + made.length);
        }
        const cut = textOf(chat, parent, rest);
        const whole = textOf(new ChatContexts(dialect), null, items);
        expect(cut).toBe(whole);
        for (const text of JSON.stringify(items).match(/mark\d+\./g) ?? []) expect(whole).toContain(text);
      }),
      { numRuns: 300 },
    );
  });

  test("what the dialect demands is so, whatever comes", () => {
    fc.assert(
      fc.property(conversation, dialects, (items, dialect) => {
        const messages = messagesIn(textOf(new ChatContexts(dialect), null, items));
        expect(faultsIn(messages, dialect)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  test("texts and parts are joined in their order", () => {
    const image = { type: "image_url", image_url: { url: "data:," } };
    expect(
      shaped(
        { sameRole: "joined" },
        { role: "user", content: "a" },
        { role: "user", content: "b" },
        { role: "user", content: [image] },
        { role: "user", content: "c" },
        { role: "assistant", content: "d", reasoning: "x" },
        { role: "assistant", content: "", reasoning: "y" },
      ),
    ).toEqual([
      { role: "user", content: [{ type: "text", text: "a\n\nb" }, image, { type: "text", text: "c" }] },
      { role: "assistant", content: "d", reasoning: "x\n\ny" },
    ]);
  });

  test("calls of which no output has come yet are written at the end, and the context goes on from before it", () => {
    const message: ChatMessage = { role: "assistant", content: "", tool_calls: [call("a"), call("b")] };
    const written: ChatMessage[] = [];
    const shaper = new MessageShaper(UNSHAPED, { ...COMMON_DIALECT, callsPerMessage: "one" }, (one) =>
      written.push(one),
    );
    shaper.message(message, []);
    const { state } = shaper;
    shaper.finish();
    expect(written.map(({ tool_calls: calls }) => calls?.map(({ id }) => id))).toEqual([["a"], ["b"]]);
    expect(state.calls?.by.message).toBe(message);
  });

  test("short ids are the same each time, differ, and stay as they are where they are short already", () => {
    expect(shortId("call_1")).toBe(shortId("call_1"));
    expect(shortId("call_1")).not.toBe(shortId("call_2"));
    expect(shortId("abcDEF123")).toBe("abcDEF123");
    expect(shortId("call_1")).toMatch(/^[a-zA-Z0-9]{9}$/);
  });
});
