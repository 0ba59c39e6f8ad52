import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer, type RunningServer } from "../../src/server.ts";
import { isItem, type Item, type Part } from "../../src/protocol/items.ts";
import { block, ChatUpstream, delta, type UpstreamStep, USAGE } from "../support/chat-upstream.ts";
import { HttpClient } from "../support/http-client.ts";
import { readTrace, TRACE_FILES, TRACES_ARE_MISSING, type Trace } from "../support/traces.ts";
import { WsClient } from "../support/ws-client.ts";

/**
 * Every recorded run twice through the server, in front of a model server that says what was recorded: once over WebSocket,
 * where each turn brings only its new items, and once over stateless HTTP, where it brings everything. The model must see
 * the same bytes, and the client must get what was recorded.
 */

let upstream: ChatUpstream;
let server: RunningServer;

beforeAll(async () => {
  upstream = await ChatUpstream.start();
  server = await startServer({ port: 0, store: "memory:", backend: upstream.url, logLevel: "silent" });
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

const textOf = (parts: unknown): string => (parts as readonly Part[]).map((part) => part["text"]).join("");

/** What the model thought, wherever the recording has it. */
function thoughtOf(item: Item): string {
  const content = item["content"] as readonly Part[] | undefined;
  return textOf(content?.length ? content : item["summary"]);
}

/** Says the recorded output as a chat server would, in pieces that cut through words. */
function say(output: readonly Item[]): UpstreamStep {
  const deltas: object[] = [];
  let calls = 0;
  let last: string | null = null;
  for (const item of output) {
    // What the recorded service said in two items, a chat server says with a blank line between.
    const gap = last === item.type ? BLANK : "";
    const said = isItem(item, "reasoning") ? thoughtOf(item) : isItem(item, "message") ? textOf(item.content) : null;
    if (said !== "") last = item.type;
    const texts = said ? pieces(gap + said) : [];
    if (isItem(item, "reasoning")) deltas.push(...texts.map((text) => delta({ reasoning_content: text })));
    if (isItem(item, "message")) deltas.push(...texts.map((content) => delta({ content })));
    if (isItem(item, "function_call")) {
      const index = calls++;
      const call = (fields: object) => delta({ tool_calls: [{ index, ...fields }] });
      deltas.push(call({ id: item.call_id, type: "function", function: { name: item.name, arguments: "" } }));
      deltas.push(...pieces(item.arguments).map((text) => call({ function: { arguments: text } })));
    }
  }
  const chunks = [...deltas, delta({}, calls > 0 ? "tool_calls" : "stop"), { choices: [], usage: USAGE }, "[DONE]"];
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(chunks.map(block).join(""));
  };
}

const BLANK = "\n\n";

function pieces(text: string): string[] {
  return text.match(/[^]{1,701}/g) ?? [];
}

/** What can be told of an output through a chat server: neighbours of one kind cannot be told apart there. */
function essence(output: readonly Item[]): readonly unknown[] {
  const told: { kind: string; text: string; call?: unknown }[] = [];
  for (const item of output) {
    const call = isItem(item, "function_call") ? { id: item.call_id, name: item.name } : undefined;
    const text = call
      ? (item["arguments"] as string)
      : isItem(item, "reasoning")
        ? thoughtOf(item)
        : textOf(item["content"]);
    const last = told.at(-1);
    if (text === "" && call === undefined) continue;
    if (call === undefined && last?.kind === item.type) last.text += BLANK + text;
    else told.push({ kind: item.type, text, call });
  }
  return told;
}

type Run = { readonly messages: readonly string[]; readonly outputs: readonly (readonly Item[])[] };

/** The bytes of the messages, as they came. */
function messagesOf(raw: string): string {
  return raw.slice(raw.indexOf('"messages":['));
}

async function run(trace: Trace, turn: (index: number) => Promise<readonly Item[]>): Promise<Run> {
  const first = upstream.calls.length;
  const outputs: (readonly Item[])[] = [];
  for (const [index, { output }] of trace.turns.entries()) {
    upstream.script(say(output));
    outputs.push(await turn(index));
  }
  return { messages: upstream.calls.slice(first).map((call) => messagesOf(call.raw)), outputs };
}

async function overWebSocket(trace: Trace): Promise<Run> {
  const client = await WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`, undefined);
  let previous: string | undefined;
  const { model, instructions, tools } = trace;
  return run(trace, async (index) => {
    const input = trace.turns[index]?.input;
    const continued = previous === undefined ? {} : { previous_response_id: previous };
    const { last, response } = await client.turn({ model, instructions, tools, store: false, input, ...continued });
    expect(last.error ?? null).toBeNull();
    expect(response.status).toBe("completed");
    previous = response.id;
    return response.output;
  });
}

async function overHttp(trace: Trace): Promise<Run> {
  const client = new HttpClient(server.url);
  const history: Item[] = [];
  const { model, instructions, tools } = trace;
  return run(trace, async (index) => {
    history.push(...(trace.turns[index]?.input ?? []));
    const answer = await client.create({ model, instructions, tools, store: false, input: history });
    expect(answer.status).toBe(200);
    // The client keeps what was recorded, not what the server made of it: ids and all.
    history.push(...(trace.turns[index]?.output ?? []));
    return (answer.json as { output: readonly Item[] }).output;
  });
}

function firstDifference(one: string, other: string): readonly string[] {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at += 1;
  return [one, other].map((text) => text.slice(Math.max(0, at - 100), at + 100));
}

describe.skipIf(TRACES_ARE_MISSING !== null)(
  `recorded runs${TRACES_ARE_MISSING === null ? "" : ` (${TRACES_ARE_MISSING})`}`,
  () => {
    let turns = 0;

    test.each(TRACE_FILES)(
      "%s: the same context and the recorded output",
      async (name) => {
        const trace = readTrace(name);
        const deltas = await overWebSocket(trace);
        const stateless = await overHttp(trace);
        expect(deltas.messages).toHaveLength(trace.turns.length);
        for (const [index, { output }] of trace.turns.entries()) {
          const [once, again] = [deltas.messages[index], stateless.messages[index]];
          // A difference of half a megabyte is no message for a reader; where it begins is.
          expect(once === again ? null : firstDifference(once ?? "", again ?? "")).toBeNull();
          expect(essence(deltas.outputs[index] ?? [])).toEqual(essence(output));
          expect(essence(stateless.outputs[index] ?? [])).toEqual(essence(output));
        }
        turns += trace.turns.length;
      },
      60_000,
    );

    test("these were all of them", () => {
      expect(turns).toBe(TRACE_FILES.reduce((sum, name) => sum + readTrace(name).turns.length, 0));
      expect(TRACE_FILES.length).toBeGreaterThanOrEqual(13);
      expect(turns).toBeGreaterThanOrEqual(1142);
    });
  },
);
